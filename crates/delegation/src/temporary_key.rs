//! A session of another user: an access key of that user is made, traded for a session, and deleted, as one undertaking.
//!
//! ```text
//! list -> note -> create -> note -> session -> delete -> forget -> confirm
//! ```
//!
//! A pure machine, as [`crate::rotation`] is. The key lives for seconds and only in memory. What is noted in the journal
//! before each step lets the next run delete it, whatever happened in between. Knows no AWS call, no file and no secret.

mod drive;
mod record;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base::{KeyId, Now};
use bowline_base as base;

use crate::{
    propagation::{Listed, Refusal, SETTLE, stray},
    turns::{self, Turns},
};

pub use drive::{Site, session_of, sweep};
pub use record::{Record, Step};

/// Something to do, one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// List the user's keys.
    List,
    /// Write this into the journal.
    Note(Record),
    /// Make a key of the user and keep it in memory.
    Create,
    /// Trade the key in memory for a session.
    Session,
    /// Delete that key of the user.
    Delete(KeyId),
    /// Remove the journal.
    Forget,
    /// Ask STS who the session is.
    Confirm,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// The keys of the user.
    Listed(Vec<Listed>),
    /// This key was made.
    Made(KeyId),
    /// It was not done.
    Refused(Refusal),
    /// The moment of [`TemporaryKey::next_wake`] has come.
    Woke,
}

/// What the machine wants.
pub type Output = turns::Output<Ask, End>;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There is a session, and no key is left.
    Session,
    /// Nothing is left of what was cut off; nothing else was wanted.
    Swept,
    /// The last thing that was asked for failed. What is left is in the journal.
    Failed,
    /// The user has two keys: there is no room for a third.
    NoRoom(Vec<KeyId>),
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A session of a user that has been there for long.
    Session,
    /// A session of a user that was made just now: IAM may not know it or its tags yet.
    SessionOfNewUser,
    /// Only the end of what was cut off.
    Sweep,
}

/// The machine.
#[derive(Debug)]
pub struct TemporaryKey {
    wish: Wish,
    record: Option<Record>,
    turns: Turns<Ask, End>,
    gone: Vec<KeyId>,
    has_session: bool,
    failing: bool,
    starts: u32,
}

const MOST_STARTS: u32 = 3;

impl TemporaryKey {
    /// Begins with what the journal says was cut off.
    #[must_use]
    pub fn new(record: Option<Record>, wish: Wish) -> Self {
        let mut machine = Self {
            wish,
            record,
            turns: Turns::default(),
            gone: Vec::new(),
            has_session: false,
            failing: false,
            starts: 0,
        };
        match machine.record.as_ref().map(|record| record.step.clone()) {
            Some(Step::Created { key }) => machine.ask(Ask::Delete(key)),
            Some(Step::Creating { .. }) => machine.ask(Ask::List),
            None if wish == Wish::Sweep => machine.end(End::Swept),
            None => machine.ask(Ask::List),
        }
        machine
    }

    /// What to do now; nothing while it waits for an answer or a moment.
    pub fn poll(&mut self) -> Option<Output> {
        self.turns.poll()
    }

    /// When to call [`TemporaryKey::handle`] with [`Answer::Woke`] (boot time), and why it waits.
    #[must_use]
    pub fn next_wake(&self) -> Option<(Duration, &'static str)> {
        self.turns.next_wake()
    }

    /// Takes what came of the last output.
    pub fn handle(&mut self, now: Now, answer: Answer) {
        if answer == Answer::Woke {
            return self.turns.woke(now);
        }
        let Some(asked) = self.turns.answered() else { return };
        match answer {
            Answer::Refused(why) => self.refused(now, asked, why),
            good => self.done(now, asked, good),
        }
    }

    fn done(&mut self, now: Now, asked: Ask, answer: Answer) {
        match (asked, answer) {
            (Ask::List, Answer::Listed(keys)) => self.listed(now, &keys),
            (Ask::Create, Answer::Made(key)) => {
                self.ask(Ask::Note(Record { at: now.wall, step: Step::Created { key } }));
            }
            (Ask::Note(record), _) => {
                let next = if record.step.key().is_some() { Ask::Session } else { Ask::Create };
                self.record = Some(record);
                self.ask(next);
            }
            (Ask::Session, _) => {
                self.has_session = true;
                self.delete_key();
            }
            (Ask::Delete(key), _) => self.deleted(key),
            (Ask::Forget, _) => self.forgotten(),
            (Ask::Confirm, _) => self.end(End::Session),
            _ => self.end(End::Failed),
        }
    }

    fn refused(&mut self, now: Now, asked: Ask, why: Refusal) {
        let new_user = self.wish == Wish::SessionOfNewUser;
        match (asked, why) {
            (Ask::Create, Refusal::Unclear) => self.ask(Ask::List),
            (ask @ (Ask::Create | Ask::List), Refusal::Missing | Refusal::Denied) if new_user => {
                self.again_or(now, ask, |machine| machine.undo(Ask::Forget));
            }
            (Ask::Create, _) => self.undo(Ask::Forget),
            (ask @ Ask::Session, Refusal::UnknownKey) => self.again_or(now, ask, |machine| {
                machine.failing = true;
                machine.delete_key();
            }),
            (Ask::Session, _) => {
                self.failing = true;
                self.delete_key();
            }
            (Ask::Delete(key), Refusal::Missing) if self.may_yet_appear(now) => {
                self.again_or(now, Ask::Delete(key.clone()), |machine| machine.deleted(key));
            }
            (Ask::Delete(key), Refusal::Missing) => self.deleted(key),
            (ask @ Ask::Confirm, Refusal::UnknownKey) => self.again_or(now, ask, |machine| machine.end(End::Failed)),
            _ => self.end(End::Failed),
        }
    }

    fn listed(&mut self, now: Now, keys: &[Listed]) {
        let keys: Vec<Listed> = keys.iter().filter(|key| !self.gone.contains(&key.id)).cloned().collect();
        match self.record.clone() {
            None if keys.len() >= MOST_KEYS => self.end(End::NoRoom(keys.into_iter().map(|key| key.id).collect())),
            None => {
                let known = keys.into_iter().map(|key| key.id).chain(self.gone.iter().cloned()).collect();
                self.ask(Ask::Note(Record { at: now.wall, step: Step::Creating { known } }));
            }
            Some(Record { at, step: Step::Creating { known } }) => match stray(&keys, &known, at) {
                Some(key) => self.ask(Ask::Delete(key.clone())),
                None if now.wall < at + SETTLE => self.again_or(now, Ask::List, |machine| machine.ask(Ask::Forget)),
                None => self.ask(Ask::Forget),
            },
            Some(_) => self.end(End::Failed),
        }
    }

    fn delete_key(&mut self) {
        match self.record.as_ref().and_then(|record| record.step.key().cloned()) {
            Some(key) => self.ask(Ask::Delete(key)),
            None => self.end(End::Failed),
        }
    }

    fn deleted(&mut self, key: KeyId) {
        self.gone.push(key);
        self.ask(Ask::Forget);
    }

    fn forgotten(&mut self) {
        self.record = None;
        if self.failing || self.starts >= MOST_STARTS {
            self.end(End::Failed);
        } else if self.has_session {
            self.ask(Ask::Confirm);
        } else if self.wish == Wish::Sweep {
            self.end(End::Swept);
        } else {
            self.starts += 1;
            self.ask(Ask::List);
        }
    }

    /// A new key may be missing only because it is new.
    fn may_yet_appear(&self, now: Now) -> bool {
        self.record.as_ref().is_some_and(|record| now.wall < record.at + SETTLE)
    }

    fn undo(&mut self, next: Ask) {
        self.failing = true;
        self.ask(next);
    }

    fn ask(&mut self, ask: Ask) {
        self.turns.ask(ask);
    }

    /// Asks the same later, or does `otherwise` when it took too long.
    fn again_or(&mut self, now: Now, ask: Ask, otherwise: impl FnOnce(&mut Self)) {
        if !self.turns.ask_later(now, ask) {
            otherwise(self);
        }
    }

    fn end(&mut self, end: End) {
        self.turns.end(end);
    }
}

const MOST_KEYS: usize = 2;
