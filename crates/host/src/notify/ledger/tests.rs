//! The ledger in virtual time: by example, and by rules that hold for any order of events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn login(subject: &str, text: &str) -> Notification {
    Notification {
        kind: "login",
        subject: subject.to_owned(),
        severity: Severity::Critical,
        text: text.to_owned(),
        fix: Some("run it".to_owned()),
        details: std::collections::BTreeMap::new(),
        pace: Pace::BackOff,
    }
}

fn events(ledger: &mut Ledger, now: i64) -> Vec<Event> {
    ledger.due(now, |_| true).iter().map(|message| message.event).collect()
}

/// What a new process knows.
fn restarted(ledger: &Ledger) -> Ledger {
    serde_json::from_str(&serde_json::to_string(ledger).unwrap()).unwrap()
}

#[test]
fn one_message_then_reminders_further_and_further_apart_then_the_end() {
    let mut ledger = Ledger::default();
    let mut said = Vec::new();
    for minute in 0..60 * 60 {
        let now = minute * MINUTE;
        ledger.raise(now, &login("corp", "needed"));
        said.extend(ledger.due(now, |_| true).iter().map(|message| (minute, message.event)));
    }
    let hours: Vec<i64> = said.iter().map(|(minute, _)| minute / 60).collect();
    assert_eq!(hours, [0, 1, 5, 29, 53]);
    assert!(said[1..].iter().all(|(_, event)| *event == Event::Reminder) && said[0].1 == Event::Raised);
    assert!(ledger.clear(60 * HOUR, "login", "corp") && !ledger.clear(60 * HOUR, "login", "corp"));
    let end = ledger.due(60 * HOUR, |_| true).remove(0);
    assert_eq!((end.event, end.severity, end.fix), (Event::Resolved, Severity::Info, None));
    assert_eq!((events(&mut ledger, 70 * HOUR), ledger.matters.len()), (vec![], 0));
}

#[test]
fn a_restart_says_nothing_twice_and_reminds_only_of_what_is_named_again() {
    let mut ledger = Ledger::default();
    ledger.raise(0, &login("corp", "needed"));
    assert_eq!(events(&mut ledger, 0), [Event::Raised]);
    for second in 1..1000 {
        ledger = restarted(&ledger);
        ledger.raise(second, &login("corp", "needed"));
        assert_eq!(events(&mut ledger, second), []);
    }
    ledger = restarted(&ledger);
    assert_eq!((events(&mut ledger, 5 * HOUR), ledger.next_wake(|_| true)), (vec![], None));
    ledger.raise(5 * HOUR, &login("corp", "needed"));
    assert_eq!(events(&mut ledger, 5 * HOUR), [Event::Reminder]);
    ledger = restarted(&ledger);
    ledger.clear(6 * HOUR, "login", "corp");
    assert_eq!(events(&mut ledger, 6 * HOUR), [Event::Resolved], "it ended while nobody looked");
    let mut stale = Ledger::default();
    stale.raise(0, &login("gone", "needed"));
    stale = restarted(&stale);
    assert!(events(&mut stale, 8 * DAY).is_empty() && stale.matters.is_empty());
}

#[test]
fn news_are_said_soon_but_never_over_and_over() {
    let mut ledger = Ledger::default();
    let mut said = Vec::new();
    for second in 0..4 * HOUR {
        ledger.raise(second, &login("corp", if second % 2 == 0 { "this" } else { "that" }));
        said.extend(events(&mut ledger, second).iter().map(|_| second / MINUTE));
    }
    assert_eq!(said, [0, 5, 15, 35, 75, 155]);
}

#[test]
fn what_comes_and_goes_is_said_less_and_less_and_a_short_return_not_at_all() {
    let mut ledger = Ledger::default();
    ledger.raise(0, &login("corp", "needed"));
    assert_eq!(events(&mut ledger, 0), [Event::Raised]);
    ledger.clear(1, "login", "corp");
    assert_eq!(events(&mut ledger, 1), [Event::Resolved]);
    ledger.raise(2, &login("corp", "needed"));
    assert_eq!(events(&mut ledger, 2), []);
    ledger.clear(3, "login", "corp");
    assert_eq!(events(&mut ledger, 3), [], "nobody heard of it");
    ledger.raise(4, &login("corp", "needed"));
    assert_eq!(ledger.next_wake(|_| true), Some(SHORTEST_GAP));
    assert_eq!(events(&mut ledger, SHORTEST_GAP), [Event::Raised]);
}

#[test]
fn what_nobody_wants_to_hear_waits_until_somebody_does() {
    let mut ledger = Ledger::default();
    ledger.raise(0, &login("corp", "needed"));
    assert!(ledger.due(0, |_| false).is_empty() && ledger.next_wake(|_| false).is_none());
    assert_eq!(events(&mut ledger, 10), [Event::Raised]);
}

#[test]
fn what_is_told_is_told_once_a_day() {
    let mut ledger = Ledger::default();
    assert!(ledger.tell(0, &login("corp", "moved")) && !ledger.tell(1, &login("corp", "moved")));
    assert!(ledger.tell(2, &login("corp", "moved back")));
    assert_eq!(events(&mut ledger, 2), [Event::Told, Event::Told]);
    ledger = restarted(&ledger);
    assert!(!ledger.tell(3, &login("corp", "moved")) && ledger.tell(DAY + 1, &login("corp", "moved")));
}

#[test]
fn a_clock_that_was_ahead_silences_nobody() {
    let mut ledger = Ledger::default();
    ledger.raise(400 * DAY, &login("corp", "needed"));
    assert_eq!(events(&mut ledger, 400 * DAY), [Event::Raised]);
    ledger.due(DAY, |_| true);
    assert_eq!(events(&mut ledger, DAY + HOUR), [Event::Reminder]);
}

#[derive(Clone, Debug)]
enum Step {
    Raise(u8, u8),
    Clear(u8),
    Wait(u16),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..2, 0_u8..3).prop_map(|(subject, text)| Step::Raise(subject, text)),
        (0_u8..2).prop_map(Step::Clear),
        (1_u16..20_000).prop_map(Step::Wait),
        Just(Step::Restart),
    ]
}

proptest! {
    /// Never two messages within the shortest gap unless an end lies between whose matter was forgotten, never the same
    /// again within its window, and never silence about what goes on.
    #[test]
    fn never_too_often_and_never_not_at_all(steps in prop::collection::vec(step(), 1..120)) {
        let (mut ledger, mut now) = (Ledger::default(), 0_i64);
        let mut last: BTreeMap<String, Message> = BTreeMap::new();
        let mut open: BTreeMap<String, (i64, u8)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Raise(subject, text) => {
                    let name = subject.to_string();
                    ledger.raise(now, &login(&name, &text.to_string()));
                    open.entry(name).or_insert((now, text)).1 = text;
                }
                Step::Clear(subject) => {
                    ledger.clear(now, "login", &subject.to_string());
                    open.remove(&subject.to_string());
                }
                Step::Wait(seconds) => now += i64::from(seconds),
                Step::Restart => {
                    ledger = restarted(&ledger);
                    for (name, (_, text)) in &open {
                        ledger.raise(now, &login(name, &text.to_string()));
                    }
                }
            }
            for message in ledger.due(now, |_| true) {
                if message.event == Event::Resolved {
                    prop_assert!(!open.contains_key(&message.subject));
                    continue;
                }
                prop_assert!(open.contains_key(&message.subject));
                if let Some(before) = last.insert(message.subject.clone(), message.clone()) {
                    prop_assert!(message.at - before.at >= SHORTEST_GAP, "{before:?} {message:?}");
                    if message.event == Event::Reminder {
                        prop_assert!(message.at - before.at >= HOUR, "{before:?} {message:?}");
                    }
                }
            }
            for (name, (since, _)) in &open {
                let heard = last.get(name).is_some_and(|message| message.at >= *since);
                prop_assert!(heard || now - since < HOUR, "{name} is open since {since}, and at {now} nobody knows");
            }
        }
    }
}
