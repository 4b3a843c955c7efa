//! The machine against a model of IAM, STS and the journal, with faults and crashes at every step.

use std::collections::BTreeMap;

use base::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::fates::Fate;

/// When a key was made, and from when readers see that it is deleted.
struct Key {
    made: Now,
    gone: Option<Duration>,
}

struct World {
    now: Now,
    delay: Duration,
    keys: BTreeMap<KeyId, Key>,
    journal: Option<Record>,
    made: u32,
}

impl World {
    /// With one key that the user has for good.
    fn new(delay: Duration) -> Self {
        let now = Now { boot: Duration::from_secs(1000), wall: Timestamp::from_second(1_000_000).unwrap() };
        let made = Now { boot: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let keys = [(KeyId::new("AKIAOWN"), Key { made, gone: None })].into();
        Self { now, delay, keys, journal: None, made: 0 }
    }

    fn live(&self) -> usize {
        self.keys.values().filter(|key| key.gone.is_none()).count()
    }

    fn act(&mut self, ask: &Ask, memory: &mut Option<KeyId>) -> Answer {
        let (now, delay) = (self.now.boot, self.delay);
        let is_there = |key: &&mut Key| key.gone.is_none() && key.made.boot + delay <= now;
        match ask {
            Ask::List => {
                let seen = |key: &Key| key.made.boot + delay <= now && key.gone.is_none_or(|at| now < at);
                let listed = self.keys.iter().filter(|(_, key)| seen(key)).map(|(id, key)| Listed {
                    id: id.clone(),
                    active: true,
                    created_at: key.made.wall,
                });
                Answer::Listed(listed.collect())
            }
            Ask::Note(record) => {
                self.journal = Some(record.clone());
                Answer::Done
            }
            Ask::Create if self.live() >= 2 => Answer::Refused(Refusal::NoRoom),
            Ask::Create => {
                self.made += 1;
                let id = KeyId::new(format!("AKIA{}", self.made));
                self.keys.insert(id.clone(), Key { made: self.now, gone: None });
                *memory = Some(id.clone());
                Answer::Made(id)
            }
            Ask::Session => match self.keys.get_mut(memory.as_ref().unwrap()).filter(is_there) {
                Some(_) => Answer::Done,
                None => Answer::Refused(Refusal::UnknownKey),
            },
            Ask::Delete(id) => {
                assert_ne!(id.as_str(), "AKIAOWN", "the user's own key is never deleted");
                match self.keys.get_mut(id).filter(is_there) {
                    Some(key) => {
                        key.gone = Some(now + delay);
                        Answer::Done
                    }
                    None => Answer::Refused(Refusal::Missing),
                }
            }
            Ask::Forget => {
                self.journal = None;
                Answer::Done
            }
            Ask::Confirm => Answer::Done,
        }
    }

    fn process(&mut self, wish: Wish, fates: &mut impl Iterator<Item = Fate>) -> Option<End> {
        let (mut machine, mut memory) = (TemporaryKey::new(self.journal.clone(), wish), None);
        loop {
            let Some(output) = machine.poll() else {
                let (at, _) = machine.next_wake().expect("a machine waits for something");
                self.now = self.now.after(at.saturating_sub(self.now.boot));
                machine.handle(self.now, Answer::Woke);
                continue;
            };
            let ask = match output {
                Output::End(end) => return Some(end),
                Output::Do(ask) => ask,
            };
            self.now = self.now.after(Duration::from_millis(100));
            let fate = fates.next().unwrap_or(Fate::Well);
            let answer = match fate {
                Fate::CrashBefore => return None,
                Fate::Refused => Answer::Refused(Refusal::Other),
                Fate::Well | Fate::CrashAfter | Fate::Lost => self.act(&ask, &mut memory),
            };
            match fate {
                Fate::CrashAfter => return None,
                Fate::Lost if ask == Ask::Create => machine.handle(self.now, Answer::Refused(Refusal::Unclear)),
                Fate::Lost => machine.handle(self.now, Answer::Refused(Refusal::Other)),
                _ => machine.handle(self.now, answer),
            }
        }
    }

    fn run_out(&mut self, wish: Wish, fates: Vec<Fate>) {
        let mut fates = fates.into_iter();
        for _ in 0..200 {
            if matches!(self.process(wish, &mut fates), Some(End::Session | End::Swept)) {
                return;
            }
            self.now = self.now.after(Duration::from_secs(3));
        }
        panic!("it never ends: {:?}", self.journal);
    }
}

#[test]
fn a_crash_at_any_step_leaves_nothing_after_the_next_sweep() {
    for delay in [0, 3].map(Duration::from_secs) {
        for step in 0..9 {
            for fate in Fate::BAD {
                let mut world = World::new(delay);
                world.process(Wish::Session, &mut fate.at(step));
                world.run_out(Wish::Sweep, Vec::new());
                assert!(world.live() == 1 && world.journal.is_none(), "{step} {fate:?}");
            }
        }
    }
}

#[test]
fn a_user_with_two_keys_is_left_as_it_is() {
    let mut world = World::new(Duration::ZERO);
    let made = Now { boot: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
    world.keys.insert(KeyId::new("AKIATWO"), Key { made, gone: None });
    let end = world.process(Wish::Session, &mut std::iter::empty());
    assert_eq!(end, Some(End::NoRoom(vec![KeyId::new("AKIAOWN"), KeyId::new("AKIATWO")])));
    assert!(world.live() == 2 && world.journal.is_none());
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let at = Timestamp::from_second(9).unwrap();
    for step in [Step::Creating { known: vec![KeyId::new("A")] }, Step::Created { key: KeyId::new("B") }] {
        let record = Record { at, step };
        assert_eq!(Record::from_json(&record.to_json("dirk-a")), Some(("dirk-a".to_owned(), record)));
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_key_is_left(fates in prop::collection::vec(Fate::any(5), 0..60), delay in 0_u64..8) {
        let mut world = World::new(Duration::from_secs(delay));
        world.run_out(Wish::Session, fates);
        prop_assert!(world.live() == 1 && world.journal.is_none());
    }
}
