//! Many writers of one log, in any order and killed at any byte: the chain always verifies, and no record is lost.

use std::{collections::BTreeSet, fs, sync::Barrier, thread};

use bowline_audit::{AuditLog, Event, Filter, Record};
use proptest::prelude::*;

use crate::world::{World, append, issued, now};

/// Each log has descriptors and locks of its own, as a process has.
#[test]
fn writers_at_one_time_make_one_chain() {
    let world = World::with_files_of(6000);
    let logs: Vec<AuditLog> = (0..6).map(|_| world.again()).collect();
    let start = Barrier::new(logs.len());
    thread::scope(|scope| {
        for (index, log) in logs.iter().enumerate() {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for number in 0..10 {
                    log.record(now(), &issued(&format!("{index}-{number}"), "mvn")).unwrap();
                    log.sign(now()).unwrap();
                }
            });
        }
    });
    assert_eq!(world.verdict().bad, None);
    assert_eq!(Filter::default().find(world.text().as_bytes()).len(), 60);
}

#[test]
fn fifty_processes_with_one_client_and_one_lease_write_one_record() {
    let world = World::new();
    let logs: Vec<AuditLog> = (0..50).map(|_| world.again()).collect();
    let start = Barrier::new(logs.len());
    let fresh: usize = thread::scope(|scope| {
        let writers: Vec<_> = logs
            .iter()
            .map(|log| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    log.record(now(), &issued("build", "mvn")).unwrap()
                })
            })
            .collect();
        writers.into_iter().map(|writer| usize::from(!writer.join().unwrap().repeated)).sum()
    });
    assert_eq!((fresh, Filter::default().find(world.text().as_bytes()).len()), (1, 1));
    world.log.record(now(), &issued("build", "terraform")).unwrap();
    assert_eq!((world.verdict().bad, world.verdict().last), (None, Some(3)));
}

#[test]
fn a_process_that_was_stopped_with_the_lock_in_its_hands_is_named() {
    let world = World::new();
    world.log.record(now(), &issued("build", "mvn")).unwrap();
    let lock = fs::File::open(world.directory().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    let fault = world.log.record(now(), &issued("build", "terraform")).unwrap_err();
    assert!(fault.message.contains("locked") && fault.hint.as_ref().unwrap().contains("fuser"), "{fault:?}");
    lock.unlock().unwrap();
    world.log.record(now(), &issued("build", "terraform")).unwrap();
    assert_eq!(world.verdict().bad, None);
}

/// What a writer does next.
#[derive(Clone, Debug)]
enum Step {
    Record(usize),
    Sign(usize),
    /// The process ends, and another one comes.
    Restart(usize),
    /// A process is killed while it writes, after so many bytes of its line.
    Die(usize),
    /// The newest file was begun and got no further.
    DieBeginning(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_usize).prop_map(Step::Record),
        2 => (0..4_usize).prop_map(Step::Sign),
        1 => (0..4_usize).prop_map(Step::Restart),
        2 => (1..300_usize).prop_map(Step::Die),
        1 => (0..60_usize).prop_map(Step::DieBeginning),
    ]
}

/// A line of a log of the same kind, to be cut anywhere.
fn line() -> Vec<u8> {
    let other = World::new();
    other.log.record(now(), &Record::about(Event::Login, "x".repeat(200))).unwrap();
    other.text().lines().next_back().unwrap().as_bytes().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_interleaving_of_writers_and_deaths_verifies_and_loses_nothing(steps in prop::collection::vec(step(), 1..40)) {
        let world = World::with_files_of(3000);
        let mut writers: Vec<AuditLog> = (0..4).map(|_| world.again()).collect();
        let (line, mut wanted) = (line(), BTreeSet::new());
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Record(writer) => {
                    let profile = format!("profile-{number}");
                    let receipt = writers[*writer].record(now(), &issued(&profile, "mvn")).unwrap();
                    prop_assert!(receipt.line.is_some() && !receipt.repeated);
                    wanted.insert(profile);
                }
                Step::Sign(writer) => drop(writers[*writer].sign(now()).unwrap()),
                Step::Restart(writer) => writers[*writer] = world.again(),
                Step::Die(bytes) => {
                    if let Some(file) = world.files().last() {
                        append(file, &line[..(*bytes).min(line.len())]);
                    }
                }
                Step::DieBeginning(bytes) => {
                    let next = world.verdict().last.map_or(1, |last| last + 1);
                    let path = world.directory().join(format!("audit-{next:012}.jsonl"));
                    if !world.files().is_empty() && !path.exists() {
                        bowline_base::atomic::write_private(&path, &line[..*bytes]).unwrap();
                    }
                }
            }
        }
        // Whoever writes next heals what the dead left behind.
        world.again().record(now(), &issued("last", "mvn")).unwrap();
        wanted.insert("last".to_owned());
        let verdict = world.verdict();
        prop_assert_eq!((&verdict.bad, &verdict.torn), (&None, &None));
        let text = world.text();
        let found = Filter { event: Some("issued".to_owned()), ..Filter::default() }.find(text.as_bytes());
        let there: Vec<&str> = found.iter().filter_map(|found| found.text("profile")).collect();
        prop_assert_eq!(there.len(), wanted.len());
        prop_assert_eq!(there.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    }
}
