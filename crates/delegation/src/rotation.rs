//! The two-key dance: a manager's key is replaced by a new one, and at no moment is there none that is stored and works.
//!
//! ```text
//! list -> note -> create -> note -> prove -> store -> note -> verify -> old inactive -> note -> verify -> grace -> delete
//! ```
//!
//! A pure machine: [`Rotation::poll`] says what to do, [`Rotation::handle`] takes what came of it. What it notes goes to
//! a journal before the next step, so that a rotation that was cut off anywhere is finished, or undone, by the next one:
//! what is stored decides which. A new key whose secret was not stored is deleted, whether its id is known or not. The
//! new key is proven while it is in memory, so that what is stored always works. Knows no AWS call and no file.

mod drive;
mod record;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base::{KeyId, Now, Timestamp};
use bowline_base as base;

use crate::{
    propagation::{Listed, Refusal, SETTLE, stray},
    turns::{self, Turns},
};

pub use drive::{Place, rotate};
pub use record::{Record, Step};

/// Something to do, one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read which key is stored.
    Load,
    /// List the user's keys, as the stored key.
    List,
    /// Write this into the journal.
    Note(Record),
    /// Make a key, as the stored key, and keep it in memory.
    Create,
    /// Ask STS with the key in memory.
    Prove,
    /// Store the key in memory in the place of the former one.
    Store,
    /// Read what is stored, and ask STS with that.
    Verify,
    /// Put that key to sleep, as the stored key.
    Deactivate(KeyId),
    /// Wake that key, as the stored key.
    Activate(KeyId),
    /// Delete that key, as the stored key.
    Delete(KeyId),
    /// Remove the journal.
    Forget,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// This key is stored.
    Loaded(KeyId),
    /// The keys of the user.
    Listed(Vec<Listed>),
    /// This key was made.
    Made(KeyId),
    /// It was not done.
    Refused(Refusal),
    /// The moment of [`Rotation::next_wake`] has come.
    Woke,
}

/// What the machine wants.
pub type Output = turns::Output<Ask, End>;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The new key is stored and works, the old one is deleted.
    Rotated {
        /// Deleted.
        old: KeyId,
        /// Stored.
        new: KeyId,
    },
    /// The new key is stored and works; the old one sleeps, and the next rotation after `until` deletes it.
    Waiting {
        /// Inactive.
        old: KeyId,
        /// Stored.
        new: KeyId,
        /// End of the grace.
        until: Timestamp,
    },
    /// It came no further; what is stored works.
    Stopped(Stop),
}

/// Why it came no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The last thing that was asked for failed.
    Failed,
    /// The user has this key besides, and two are the limit.
    NoRoom(KeyId),
    /// The stored key is not among the user's.
    NotTheirs(KeyId),
    /// Another key is stored than the journal speaks of.
    Foreign(KeyId),
    /// The new key never worked, and was deleted.
    NeverWorked,
}

/// How long the old key sleeps where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// The machine.
#[derive(Debug)]
pub struct Rotation {
    grace: Duration,
    stay: Duration,
    record: Option<Record>,
    stored: Option<KeyId>,
    turns: Turns<Ask, End>,
    gone: Vec<KeyId>,
    failing: Option<Stop>,
    starts: u32,
}

/// A lost answer to `CreateAccessKey` leads to another try, but not for ever.
const MOST_STARTS: u32 = 3;

impl Rotation {
    /// Begins, or goes on from what the journal says. The old key sleeps for `grace` before it is deleted; without one,
    /// for as long as the rotation was begun with, or 10 s. When more than `stay` of that is left, the machine ends and
    /// the next one goes on.
    #[must_use]
    pub fn new(record: Option<Record>, grace: Option<Duration>, stay: Duration) -> Self {
        let noted = record.as_ref().and_then(|record| record.grace);
        let grace = grace.or(noted).unwrap_or(GRACE);
        let mut turns = Turns::default();
        turns.ask(Ask::Load);
        Self { grace, stay, record, stored: None, turns, gone: Vec::new(), failing: None, starts: 0 }
    }

    /// What to do now; nothing while it waits for an answer or a moment.
    pub fn poll(&mut self) -> Option<Output> {
        self.turns.poll()
    }

    /// When to call [`Rotation::handle`] with [`Answer::Woke`] (boot time), and why it waits.
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
            (Ask::Load, Answer::Loaded(id)) => self.loaded(now, id),
            (Ask::List, Answer::Listed(keys)) => self.listed(now, &keys),
            (Ask::Create, Answer::Made(new)) => self.note(now, Step::Created { new }),
            (Ask::Note(record), _) => self.noted(record),
            (Ask::Prove, _) => self.ask(Ask::Store),
            (Ask::Store, _) => {
                self.stored = self.new_key();
                self.step_on(now);
            }
            (Ask::Verify, _) => self.verified(now),
            (Ask::Deactivate(_), _) => self.step_on(now),
            (Ask::Activate(_), _) => self.wake_up_again(now),
            (Ask::Delete(id), _) => self.deleted(id),
            (Ask::Forget, _) => self.forgotten(),
            _ => self.end(Stop::Failed),
        }
    }

    fn refused(&mut self, now: Now, asked: Ask, why: Refusal) {
        match (asked, why) {
            (Ask::Create, Refusal::Unclear) => self.ask(Ask::List),
            (Ask::Create, _) => self.undo(Stop::Failed, Ask::Forget),
            (ask @ Ask::Prove, Refusal::UnknownKey) => self.again_or(now, ask, |machine| match machine.new_key() {
                Some(new) => machine.undo(Stop::NeverWorked, Ask::Delete(new)),
                None => machine.end(Stop::Failed),
            }),
            // What is stored now tells whether to go on or to undo.
            (Ask::Store, _) => self.undo(Stop::Failed, Ask::Load),
            (ask @ Ask::Verify, Refusal::UnknownKey) => self.again_or(now, ask, |machine| match &machine.record {
                Some(Record { old, step: Step::Idle { .. }, .. }) => {
                    let old = old.clone();
                    machine.undo(Stop::Failed, Ask::Activate(old));
                }
                _ => machine.end(Stop::Failed),
            }),
            (Ask::Deactivate(_), Refusal::Missing) => self.step_on(now),
            (ask @ (Ask::Deactivate(_) | Ask::List), Refusal::UnknownKey) => {
                self.again_or(now, ask, |machine| machine.end(Stop::Failed));
            }
            (ask @ Ask::Delete(_), Refusal::UnknownKey) => self.again_or(now, ask, |machine| machine.end(Stop::Failed)),
            (Ask::Delete(id), Refusal::Missing) if self.may_yet_appear(now, &id) => {
                self.again_or(now, Ask::Delete(id.clone()), |machine| machine.deleted(id));
            }
            (Ask::Delete(id), Refusal::Missing) => self.deleted(id),
            _ => self.end(Stop::Failed),
        }
    }

    fn loaded(&mut self, now: Now, id: KeyId) {
        self.stored = Some(id.clone());
        let Some(record) = self.record.clone() else { return self.ask(Ask::List) };
        match (id == record.old, record.step.clone()) {
            (true, Step::Creating { .. }) => self.ask(Ask::List),
            (true, Step::Created { new } | Step::Stored { new }) => self.ask(Ask::Delete(new)),
            (false, Step::Created { new }) if new == id => {
                self.failing = None;
                self.step_on(now);
            }
            // Another grace than before holds from now on: noted first, and verified then.
            (false, Step::Idle { new }) if new == id && record.grace != Some(self.grace) => {
                self.ask(Ask::Note(Record { grace: Some(self.grace), step: Step::Idle { new }, ..record }));
            }
            (false, Step::Stored { new } | Step::Idle { new }) if new == id => self.ask(Ask::Verify),
            _ => self.end(Stop::Foreign(id)),
        }
    }

    fn listed(&mut self, now: Now, keys: &[Listed]) {
        let keys: Vec<Listed> = keys.iter().filter(|key| !self.gone.contains(&key.id)).cloned().collect();
        match self.record.clone() {
            None => self.begin(now, &keys),
            Some(Record { step: Step::Creating { known }, at, .. }) => match stray(&keys, &known, at) {
                Some(id) => self.ask(Ask::Delete(id.clone())),
                None if now.wall < at + SETTLE => self.again_or(now, Ask::List, |machine| machine.ask(Ask::Forget)),
                None => self.ask(Ask::Forget),
            },
            Some(_) => self.end(Stop::Failed),
        }
    }

    fn begin(&mut self, now: Now, keys: &[Listed]) {
        let Some(old) = self.stored.clone() else { return self.end(Stop::Failed) };
        if !keys.iter().any(|key| key.id == old) {
            return self.end(Stop::NotTheirs(old));
        }
        if let Some(other) = keys.iter().find(|key| key.id != old) {
            return self.end(Stop::NoRoom(other.id.clone()));
        }
        let known = keys.iter().map(|key| key.id.clone()).chain(self.gone.iter().cloned()).collect();
        self.ask(Ask::Note(self.record_of(now, old, Step::Creating { known })));
    }

    fn noted(&mut self, record: Record) {
        let next = match &record.step {
            Step::Creating { .. } => Ask::Create,
            Step::Created { .. } => Ask::Prove,
            Step::Stored { .. } | Step::Idle { .. } => Ask::Verify,
        };
        self.record = Some(record);
        match self.failing.take() {
            Some(stop) => self.end(stop),
            None => self.ask(next),
        }
    }

    fn verified(&mut self, now: Now) {
        match self.record.clone() {
            Some(Record { old, step: Step::Stored { .. }, .. }) => self.ask(Ask::Deactivate(old)),
            Some(Record { old, step: Step::Idle { new }, at, .. }) => self.rest(now, old, new, at + self.grace),
            _ => self.end(Stop::Failed),
        }
    }

    /// Waits for the end of the grace.
    fn rest(&mut self, now: Now, old: KeyId, new: KeyId, until: Timestamp) {
        match Duration::try_from(until.duration_since(now.wall)) {
            Ok(left) if left > self.stay => self.turns.end(End::Waiting { old, new, until }),
            Ok(left) if !left.is_zero() => {
                self.turns.ask_at(now.boot + left, "the old key sleeps before it is deleted", Ask::Delete(old));
            }
            _ => self.ask(Ask::Delete(old)),
        }
    }

    fn wake_up_again(&mut self, now: Now) {
        if let Some(new) = self.new_key() {
            self.note(now, Step::Stored { new });
        }
    }

    fn deleted(&mut self, id: KeyId) {
        self.gone.push(id);
        self.ask(Ask::Forget);
    }

    fn forgotten(&mut self) {
        match (self.failing.take(), self.record.take()) {
            (Some(stop), _) => self.end(stop),
            (None, Some(Record { old, step: Step::Idle { new }, .. })) => {
                self.turns.end(End::Rotated { old, new });
            }
            (None, _) if self.starts >= MOST_STARTS => self.end(Stop::Failed),
            (None, _) => {
                self.starts += 1;
                self.ask(Ask::List);
            }
        }
    }

    /// The next step of the record, noted.
    fn step_on(&mut self, now: Now) {
        match self.record.as_ref().map(|record| record.step.clone()) {
            Some(Step::Created { new }) => self.note(now, Step::Stored { new }),
            Some(Step::Stored { new }) => self.note(now, Step::Idle { new }),
            _ => self.end(Stop::Failed),
        }
    }

    fn note(&mut self, now: Now, step: Step) {
        let Some(old) = self.record.as_ref().map(|record| record.old.clone()) else { return self.end(Stop::Failed) };
        self.ask(Ask::Note(self.record_of(now, old, step)));
    }

    fn record_of(&self, now: Now, old: KeyId, step: Step) -> Record {
        Record { old, at: now.wall, grace: Some(self.grace), step }
    }

    /// A new key may be missing only because it is new.
    fn may_yet_appear(&self, now: Now, id: &KeyId) -> bool {
        self.record.as_ref().is_some_and(|record| record.old != *id && now.wall < record.at + SETTLE)
    }

    fn new_key(&self) -> Option<KeyId> {
        self.record.as_ref().and_then(|record| record.step.new_key().cloned())
    }

    fn undo(&mut self, stop: Stop, next: Ask) {
        self.failing = Some(stop);
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

    fn end(&mut self, stop: Stop) {
        self.turns.end(End::Stopped(stop));
    }
}
