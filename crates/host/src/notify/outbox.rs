//! What one channel has still to bring, in order: decides when it is tried and when it is given up. Calls nobody.

use std::{collections::VecDeque, time::Duration};

use bowline_base::backoff::full_jitter;
use serde::{Deserialize, Serialize};

use super::message::{Event, Message};

/// How long a channel goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries for one message.
    pub tries: u32,
    /// Seconds after which a message is of no use any more.
    pub age: i64,
}

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It may arrive later, and why it did not now.
    Later(String),
    /// It will never be taken, and why.
    Refused(String),
}

/// What to do for a channel now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bring this.
    Send(Message),
    /// Nothing before this Unix time.
    Wait(i64),
    /// Nothing.
    Idle,
}

/// What becomes of a message after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived, after this many tries.
    Done(u32),
    /// It is kept, and tried again.
    Kept(String),
    /// It is given up.
    Lost(String),
}

/// The messages of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox(VecDeque<Waiting>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    message: Message,
    tries: u32,
    not_before: i64,
}

/// Months of messages about a handful of matters.
pub const MOST: usize = 200;

const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

impl Outbox {
    /// Adds `message` behind the others. When there is no room a reminder has to go, else the oldest; gives what went.
    pub fn push(&mut self, message: Message) -> Option<Message> {
        let not_before = message.at;
        self.0.push_back(Waiting { message, tries: 0, not_before });
        if self.0.len() <= MOST {
            return None;
        }
        let reminder = self.0.iter().position(|waiting| waiting.message.event == Event::Reminder);
        self.0.remove(reminder.unwrap_or(0)).map(|waiting| waiting.message)
    }

    /// What to do at `now`. The first message is in the way of the others, so that they arrive in order.
    #[must_use]
    pub fn next(&self, now: i64) -> Next {
        let Some(first) = self.0.front() else { return Next::Idle };
        // A clock that was ahead must not silence the channel.
        let longest = now.saturating_add(i64::try_from(LONGEST_PAUSE.as_secs()).unwrap_or(i64::MAX));
        if first.not_before <= now || first.not_before > longest {
            return Next::Send(first.message.clone());
        }
        Next::Wait(first.not_before)
    }

    /// Takes in how a try of the message `id` went. `entropy` is any random number.
    pub fn settle(&mut self, now: i64, id: &str, outcome: Outcome, patience: Patience, entropy: u64) -> Option<Fate> {
        let first = self.0.front_mut().filter(|waiting| waiting.message.id == id)?;
        first.tries = first.tries.saturating_add(1);
        let fate = match outcome {
            Outcome::Delivered => Fate::Done(first.tries),
            Outcome::Refused(why) => Fate::Lost(why),
            Outcome::Later(why) if first.tries >= patience.tries || now - first.message.at > patience.age => {
                Fate::Lost(why)
            }
            Outcome::Later(why) => {
                first.not_before = now + pause(first.tries, entropy);
                Fate::Kept(why)
            }
        };
        if !matches!(fate, Fate::Kept(_)) {
            self.0.pop_front();
        }
        Some(fate)
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// Seconds; between half of the ceiling and the ceiling, so that many machines do not come back at once.
fn pause(tries: u32, entropy: u64) -> i64 {
    let ceiling = full_jitter(tries - 1, FIRST_PAUSE, LONGEST_PAUSE, u64::MAX);
    let time = ceiling / 2 + full_jitter(tries - 1, FIRST_PAUSE, LONGEST_PAUSE, entropy) / 2;
    i64::try_from(time.as_secs()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::message::Severity;

    const WEBHOOK: Patience = Patience { tries: u32::MAX, age: 3 * 86_400 };

    fn message(number: usize, event: Event, at: i64) -> Message {
        Message {
            id: number.to_string(),
            event,
            kind: "login".to_owned(),
            subject: "corp".to_owned(),
            severity: Severity::Warning,
            text: "t".to_owned(),
            fix: None,
            details: std::collections::BTreeMap::new(),
            since: 0,
            at,
        }
    }

    #[test]
    fn a_full_box_loses_reminders_first() {
        let mut outbox = Outbox::default();
        outbox.push(message(0, Event::Raised, 0));
        for number in 1..MOST {
            assert_eq!(outbox.push(message(number, Event::Reminder, 0)), None);
        }
        assert_eq!(outbox.push(message(MOST, Event::Raised, 0)).unwrap().id, "1");
        assert_eq!((outbox.waiting(), outbox.next(0)), (MOST, Next::Send(message(0, Event::Raised, 0))));
    }

    #[test]
    fn a_refusal_and_the_last_try_make_room_for_the_next() {
        let (mut outbox, few) = (Outbox::default(), Patience { tries: 2, age: 60 });
        for number in 0..2 {
            outbox.push(message(number, Event::Raised, 0));
        }
        let why = || "no".to_owned();
        assert_eq!(outbox.settle(0, "0", Outcome::Refused(why()), few, 0), Some(Fate::Lost(why())));
        assert_eq!(outbox.settle(0, "1", Outcome::Later(why()), few, 0), Some(Fate::Kept(why())));
        assert_eq!(outbox.next(0), Next::Wait(2));
        assert_eq!(outbox.settle(2, "1", Outcome::Later(why()), few, 0), Some(Fate::Lost(why())));
        assert_eq!((outbox.next(2), outbox.settle(2, "1", Outcome::Delivered, few, 0)), (Next::Idle, None));
    }

    proptest! {
        /// However long the other side is away (but for days), everything arrives once and in order, soon after it is back.
        #[test]
        fn nothing_is_lost_in_an_outage(gaps in prop::collection::vec(0_i64..4000, 1..30), back in 0_i64..200_000, seed: u64) {
            let (mut outbox, mut now, mut arrived) = (Outbox::default(), 0, Vec::new());
            let mut coming: VecDeque<(usize, i64)> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).enumerate().collect();
            let end = back.max(coming.back().unwrap().1) + 2 * 300;
            while now <= end {
                while coming.front().is_some_and(|(_, at)| *at <= now) {
                    let (number, at) = coming.pop_front().unwrap();
                    prop_assert!(outbox.push(message(number, Event::Raised, at)).is_none());
                }
                match outbox.next(now) {
                    Next::Send(message) => {
                        let outcome = if now >= back { Outcome::Delivered } else { Outcome::Later(String::new()) };
                        if let Some(Fate::Done(_)) = outbox.settle(now, &message.id, outcome, WEBHOOK, seed ^ now as u64) {
                            arrived.push(message.id.parse::<usize>().unwrap());
                        }
                    }
                    Next::Wait(until) => {
                        prop_assert!(until > now && until - now <= 300);
                        now = coming.front().map_or(until, |(_, at)| until.min(*at).max(now + 1));
                    }
                    Next::Idle => now = coming.front().map_or(end + 1, |(_, at)| *at),
                }
            }
            prop_assert_eq!(arrived, (0..gaps.len()).collect::<Vec<_>>());
        }
    }
}
