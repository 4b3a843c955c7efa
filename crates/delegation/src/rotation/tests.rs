//! The machine against a model of IAM, STS, the keyring and the journal, with faults and crashes at every step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::fates::Fate;

struct Key {
    active: bool,
    made: Now,
    /// Boot time from which readers see that it is deleted.
    gone: Option<Duration>,
}

/// What outlives a process.
struct World {
    now: Now,
    delay: Duration,
    keys: BTreeMap<KeyId, Key>,
    stored: KeyId,
    journal: Option<Record>,
    made: u32,
    /// What the command line says.
    grace: Option<Duration>,
}

impl World {
    fn new(delay: Duration) -> Self {
        let now = Now { boot: Duration::from_secs(1000), wall: Timestamp::from_second(1_000_000).unwrap() };
        let first = Key { active: true, made: Now { boot: Duration::ZERO, ..now }, gone: None };
        let stored = KeyId::new("AKIA0");
        Self {
            now,
            delay,
            keys: [(stored.clone(), first)].into(),
            stored,
            journal: None,
            made: 0,
            grace: Some(Duration::from_secs(5)),
        }
    }

    fn is_seen(&self, key: &Key) -> bool {
        key.made.boot + self.delay <= self.now.boot && key.gone.is_none_or(|at| self.now.boot < at)
    }

    fn works(&self, id: &KeyId) -> bool {
        self.keys
            .get(id)
            .is_some_and(|key| key.active && key.gone.is_none() && key.made.boot + self.delay <= self.now.boot)
    }

    fn live(&self) -> Vec<&KeyId> {
        self.keys.iter().filter(|(_, key)| key.gone.is_none()).map(|(id, _)| id).collect()
    }

    /// Does what is asked; `memory` is the process's.
    fn act(&mut self, ask: &Ask, memory: &mut Option<KeyId>) -> Answer {
        let known = |works: bool| if works { Answer::Done } else { Answer::Refused(Refusal::UnknownKey) };
        match ask {
            Ask::Load => Answer::Loaded(self.stored.clone()),
            Ask::List => {
                let seen = self.keys.iter().filter(|(_, key)| self.is_seen(key));
                let listed = |(id, key): (&KeyId, &Key)| Listed {
                    id: id.clone(),
                    active: key.active,
                    created_at: key.made.wall,
                };
                Answer::Listed(seen.map(listed).collect())
            }
            Ask::Note(record) => {
                self.journal = Some(record.clone());
                Answer::Done
            }
            Ask::Create if self.live().len() >= 2 => Answer::Refused(Refusal::NoRoom),
            Ask::Create => {
                self.made += 1;
                let id = KeyId::new(format!("AKIA{}", self.made));
                self.keys.insert(id.clone(), Key { active: true, made: self.now, gone: None });
                *memory = Some(id.clone());
                Answer::Made(id)
            }
            Ask::Prove => known(self.works(memory.as_ref().unwrap())),
            Ask::Store => {
                self.stored = memory.clone().unwrap();
                Answer::Done
            }
            Ask::Verify => known(self.works(&self.stored)),
            Ask::Deactivate(id) => self.stand(id, false),
            Ask::Activate(id) => self.stand(id, true),
            Ask::Delete(id) => {
                assert_ne!(*id, self.stored, "what is stored is never deleted");
                let (now, delay) = (self.now.boot, self.delay);
                match self.keys.get_mut(id).filter(|key| key.gone.is_none() && key.made.boot + delay <= now) {
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
        }
    }

    fn stand(&mut self, id: &KeyId, active: bool) -> Answer {
        assert!(active || *id != self.stored, "what is stored is never put to sleep");
        match self.keys.get_mut(id) {
            Some(key) => {
                key.active = active;
                Answer::Done
            }
            None => Answer::Refused(Refusal::Missing),
        }
    }

    /// One process, to its end or to its crash.
    fn process(&mut self, fates: &mut impl Iterator<Item = Fate>) -> Option<End> {
        let (mut machine, mut memory) = (Rotation::new(self.journal.clone(), self.grace, STAY), None);
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
            assert!(self.works(&self.stored), "after {ask:?} ({fate:?}) the stored key does not work");
            match fate {
                Fate::CrashAfter => return None,
                Fate::Lost => machine.handle(self.now, Answer::Refused(lost(&ask))),
                _ => machine.handle(self.now, answer),
            }
        }
    }

    /// One process to which nothing happens.
    fn run(&mut self) -> End {
        self.process(&mut std::iter::empty()).expect("nothing ends it early")
    }

    /// Processes until one of them has rotated; how many it took.
    fn run_out(&mut self, fates: Vec<Fate>) -> usize {
        let mut fates = fates.into_iter();
        for count in 1..200 {
            if matches!(self.process(&mut fates), Some(End::Rotated { .. })) {
                return count;
            }
            self.now = self.now.after(Duration::from_secs(3));
        }
        panic!("it never ends: {:?}", self.journal);
    }
}

const STAY: Duration = Duration::from_secs(60);

fn lost(ask: &Ask) -> Refusal {
    if *ask == Ask::Create { Refusal::Unclear } else { Refusal::Other }
}

#[track_caller]
fn one_key_is_left(world: &World) {
    assert_eq!(world.live(), [&world.stored], "one key is left, and it is stored");
    assert!(world.works(&world.stored) && world.stored != KeyId::new("AKIA0") && world.journal.is_none());
}

/// All faults at every single step: how many steps there are is found out first.
#[test]
fn a_crash_or_fault_at_any_one_step_is_mended_by_the_next_run() {
    for delay in [0, 3].map(Duration::from_secs) {
        for step in 0..16 {
            for fate in Fate::BAD {
                let mut world = World::new(delay);
                let runs = world.run_out(fate.at(step).collect());
                assert!(runs <= 6, "{step} {fate:?}: {runs} runs");
                one_key_is_left(&world);
            }
        }
    }
}

#[test]
fn a_long_grace_ends_in_a_later_run() {
    let (mut world, _, until) = sleeping(STAY * 60);
    world.grace = None;
    assert!(matches!(world.run(), End::Waiting { until: again, .. } if again == until), "it was not over");
    world.now = world.now.after(STAY * 61);
    assert_eq!(world.run_out(Vec::new()), 1);
    one_key_is_left(&world);
}

#[test]
fn another_grace_that_somebody_gives_holds_from_then_on() {
    let (mut world, old, until) = sleeping(STAY * 60);
    world.grace = Some(STAY * 120);
    assert!(matches!(world.run(), End::Waiting { until: later, .. } if later == until + STAY * 60));
    world.grace = None;
    world.now = world.now.after(STAY * 61);
    assert!(matches!(world.run(), End::Waiting { .. }), "the longer one was noted");
    world.grace = Some(Duration::ZERO);
    assert!(matches!(world.run(), End::Rotated { old: gone, .. } if gone == old));
    one_key_is_left(&world);
}

/// A world in which the old key sleeps for `grace`; that key, and the end of its sleep.
fn sleeping(grace: Duration) -> (World, KeyId, Timestamp) {
    let mut world = World::new(Duration::ZERO);
    world.grace = Some(grace);
    let end = world.run();
    let End::Waiting { old, until, .. } = end else { panic!("{end:?}") };
    let slept = until.duration_since(world.now.wall).unsigned_abs();
    assert!(!world.keys[&old].active && slept <= grace && slept > grace - STAY);
    (world, old, until)
}

#[test]
fn a_foreign_key_or_a_full_user_stops_it_before_anything_is_made() {
    let mut world = World::new(Duration::ZERO);
    let other = KeyId::new("AKIAOTHER");
    let made = Now { boot: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
    world.keys.insert(other.clone(), Key { active: true, made, gone: None });
    assert_eq!(world.process(&mut std::iter::empty()), Some(End::Stopped(Stop::NoRoom(other))));
    assert!(world.journal.is_none() && world.made == 0);
    let strange = Record {
        old: KeyId::new("AKIAX"),
        at: made.wall,
        grace: None,
        step: Step::Stored { new: KeyId::new("AKIAY") },
    };
    world.journal = Some(strange);
    assert_eq!(world.process(&mut std::iter::empty()), Some(End::Stopped(Stop::Foreign(KeyId::new("AKIA0")))));
    assert_eq!(world.live().len(), 2);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let (old, new, at) = (KeyId::new("AKIA0"), KeyId::new("AKIA1"), Timestamp::from_second(9).unwrap());
    let new = || new.clone();
    for step in [
        Step::Creating { known: vec![old.clone()] },
        Step::Created { new: new() },
        Step::Stored { new: new() },
        Step::Idle { new: new() },
    ] {
        for grace in [None, Some(Duration::from_millis(1500)), Some(Duration::from_secs(24 * 3600))] {
            let record = Record { old: old.clone(), at, grace, step: step.clone() };
            assert_eq!(Record::from_json(&record.to_json()), Some(record));
        }
    }
    assert_eq!(Record::from_json(&serde_json::json!({ "step": "stored", "old": "", "at": "x" })), None);
}

proptest! {
    #[test]
    fn whatever_happens_a_stored_key_works_and_one_is_left(fates in prop::collection::vec(Fate::any(6), 0..80), delay in 0_u64..8) {
        let mut world = World::new(Duration::from_secs(delay));
        world.run_out(fates);
        one_key_is_left(&world);
    }
}
