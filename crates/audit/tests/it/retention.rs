//! Old files go, the newest stays, and what went is told from what was taken away.

use std::{fs, time::Duration};

use bowline_audit::{Against, Event, Filter, Flaw, Gone, verify_files};

use crate::world::{World, issued, later, now};

const DAY: u64 = 86_400;

/// A log of several files, of which all but the last began by `days` days before the last.
fn grown(world: &World, days: u64) {
    for number in 0..30 {
        world.log.record(now(), &issued(&format!("old-{number}"), "mvn")).unwrap();
    }
    for number in 0..20 {
        world.log.record(later(days * DAY), &issued(&format!("new-{number}"), "mvn")).unwrap();
    }
    world.log.sign(later(days * DAY)).unwrap();
}

fn whole(world: &World) -> bowline_audit::Verdict {
    verify_files(&world.files(), &Against { whole: true, ..Against::default() }).unwrap()
}

#[test]
fn files_that_had_their_time_go_and_the_log_says_so_and_verifies() {
    let world = World::with_files_of(4000);
    grown(&world, 10);
    let before = world.files();
    let piece = format!("{}.torn-1", before[0].display());
    bowline_base::atomic::write_private(piece.as_ref(), b"half a line").unwrap();
    let keep = Duration::from_secs(5 * DAY);
    assert_eq!(world.log.end_older_than(now(), keep, None).unwrap(), None, "nothing is old yet");
    assert_eq!(world.log.end_older_than(later(11 * DAY), keep, Some(3)).unwrap(), None, "line 4 was not sent yet");
    let (first, last) = world.log.end_older_than(later(11 * DAY), keep, None).unwrap().unwrap();
    let (after, verdict) = (world.files(), whole(&world));
    assert!(after.len() < before.len() && !fs::exists(&piece).unwrap(), "{before:?} {after:?}");
    assert_eq!((first, verdict.bad.clone(), verdict.first), (1, None, Some(last + 1)));
    let wanted = Filter { event: Some(Event::Dropped.name().to_owned()), ..Filter::default() };
    let told = wanted.find(world.text().as_bytes());
    assert_eq!((told.len(), told[0].fields["lines"]["last"].as_u64()), (1, Some(last)));
    assert_eq!(verdict.gone, Some(Gone { first: 1, last, said_by: told[0].line, archived: false }));

    // The next file goes by other hands, and shows.
    fs::remove_file(&after[0]).unwrap();
    assert_eq!(
        whole(&world).bad.map(|bad| bad.flaw),
        whole(&world).first.map(|next| Flaw::Missing(last + 1, next - 1))
    );
}

#[test]
fn what_cannot_be_signed_loses_nothing() {
    let world = World::with_files_of(4000);
    grown(&world, 10);
    let before = world.files();
    let in_the_way = world.log.places().checkpoint();
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    let fault = world.log.end_older_than(later(20 * DAY), Duration::from_secs(DAY), None).unwrap_err();
    assert!(fault.message.contains("cannot write"), "{fault:?}");
    assert_eq!(world.files(), before);
}
