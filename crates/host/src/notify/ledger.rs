//! Decides what is said when: one message for a matter until it is over or is a different one, then reminders further
//! and further apart. It keeps no clock and calls nobody; its whole state is written to disk, so that a daemon which is
//! restarted over and over says nothing twice.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::message::{Event, Message, Notification, Pace, Severity, plain};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The least time between two messages about one matter; doubled with each, for a matter that comes and goes.
pub const SHORTEST_GAP: i64 = 5 * MINUTE;
/// A matter that stayed away this long is a new one when it comes again.
const FORGOTTEN_AFTER: i64 = HOUR;
/// A matter that nobody has named since the start is not spoken of, and forgotten after this.
const UNCONFIRMED_FOR: i64 = 7 * DAY;
/// What was told is not told again for this long.
const TOLD_FOR: i64 = DAY;
const MOST_TOLD: usize = 200;

/// Every matter that goes on or is not forgotten yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    serial: u64,
    matters: Vec<Matter>,
    told: VecDeque<Message>,
    /// Told, and not handed out yet.
    waiting: Vec<Message>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Matter {
    kind: String,
    subject: String,
    severity: Severity,
    text: String,
    fix: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
    pace: Pace,
    /// When it began, or came again.
    since: i64,
    open: bool,
    /// When it was cleared last.
    closed: i64,
    /// The last message that was no end.
    sent: Option<i64>,
    times: u32,
    /// Since it began something was said: its end is worth a message.
    announced: bool,
    /// What is known now was not said yet.
    news: bool,
    /// Its end has to be said.
    owed: bool,
    /// Somebody has named it since this process began.
    #[serde(skip)]
    confirmed: bool,
}

impl Ledger {
    /// The matter goes on, as `notification` says. Gives whether anything is different now.
    pub fn raise(&mut self, now: i64, notification: &Notification) -> bool {
        let Some(matter) = self.matter(notification.kind, &notification.subject) else {
            self.matters.push(Matter::new(now, notification));
            return true;
        };
        let was_known = matter.open && matter.confirmed;
        matter.confirmed = true;
        if !matter.open {
            (matter.open, matter.since, matter.owed, matter.news) = (true, now, false, true);
        }
        matter.describe(notification) || !was_known
    }

    /// The matter is over. Gives whether anything is different now.
    pub fn clear(&mut self, now: i64, kind: &str, subject: &str) -> bool {
        let Some(matter) = self.matter(kind, subject).filter(|matter| matter.open) else { return false };
        matter.owed = std::mem::take(&mut matter.announced);
        (matter.open, matter.news, matter.closed) = (false, false, now);
        true
    }

    /// Something happened that does not go on. Gives whether it is new.
    pub fn tell(&mut self, now: i64, notification: &Notification) -> bool {
        self.told.retain(|told| told.at > now - TOLD_FOR && told.at <= now);
        let matter = Matter::new(now, notification);
        let same = |told: &Message| {
            let (kind, subject) = (&matter.kind, &matter.subject);
            (&told.kind, &told.subject, &told.text, &told.details) == (kind, subject, &matter.text, &matter.details)
        };
        if self.told.iter().any(same) {
            return false;
        }
        let message = matter.message(Event::Told, now, self.next_serial());
        self.told.push_back(message.clone());
        self.waiting.push(message);
        if self.told.len() > MOST_TOLD {
            self.told.pop_front();
        }
        true
    }

    /// What is to be said at `now`, each once. What is not `wanted` waits until it is.
    pub fn due(&mut self, now: i64, wanted: impl Fn(&str) -> bool) -> Vec<Message> {
        let mut messages: Vec<Message> = std::mem::take(&mut self.waiting);
        messages.retain(|message| wanted(&message.kind));
        let mut serial = self.serial;
        for matter in &mut self.matters {
            // After a clock that was ahead.
            matter.sent = matter.sent.map(|sent| sent.min(now));
            if let Some(event) = matter.event(now, wanted(&matter.kind)) {
                serial += 1;
                messages.push(matter.message(event, now, serial));
                matter.said(event, now);
            }
        }
        self.serial = serial;
        self.matters.retain(|matter| !matter.is_forgotten(now));
        messages
    }

    /// Whether everything that was told has been taken by [`Ledger::due`].
    pub(super) fn is_handed_out(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When [`Ledger::due`] has something to say next, without another event.
    #[must_use]
    pub fn next_wake(&self, wanted: impl Fn(&str) -> bool) -> Option<i64> {
        let open = self.matters.iter().filter(|matter| matter.speaks() && wanted(&matter.kind));
        open.map(Matter::deadline).min()
    }

    /// What goes on and was named since the start: kind, subject, text, fix.
    pub fn open(&self) -> impl Iterator<Item = (&str, &str, &str, Option<&str>)> {
        let open = self.matters.iter().filter(|matter| matter.speaks());
        open.map(|matter| (&*matter.kind, &*matter.subject, &*matter.text, matter.fix.as_deref()))
    }

    fn matter(&mut self, kind: &str, subject: &str) -> Option<&mut Matter> {
        self.matters.iter_mut().find(|matter| matter.kind == kind && matter.subject == subject)
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

impl Matter {
    fn new(now: i64, notification: &Notification) -> Self {
        Self {
            kind: notification.kind.to_owned(),
            subject: notification.subject.clone(),
            severity: notification.severity,
            text: plain(&notification.text),
            fix: notification.fix.as_deref().map(plain),
            details: notification.details.clone(),
            pace: notification.pace,
            since: now,
            open: true,
            closed: now,
            sent: None,
            times: 0,
            announced: false,
            news: true,
            owed: false,
            confirmed: true,
        }
    }

    /// Gives whether that is news.
    fn describe(&mut self, notification: &Notification) -> bool {
        let (text, fix) = (plain(&notification.text), notification.fix.as_deref().map(plain));
        let same = (&self.text, &self.fix, self.severity) == (&text, &fix, notification.severity);
        (self.text, self.fix, self.severity, self.pace) = (text, fix, notification.severity, notification.pace);
        self.details.clone_from(&notification.details);
        self.news |= !same;
        !same
    }

    fn speaks(&self) -> bool {
        self.open && self.confirmed
    }

    fn deadline(&self) -> i64 {
        self.sent.map_or(self.since, |sent| sent + if self.news { self.gap() } else { self.window() })
    }

    fn window(&self) -> i64 {
        match (self.pace, self.times) {
            (Pace::BackOff, 0 | 1) => HOUR,
            (Pace::BackOff, 2) => 4 * HOUR,
            (Pace::BackOff, _) | (Pace::Daily, _) => DAY,
        }
    }

    /// Something new may be said sooner than the same again, but not over and over; what came again within the hour.
    fn gap(&self) -> i64 {
        let doublings = 2_i64.saturating_pow(self.times.saturating_sub(1));
        SHORTEST_GAP.saturating_mul(doublings).min(if self.announced { self.window() } else { HOUR })
    }

    fn event(&mut self, now: i64, wanted: bool) -> Option<Event> {
        if !wanted {
            self.owed = false;
            return None;
        }
        if self.owed {
            return Some(Event::Resolved);
        }
        let event = match (self.announced, self.news) {
            (false, _) => Event::Raised,
            (true, true) => Event::Changed,
            (true, false) => Event::Reminder,
        };
        (self.speaks() && now >= self.deadline()).then_some(event)
    }

    fn said(&mut self, event: Event, now: i64) {
        if event == Event::Resolved {
            self.owed = false;
            return;
        }
        (self.sent, self.announced, self.news) = (Some(now), true, false);
        self.times = self.times.saturating_add(1);
    }

    fn is_forgotten(&self, now: i64) -> bool {
        if self.open {
            return !self.confirmed && now > self.sent.unwrap_or(self.since) + UNCONFIRMED_FOR;
        }
        !self.owed && now >= self.closed + FORGOTTEN_AFTER
    }

    fn message(&self, event: Event, now: i64, serial: u64) -> Message {
        Message {
            id: format!("{now}-{serial}"),
            event,
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            severity: if event == Event::Resolved { Severity::Info } else { self.severity },
            text: self.text.clone(),
            fix: self.fix.clone().filter(|_| event != Event::Resolved),
            details: self.details.clone(),
            since: self.since,
            at: now,
        }
    }
}

#[cfg(test)]
mod tests;
