//! The one task that changes anything: takes orders one by one, writes them into the store, tells the tunnel, and publishes
//! what everybody sees. What the store says on its own account, because another server changed it, comes the same way.

mod books;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use bowline_base::{Fault, Kind, Now, wire::Wire};
use bowline_tunnel::{Peer, Stats};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::{
    ClientId,
    addresses::Subnet,
    directory::Directory,
    events::{Event, What},
    layout::Step,
    migration::{self, Haste, Stopped},
    orders::{Desk, Done, Order, Refusal},
    peers::{self, Act, Peers, Tunnel, V6},
    store::{Changes, Store, StoreError, Value},
    usage::{Meter, Usage},
    user::Idle,
    view::{Board, View},
};

/// An order, where it came from, and where the answer goes.
pub(crate) struct Ask {
    pub(crate) order: Order,
    pub(crate) source: Option<IpAddr>,
    pub(crate) answer: oneshot::Sender<Result<Done, Refusal>>,
}

/// What the store said when it was asked for changes.
pub(crate) struct News {
    /// How many changes we had made when it was asked.
    pub(crate) generation: u64,
    pub(crate) outcome: Result<Option<Changes>, StoreError>,
    /// Whether the changes were taken; else they are asked for again.
    pub(crate) taken: oneshot::Sender<bool>,
}

/// What the clerk is given.
pub(crate) struct Office {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tunnel: Arc<dyn Tunnel>,
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) board: Board,
    pub(crate) subnet: Subnet,
    pub(crate) v6: Option<V6>,
    /// Ours so far; the reader of news compares.
    pub(crate) generation: tokio::sync::watch::Sender<u64>,
    /// The last moment when something was sent or ordered, for whoever ends an idle server.
    pub(crate) busy: tokio::sync::watch::Sender<Duration>,
}

/// The clerk's own books.
pub(crate) struct Clerk {
    office: Office,
    directory: Arc<Directory>,
    meter: Meter,
    placed: Peers,
    stats: Arc<Stats>,
    idle: BTreeMap<ClientId, Idle>,
    connected: BTreeSet<ClientId>,
    store_away: Option<String>,
    tunnel_away: Option<String>,
    /// Changed, and not told to other servers yet.
    unannounced: Vec<String>,
    /// Our last change of each name since the store was heard: what was read before it is older.
    own: BTreeMap<String, Own>,
    last_flush: Duration,
    /// Sums that were written and not confirmed, and what of them was new.
    tried: BTreeMap<ClientId, (Usage, Usage)>,
}

/// A change of ours: how many we had made with it, and the value; none where it is gone.
struct Own {
    generation: u64,
    value: Option<Value>,
}

/// How often the tunnel is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the store is told what was used.
const FLUSH: Duration = Duration::from_secs(300);
/// Without a handshake for so long, a client is gone: WireGuard makes one every two minutes while it sends.
const SILENCE: Duration = Duration::from_secs(180);

impl Clerk {
    pub(crate) fn new(office: Office, directory: Directory) -> Self {
        let now = office.wire.now().boot;
        Self {
            office,
            directory: Arc::new(directory),
            meter: Meter::default(),
            placed: Peers::new(),
            stats: Arc::default(),
            idle: BTreeMap::new(),
            connected: BTreeSet::new(),
            store_away: None,
            tunnel_away: None,
            unannounced: Vec::new(),
            own: BTreeMap::new(),
            last_flush: now,
            tried: BTreeMap::new(),
        }
    }

    /// Lets everybody in who may come in, and publishes the first view.
    pub(crate) async fn open(&mut self) {
        self.settle().await;
        self.look().await;
        self.publish();
    }

    /// Works until `stopping`; then the store is told what was used.
    pub(crate) async fn work(
        mut self,
        mut orders: mpsc::Receiver<Ask>,
        mut news: mpsc::Receiver<News>,
        stopping: impl Future<Output = ()>,
    ) {
        let mut stopping = std::pin::pin!(stopping);
        let wire = Arc::clone(&self.office.wire);
        let mut next_look = wire.now().boot + TICK;
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(ask) = orders.recv() => {
                    self.serve(ask).await;
                }
                Some(news) = news.recv() => {
                    let taken = self.hear(news.generation, news.outcome).await;
                    news.taken.send(taken).ok();
                }
                // However many orders come, the tunnel is looked at.
                () = wire.sleep(next_look.saturating_sub(wire.now().boot)) => {
                    self.tick().await;
                    next_look = wire.now().boot + TICK;
                }
            }
        }
        self.look().await;
        self.flush(self.meter.owed()).await;
    }

    fn now(&self) -> Now {
        self.office.wire.now()
    }

    /// Whoever does not wait any more gets nothing done; and what nobody has heard the key of is undone.
    async fn serve(&mut self, ask: Ask) {
        if ask.answer.is_closed() {
            return;
        }
        let (what, way_back) = (told(&ask.order).0, self.desk(self.now(), |desk| desk.unheard(&ask.order)));
        let outcome = self.carry_out(ask.order, ask.source).await;
        if let Err(Ok(Done::Keyed(user, _))) = ask.answer.send(outcome) {
            let event = Event::new(self.now().wall, what).from(ask.source);
            self.undo(way_back, Event::about(event, &user.id)).await;
        }
    }

    /// Whoever asked for a key has left before it was there.
    async fn undo(&mut self, way_back: Vec<Step>, event: Event) {
        match self.make(way_back).await {
            Ok(()) => self.note(event.because("undone: whoever asked has left before the key was there".to_owned())),
            Err(refusal) => {
                warn!(%refusal, "a user whose key nobody has is left: remove it, or give it another key");
            }
        }
        self.settle().await;
    }

    /// What cannot be written down is not done.
    async fn carry_out(&mut self, order: Order, source: Option<IpAddr>) -> Result<Done, Refusal> {
        let (what, about) = told(&order);
        let now = self.now();
        self.office.busy.send_replace(now.boot);
        let from_nothing = books::counts_from_nothing(&order);
        let (steps, done) = self.desk(now, |desk| desk.decide(order))?;
        let id = about.or_else(|| if let Done::Keyed(user, _) = &done { Some(user.id.clone()) } else { None });
        let event = Event::new(now.wall, what).from(source);
        let event = id.iter().fold(event, Event::about);
        self.office.board.note(event.clone()).map_err(|fault| Refusal::Away(Arc::new(fault)))?;
        if let Err(refusal) = self.make(steps).await {
            self.note(event.because(format!("not done: {refusal}")));
            return Err(refusal);
        }
        if let Some(id) = from_nothing {
            self.count_from_nothing(&id);
        }
        self.settle().await;
        Ok(done)
    }

    fn desk<T>(&self, now: Now, work: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let mut random = bowline_host::client::random_bytes::<32>;
        let (directory, subnet) = (&*self.directory, &self.office.subnet);
        work(&mut Desk { directory, subnet, now: now.wall, random: &mut random })
    }

    /// Makes the steps, and tells other servers.
    async fn make(&mut self, steps: Vec<Step>) -> Result<(), Refusal> {
        let made = self.write(steps).await;
        self.announce().await;
        made
    }

    async fn write(&mut self, steps: Vec<Step>) -> Result<(), Refusal> {
        let made = migration::run(&*self.office.store, steps, Haste::First).await;
        self.office.generation.send_modify(|generation| *generation += 1);
        let generation = *self.office.generation.borrow();
        for (name, value) in made.changed {
            Arc::make_mut(&mut self.directory).apply(&name, value.as_ref());
            self.unannounced.push(name.clone());
            self.own.insert(name, Own { generation, value });
        }
        match made.stopped {
            None => Ok(()),
            Some(Stopped::Taken) => Err(Refusal::Taken("another server has made it a moment ago".to_owned())),
            Some(Stopped::Store(error)) => Err(away(error)),
        }
    }

    async fn announce(&mut self) {
        let names = std::mem::take(&mut self.unannounced);
        if names.is_empty() {
            return;
        }
        if let Err(error) = self.office.store.announce(&names).await {
            debug!(%error, "other servers are told later");
            self.unannounced = names;
        }
    }

    /// What others have changed; whether it was taken.
    async fn hear(&mut self, generation: u64, outcome: Result<Option<Changes>, StoreError>) -> bool {
        let changes = match outcome {
            Ok(changes) => {
                self.store_is_back();
                changes
            }
            Err(error) => {
                self.store_is_away(&error);
                self.publish();
                return false;
            }
        };
        self.own.retain(|_, own| own.generation > generation);
        match changes {
            Some(changes) => {
                self.apply(changes);
                self.settle().await;
            }
            None => self.publish(),
        }
        // What was read before our own last change is asked for once more: others may have changed the same names.
        self.own.is_empty()
    }

    /// Everything but what we have changed ourselves since the store was asked: that is newer.
    fn apply(&mut self, changes: Changes) {
        match changes {
            Changes::All(values) => {
                let mut directory = Directory::read(&values);
                self.own.iter().for_each(|(name, own)| directory.apply(name, own.value.as_ref()));
                self.directory = Arc::new(directory);
            }
            Changes::Some(changed) => {
                let directory = Arc::make_mut(&mut self.directory);
                let others = changed.iter().filter(|(name, _)| !self.own.contains_key(*name));
                others.for_each(|(name, value)| directory.apply(name, value.as_ref()));
            }
        }
    }

    fn store_is_back(&mut self) {
        if self.store_away.take().is_some() {
            self.note(Event::new(self.now().wall, What::StoreBack));
        }
    }

    fn store_is_away(&mut self, error: &StoreError) {
        let why = match error {
            StoreError::Away(fault) => fault.chain(),
            StoreError::Taken(_) => error.to_string(),
        };
        if self.store_away.is_none() {
            warn!(reason = why, "the store does not answer: tunnels go on, changes are refused");
            self.note(Event::new(self.now().wall, What::StoreAway).because(&why));
        }
        self.store_away = Some(why);
    }

    async fn tick(&mut self) {
        self.look().await;
        self.settle().await;
        if !self.unannounced.is_empty() && self.store_away.is_none() {
            self.announce().await;
        }
        if self.store_away.is_some() {
            return;
        }
        let boot = self.now().boot;
        if boot.saturating_sub(self.last_flush) >= FLUSH {
            self.last_flush = boot;
            self.flush(self.meter.owed()).await;
            self.tidy().await;
        } else {
            self.flush(self.pressing()).await;
        }
    }

    /// Reads the tunnel's counters.
    async fn look(&mut self) {
        let tunnel = Arc::clone(&self.office.tunnel);
        match aside(move || tunnel.stats()).await {
            Ok(stats) => {
                let directory = &self.directory;
                let moved = self.meter.read(&stats, |peer| directory.of_peer(peer).cloned());
                if moved > 0 {
                    self.office.busy.send_replace(self.now().boot);
                }
                self.stats = Arc::new(stats);
                self.tunnel_away = None;
                self.see_who_comes_and_goes();
            }
            Err(fault) => self.tunnel_away = Some(fault.chain()),
        }
        for (id, used) in self.office.board.take_counted() {
            self.office.busy.send_replace(self.now().boot);
            self.meter.add(id, used);
        }
    }

    fn see_who_comes_and_goes(&mut self) {
        let now = self.now().wall;
        let fresh = |peer: &bowline_tunnel::PeerStats| {
            let shook = peer.last_handshake?;
            (Duration::try_from(now.duration_since(shook)).unwrap_or_default() < SILENCE).then_some(())
        };
        let here: BTreeMap<ClientId, Option<IpAddr>> = (self.stats.peers.iter())
            .filter_map(|(key, peer)| fresh(peer).map(|()| (key, peer)))
            .filter_map(|(key, peer)| Some((self.directory.of_peer(key)?.clone(), super::view::source(peer))))
            .collect();
        for (id, source) in here.iter().filter(|(id, _)| !self.connected.contains(*id)) {
            self.note(Event::new(now, What::Connected).about(id).from(*source));
        }
        for id in self.connected.iter().filter(|id| !here.contains_key(*id)) {
            self.note(Event::new(now, What::Disconnected).about(id));
        }
        self.connected = here.into_keys().collect();
    }

    /// Brings the tunnel to what the directory says, and publishes.
    async fn settle(&mut self) {
        let used = |id: &ClientId| self.directory.usage(id).plus(self.meter.untold(id)).total();
        let idle = self.directory.idle(self.now().wall, used);
        let wanted = peers::wanted(&self.directory, &idle, self.office.v6, used);
        for (id, why) in &idle {
            if matches!(why, Idle::Expired | Idle::QuotaUsed) && self.idle.get(id) != Some(why) {
                self.note(Event::new(self.now().wall, What::Ended).about(id).because(why.why()));
            }
        }
        self.idle = idle;
        let acts = peers::differences(&self.placed, &wanted);
        if !acts.is_empty() {
            let tunnel = Arc::clone(&self.office.tunnel);
            let done = aside(move || {
                let told = acts.iter().map(|act| (act.clone(), tell(&*tunnel, act)));
                Ok(told.collect::<Vec<_>>())
            });
            for (act, outcome) in done.await.unwrap_or_default() {
                self.place(act, outcome);
            }
        }
        // What the tunnel has counted by itself meanwhile.
        for (key, peer) in &wanted {
            if let Some(placed) = self.placed.get_mut(key) {
                placed.used = placed.used.max(peer.used);
            }
        }
        self.publish();
    }

    fn place(&mut self, act: Act, outcome: Result<(), Fault>) {
        if let Err(fault) = outcome {
            warn!(reason = %fault.chain(), "a peer is not as it should be; it is tried again");
            return;
        }
        match act {
            Act::Remove(key) => drop(self.placed.remove(&key)),
            Act::Recount(key, used) => {
                if let Some(peer) = self.placed.get_mut(&key) {
                    peer.used = used;
                }
            }
            Act::Add(mut peer) => {
                // One that is there goes on counting, whatever it is told here.
                let before = self.placed.get(&peer.public_key).map_or(0, |old| old.used);
                peer.used = peer.used.max(before);
                self.placed.insert(peer.public_key, *peer);
            }
        }
    }

    fn publish(&self) {
        self.office.board.publish(View {
            directory: Arc::clone(&self.directory),
            idle: Arc::new(self.idle.clone()),
            stats: Arc::clone(&self.stats),
            untold: Arc::new(self.meter.owed().into_iter().collect()),
            connected: Arc::new(self.connected.clone()),
            store_away: self.store_away.clone(),
            tunnel_away: self.tunnel_away.clone(),
        });
    }

    /// Removes invitations that are over.
    async fn tidy(&mut self) {
        let stale = self.directory.stale_invitations(self.now().wall);
        if !stale.is_empty() {
            self.make(stale.into_iter().map(Step::Remove).collect()).await.ok();
        }
    }

    /// Of what nobody ordered; an unwritable log is told by itself.
    fn note(&self, event: Event) {
        self.office.board.note(event).ok();
    }
}

fn told(order: &Order) -> (What, Option<ClientId>) {
    match order {
        Order::Create(id, _) => (What::Created, Some(id.clone())),
        Order::Delete(id) => (What::Deleted, Some(id.clone())),
        Order::Disable(id, true) => (What::Disabled, Some(id.clone())),
        Order::Disable(id, false) => (What::Enabled, Some(id.clone())),
        Order::Change(id, _) => (What::Changed, Some(id.clone())),
        Order::Rotate(id, _) => (What::Rotated, Some(id.clone())),
        Order::Invite(id, ..) => (What::Invited, Some(id.clone())),
        Order::Uninvite(id) => (What::Uninvited, Some(id.clone())),
        Order::Accept(..) => (What::Joined, None),
    }
}

fn tell(tunnel: &dyn Tunnel, act: &Act) -> Result<(), Fault> {
    match act {
        Act::Remove(key) => tunnel.remove(*key),
        Act::Recount(key, used) => tunnel.recount(*key, *used),
        Act::Add(peer) => tunnel.add(Peer::clone(peer)),
    }
}

fn away(error: StoreError) -> Refusal {
    match error {
        StoreError::Away(fault) => Refusal::Away(fault),
        StoreError::Taken(name) => Refusal::Taken(name),
    }
}

/// The tunnel answers within a round of packets; the runtime's threads do not wait for it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Fault::new(Kind::Bug, "tunnel", "the tunnel's answer is lost")))
}

#[cfg(test)]
mod tests;
