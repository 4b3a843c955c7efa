//! Tells people what needs them: one message for each matter, on every channel that the user has set up, and reminders
//! further and further apart.
//!
//! Whoever finds something out calls [`Notifier::raise`] as often as it likes and [`Notifier::clear`] when it is over.
//! What is said when is decided by [`ledger`], when a channel is tried by [`outbox`]; both are pure, and on disk. Texts
//! come from outside of this module, which sends them as they are: whoever raises something keeps secrets out of it.

mod channel;
mod command;
mod desktop;
pub mod ledger;
mod message;
pub mod outbox;
mod state;
mod webhook;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_base::wire::Wire;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use self::{
    channel::Way,
    outbox::{Fate, Next, Outcome},
    state::State,
};
use crate::{Tasks, clock, notice::LoginNotice, tasks::unless_it_panics};

pub use channel::Channels;
pub use command::Hook;
pub use desktop::Desktop;
pub use message::{Event, Message, Notification, Pace, Severity};
pub use webhook::{SecretPlace, Webhook};

/// After a panic, so that one that comes again does not keep a core busy.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);

/// A handle; clones share it. The default one says nothing to nobody.
#[derive(Clone, Default)]
pub struct Notifier(Option<Arc<Office>>);

struct Office {
    wire: Arc<dyn Wire>,
    tasks: Tasks,
    place: PathBuf,
    machine: String,
    desk: Mutex<Desk>,
    /// Held while the file is written, so that the last write is the newest.
    pen: Mutex<()>,
    /// Sent to when there may be something to do.
    bell: watch::Sender<()>,
}

struct Desk {
    state: State,
    channels: Channels,
    ways: Vec<Way>,
    file: Option<LoginNotice>,
    /// The tasks that bring messages; replaced with the channels.
    couriers: Option<Tasks>,
    /// What was written last.
    saved: String,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("place", &self.0.as_ref().map(|office| &office.place)).finish_non_exhaustive()
    }
}

impl Notifier {
    /// Begins to bring what is raised over `channels`, inside `tasks`. `place` is the file with what was said before.
    #[must_use]
    pub fn start(wire: Arc<dyn Wire>, tasks: &Tasks, place: PathBuf, channels: Channels) -> Self {
        let state = State::read(&place);
        let desk = Desk {
            saved: state.text(),
            state,
            channels: Channels::default(),
            ways: Vec::new(),
            file: None,
            couriers: None,
        };
        let office = Arc::new(Office {
            wire,
            tasks: tasks.clone(),
            place,
            machine: machine(),
            desk: Mutex::new(desk),
            pen: Mutex::default(),
            bell: watch::Sender::new(()),
        });
        let clerk = Arc::clone(&office);
        tasks.spawn_until_shutdown("notify", async move {
            clerk.again_and_again(|| clerk.attend()).await;
        });
        let notifier = Self(Some(office));
        notifier.replace(channels);
        notifier
    }

    /// Uses other channels from now on. What waits for a channel that stays is brought over its new form; what waits for
    /// one that is gone is dropped.
    pub fn replace(&self, channels: Channels) {
        if let Some(office) = &self.0 {
            office.replace(channels);
        }
    }

    /// The matter of `notification` goes on. Said once, and again when it goes on for long or its text is another.
    pub fn raise(&self, notification: &Notification) {
        self.change(|ledger, now| ledger.raise(now, notification));
    }

    /// The matter `subject` of `kind` is over; nothing happens when it was not raised.
    pub fn clear(&self, kind: &str, subject: &str) {
        self.change(|ledger, now| ledger.clear(now, kind, subject));
    }

    /// Something has happened that does not go on: said once, and the same not again for a day.
    pub fn tell(&self, notification: &Notification) {
        self.change(|ledger, now| ledger.tell(now, notification));
    }

    /// Resolves when everything was handed out and brought, or given up. May take days: set a limit.
    pub async fn settled(&self) {
        let Some(office) = &self.0 else { return };
        let mut bell = office.bell.subscribe();
        while !office.desk().is_settled(office.now()) {
            office.wait_until(Some(office.now()), office.now(), &mut bell).await;
        }
    }

    /// A message to try channels with, of the Unix time `at`.
    #[must_use]
    pub fn trial(at: i64) -> Message {
        Message {
            id: format!("{at}-0"),
            event: Event::Test,
            kind: "test".to_owned(),
            subject: "notify".to_owned(),
            severity: Severity::Info,
            text: "this is a test; nothing is wrong".to_owned(),
            fix: None,
            details: BTreeMap::new(),
            since: at,
            at,
        }
    }

    fn change(&self, change: impl FnOnce(&mut ledger::Ledger, i64) -> bool) {
        let Some(office) = &self.0 else { return };
        let now = office.now();
        let mut desk = office.desk();
        if change(&mut desk.state.ledger, now) {
            desk.show_in_file();
            drop(desk);
            office.ring();
        }
    }
}

/// Brings `message` over each of `channels` once, and gives the name of each with how it went.
pub async fn try_channels(wire: &dyn Wire, channels: &Channels, message: &Message) -> Vec<(&'static str, Outcome)> {
    let (machine, mut outcomes) = (machine(), Vec::new());
    for way in channels.ways() {
        outcomes.push((way.name(), way.bring(wire, message, &machine).await));
    }
    outcomes
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Office {
    fn now(&self) -> i64 {
        self.wire.now().wall.as_second()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.bell.send_modify(|()| ());
    }

    fn replace(self: &Arc<Self>, channels: Channels) {
        let couriers = self.tasks.child();
        let mut desk = self.desk();
        if let Some(old) = desk.couriers.replace(couriers.clone()) {
            old.begin_shutdown();
        }
        if let Some(old) = &desk.file {
            old.replace(std::iter::empty());
        }
        (desk.ways, desk.file) = (channels.ways(), channels.file.clone().map(|path| LoginNotice::new(path).afresh()));
        desk.channels = channels;
        desk.show_in_file();
        let ways: Vec<&str> = desk.ways.iter().map(Way::name).collect();
        desk.state.outboxes.retain(|name, _| ways.contains(&name.as_str()));
        for way in desk.ways.clone() {
            let office = Arc::clone(self);
            couriers.spawn_until_shutdown("notify-courier", async move {
                office.again_and_again(|| office.bring(way.clone())).await;
            });
        }
        drop(desk);
        self.ring();
    }

    /// Without this work nobody would be told anything: after a panic it begins anew, and what waits is on disk.
    async fn again_and_again<F: Future<Output = ()>>(&self, work: impl Fn() -> F) {
        while let Err(why) = unless_it_panics(work()).await {
            error!(why, "handing out messages panicked; this is a bug, please report it");
            self.wire.sleep(AFTER_A_PANIC).await;
        }
    }

    /// Hands out what is due.
    async fn attend(&self) {
        let mut bell = self.bell.subscribe();
        loop {
            bell.borrow_and_update();
            let now = self.now();
            let (said, wake) = {
                let mut desk = self.desk();
                (desk.hand_out(now), desk.next_wake())
            };
            self.save();
            if said {
                self.ring();
            }
            self.wait_until(wake, now, &mut bell).await;
        }
    }

    /// Brings what waits for `way`, one after the other.
    async fn bring(&self, way: Way) {
        let mut bell = self.bell.subscribe();
        let mut trouble = None;
        loop {
            bell.borrow_and_update();
            let now = self.now();
            let next = self.desk().state.outboxes.get(way.name()).map_or(Next::Idle, |outbox| outbox.next(now));
            let wake = match next {
                Next::Send(message) => {
                    let outcome = way.bring(&*self.wire, &message, &self.machine).await;
                    self.settle(&way, &message, outcome, &mut trouble);
                    continue;
                }
                Next::Wait(until) => Some(until),
                Next::Idle => None,
            };
            self.wait_until(wake, now, &mut bell).await;
        }
    }

    fn settle(&self, way: &Way, message: &Message, outcome: Outcome, trouble: &mut Option<String>) {
        let (now, entropy) = (self.now(), self.wire.entropy());
        let fate = self.desk().outbox(way.name()).settle(now, &message.id, outcome, way.patience(), entropy);
        self.save();
        let (channel, kind, subject, event) = (way.name(), &message.kind, &message.subject, message.event);
        match fate {
            Some(Fate::Done(tries)) => {
                *trouble = None;
                info!(channel, kind, subject, %event, tries, "notified");
            }
            // One line for one trouble, however often it is met.
            Some(Fate::Kept(reason)) if trouble.as_ref() != Some(&reason) => {
                warn!(channel, kind, subject, reason, "a notification did not arrive; it is kept and tried again");
                *trouble = Some(reason);
            }
            Some(Fate::Lost(reason)) if trouble.as_ref() != Some(&reason) => {
                warn!(channel, kind, subject, reason, "a notification did not arrive and is given up");
                *trouble = Some(reason);
            }
            Some(Fate::Kept(reason) | Fate::Lost(reason)) => debug!(channel, kind, subject, reason, "not notified"),
            None => {}
        }
    }

    /// Until `deadline` (Unix time), a ring, or half a minute: calendar time may have jumped.
    async fn wait_until(&self, deadline: Option<i64>, now: i64, bell: &mut watch::Receiver<()>) {
        let left = deadline.map_or(clock::LONGEST_SLEEP, |deadline| {
            Duration::from_secs(u64::try_from(deadline - now).unwrap_or(0).max(1)).min(clock::LONGEST_SLEEP)
        });
        tokio::select! {
            () = self.wire.sleep(left) => {}
            _ = bell.changed() => {}
        }
    }

    fn save(&self) {
        let _pen = self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = {
            let mut desk = self.desk();
            let text = desk.state.text();
            if desk.saved == text {
                return;
            }
            desk.saved.clone_from(&text);
            text
        };
        if let Err(error) = state::write(&self.place, &text) {
            warn!(path = %self.place.display(), %error, "what was notified cannot be written down; after a restart it may be said again");
        }
    }
}

impl Desk {
    /// Moves what is due into the outboxes; gives whether there was anything.
    fn hand_out(&mut self, now: i64) -> bool {
        let Self { state, channels, ways, .. } = self;
        let messages = state.ledger.due(now, |kind| !ways.is_empty() && channels.want(kind));
        for message in &messages {
            for way in ways.iter().filter(|way| way.takes(message.event)) {
                let outbox = state.outboxes.entry(way.name().to_owned()).or_default();
                if let Some(lost) = outbox.push(message.clone()) {
                    warn!(
                        channel = way.name(),
                        kind = lost.kind,
                        subject = lost.subject,
                        "too many notifications wait; one is dropped"
                    );
                }
            }
        }
        !messages.is_empty()
    }

    /// Nothing is due, and no channel has anything left to bring.
    fn is_settled(&self, now: i64) -> bool {
        let empty = |way: &Way| self.state.outboxes.get(way.name()).is_none_or(|outbox| outbox.next(now) == Next::Idle);
        self.next_wake().is_none_or(|wake| wake > now)
            && self.state.ledger.is_handed_out()
            && self.ways.iter().all(empty)
    }

    fn next_wake(&self) -> Option<i64> {
        self.state.ledger.next_wake(|kind| !self.ways.is_empty() && self.channels.want(kind))
    }

    fn outbox(&mut self, name: &str) -> &mut outbox::Outbox {
        self.state.outboxes.entry(name.to_owned()).or_default()
    }

    /// The file says how things stand, at once and without back-off.
    fn show_in_file(&mut self) {
        let Some(file) = &self.file else { return };
        let wanted = self.state.ledger.open().filter(|(kind, ..)| self.channels.want(kind));
        file.replace(wanted.map(|(kind, subject, text, fix)| {
            let paragraph = fix.map_or_else(|| text.to_owned(), |fix| format!("{text}\n{fix}"));
            (format!("{kind} {subject}"), paragraph)
        }));
    }
}

#[cfg(test)]
mod tests;
