//! DNS on the tunnel's own address: questions of users go on to the resolvers of this machine, answers are kept for their time.
//!
//! A machine without sockets: it takes datagrams with `now` and says what to send. One upstream question at a time stands
//! for everybody who asks the same; each goes out with a fresh id from a fresh socket, so that an answer cannot be guessed
//! into it. Answers are not censored: what they name is judged when it is dialled. The resolvers are the operator's word
//! (`/etc/resolv.conf`) and need no opening in the egress policy; users cannot ask any other through here.
//!
//! Over TCP a connection to port 53 of the tunnel's address is passed on to the first resolver as it is; that is where
//! users come with answers that were cut off.

mod cache;
mod message;
mod resolvers;
mod service;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

pub use self::message::{Malformed, Question};
pub use self::resolvers::resolvers;
pub(crate) use self::service::{DnsService, PORT};
use self::{
    cache::Cache,
    message::{Answer, Code, Query},
};

/// How long a resolver has before the next one is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often a question is asked before its users are told that it failed.
const TRIES: usize = 4;
/// Questions under way, all users together.
const MOST_UNDER_WAY: usize = 512;
/// Answers that one user waits for.
const MOST_WAITING: usize = 64;

/// A question under way: names its socket.
pub type Ticket = u64;

/// Who asked, and where from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The user: nobody may have more than his part of what is under way.
    pub user: usize,
    /// His socket.
    pub from: SocketAddr,
    /// The address of ours that he asked: the answer comes from it.
    pub to: SocketAddr,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a socket of its own for `ticket`, connected to `resolver`, and send this. An earlier socket of the ticket is closed.
    Ask {
        /// Whose socket.
        ticket: Ticket,
        /// Whom.
        resolver: SocketAddr,
        /// What.
        message: Vec<u8>,
    },
    /// Close the ticket's socket.
    Close {
        /// Whose socket.
        ticket: Ticket,
    },
    /// Answer a user.
    Reply {
        /// Who asked.
        client: Client,
        /// What to answer.
        message: Vec<u8>,
    },
}

/// What the forwarder has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions of users.
    pub questions: u64,
    /// Of them: answered from memory.
    pub hits: u64,
    /// Of them: joined a question that was under way.
    pub joined: u64,
    /// Questions that no resolver answered.
    pub failed: u64,
    /// Datagrams that were no question, or no answer to ours.
    pub malformed: u64,
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    client: Client,
    query: Query,
}

/// A question under way.
#[derive(Debug)]
struct UnderWay {
    key: Question,
    id: u16,
    tries: usize,
    /// Whom the last try asked.
    resolver: usize,
    deadline: Duration,
    waiting: Vec<Waiting>,
}

/// The forwarder.
#[derive(Debug)]
pub struct Forwarder {
    resolvers: Vec<SocketAddr>,
    cache: Cache,
    under_way: BTreeMap<Ticket, UnderWay>,
    by_question: BTreeMap<Question, Ticket>,
    next: Ticket,
    /// The resolver that answered last: asked first.
    preferred: usize,
    counters: Counters,
}

impl Forwarder {
    /// A forwarder to these resolvers, in order of preference. Without any, every question is refused.
    #[must_use]
    pub fn new(resolvers: Vec<SocketAddr>) -> Self {
        Self {
            resolvers,
            cache: Cache::default(),
            under_way: BTreeMap::new(),
            by_question: BTreeMap::new(),
            next: 0,
            preferred: 0,
            counters: Counters::default(),
        }
    }

    /// Where a TCP connection to the tunnel's port 53 is passed on to.
    #[must_use]
    pub fn tcp_resolver(&self) -> Option<SocketAddr> {
        self.resolvers.get(self.preferred).or(self.resolvers.first()).copied()
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A user's datagram. `random` is for the id of the question that may go out.
    pub fn question(&mut self, now: Duration, client: Client, datagram: &[u8], random: u16) -> Vec<Action> {
        self.counters.questions += 1;
        let query = match Query::parse(datagram) {
            Ok(query) => query,
            Err(wrong) => {
                self.counters.malformed += 1;
                let refusal = message::refusal(datagram, wrong);
                return refusal.map(|message| Action::Reply { client, message }).into_iter().collect();
            }
        };
        if let Some(answer) = self.cache.get(now, &query.question) {
            self.counters.hits += 1;
            return vec![Action::Reply { client, message: answer.for_query(&query) }];
        }
        if self.resolvers.is_empty() {
            return vec![Action::Reply { client, message: query.failure(Code::Refused) }];
        }
        if let Some(ticket) = self.by_question.get(&query.question).copied() {
            return self.join(ticket, client, query);
        }
        self.ask(now, client, query, random)
    }

    /// A datagram on the ticket's socket. The socket is connected, so it is from the resolver.
    pub fn answer(&mut self, now: Duration, ticket: Ticket, datagram: &[u8]) -> Vec<Action> {
        let Some(under_way) = self.under_way.get(&ticket) else { return Vec::new() };
        let Ok(answer) = Answer::parse(datagram, under_way.id, &under_way.key) else {
            self.counters.malformed += 1;
            return Vec::new();
        };
        if answer.is_failure() && under_way.tries < TRIES.min(self.resolvers.len()) {
            return self.again(now, ticket);
        }
        self.preferred = under_way.resolver;
        let Some(under_way) = self.end(ticket) else { return Vec::new() };
        let replies = under_way
            .waiting
            .iter()
            .map(|waiting| Action::Reply { client: waiting.client, message: answer.for_query(&waiting.query) });
        let actions = std::iter::once(Action::Close { ticket }).chain(replies).collect();
        self.cache.put(now, under_way.key, answer);
        actions
    }

    /// The ticket's socket cannot be had, or the resolver is not there: the next one is asked at once.
    pub fn unreachable(&mut self, now: Duration, ticket: Ticket) -> Vec<Action> {
        if self.under_way.contains_key(&ticket) { self.again(now, ticket) } else { Vec::new() }
    }

    /// Asks again, or gives up, what has waited too long.
    pub fn expire(&mut self, now: Duration) -> Vec<Action> {
        let late = self.under_way.iter().filter(|(_, under_way)| under_way.deadline <= now);
        let late: Vec<_> = late.map(|(ticket, _)| *ticket).collect();
        late.into_iter().flat_map(|ticket| self.again(now, ticket)).collect()
    }

    /// A user is gone: nothing is answered to him any more.
    pub fn forget(&mut self, user: usize) {
        for under_way in self.under_way.values_mut() {
            under_way.waiting.retain(|waiting| waiting.client.user != user);
        }
    }

    /// When [`Forwarder::expire`] has something to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.under_way.values().map(|under_way| under_way.deadline).min()
    }

    /// A question that nobody asks yet.
    fn ask(&mut self, now: Duration, client: Client, query: Query, random: u16) -> Vec<Action> {
        if self.under_way.len() >= MOST_UNDER_WAY || self.waits_for(client.user) >= MOST_WAITING {
            return vec![Action::Reply { client, message: query.failure(Code::ServerFailure) }];
        }
        let (ticket, key) = (self.next, query.question.clone());
        self.next += 1;
        self.by_question.insert(key.clone(), ticket);
        let waiting = vec![Waiting { client, query }];
        let under_way = UnderWay { key, id: random, tries: 0, resolver: self.preferred, deadline: now, waiting };
        self.under_way.insert(ticket, under_way);
        self.again(now, ticket)
    }

    fn join(&mut self, ticket: Ticket, client: Client, query: Query) -> Vec<Action> {
        let Some(under_way) = self.under_way.get(&ticket) else { return Vec::new() };
        if under_way.waiting.iter().any(|waiting| waiting.client == client && waiting.query.id == query.id) {
            return Vec::new();
        }
        if under_way.waiting.len() >= MOST_UNDER_WAY || self.waits_for(client.user) >= MOST_WAITING {
            return vec![Action::Reply { client, message: query.failure(Code::ServerFailure) }];
        }
        self.counters.joined += 1;
        if let Some(under_way) = self.under_way.get_mut(&ticket) {
            under_way.waiting.push(Waiting { client, query });
        }
        Vec::new()
    }

    /// How many answers a user waits for.
    fn waits_for(&self, user: usize) -> usize {
        let waiting = self.under_way.values().flat_map(|under_way| &under_way.waiting);
        waiting.filter(|waiting| waiting.client.user == user).count()
    }

    /// The next try of a question, or its end.
    fn again(&mut self, now: Duration, ticket: Ticket) -> Vec<Action> {
        let Some(under_way) = self.under_way.get_mut(&ticket) else { return Vec::new() };
        if under_way.tries >= TRIES {
            return self.give_up(ticket);
        }
        if under_way.tries > 0 {
            under_way.resolver = (under_way.resolver + 1) % self.resolvers.len();
        }
        under_way.tries += 1;
        under_way.deadline = now + PATIENCE;
        // Another try is another question on the wire: a late answer to the first must not fit it.
        under_way.id = under_way.id.wrapping_mul(0x6d2b).wrapping_add(0x3c6f);
        let resolver = self.resolvers[under_way.resolver];
        vec![Action::Ask { ticket, resolver, message: under_way.key.message(under_way.id) }]
    }

    fn give_up(&mut self, ticket: Ticket) -> Vec<Action> {
        let Some(under_way) = self.end(ticket) else { return Vec::new() };
        self.counters.failed += 1;
        let failures = under_way.waiting.into_iter().map(|waiting| Action::Reply {
            message: waiting.query.failure(Code::ServerFailure),
            client: waiting.client,
        });
        std::iter::once(Action::Close { ticket }).chain(failures).collect()
    }

    fn end(&mut self, ticket: Ticket) -> Option<UnderWay> {
        let under_way = self.under_way.remove(&ticket)?;
        self.by_question.remove(&under_way.key);
        Some(under_way)
    }
}

#[cfg(test)]
mod tests;
