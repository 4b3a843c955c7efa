//! Reading a log while it is written: each record once, whatever the writers do meanwhile.

use std::{fs, io::Write as _};

use bowline_audit::{Filter, Follower};

use crate::world::{World, append, issued, now};

struct Reader(Follower, Vec<String>);

impl Reader {
    fn of(world: &World) -> Self {
        Self(Follower::new(world.directory()), Vec::new())
    }

    /// The profiles of what was read so far.
    fn read(&mut self) -> &[String] {
        let Self(follower, seen) = self;
        let take = |found: bowline_audit::Found| {
            seen.push(found.text("profile").unwrap_or("-").to_owned());
            Ok(())
        };
        follower.more(&Filter::default(), take).unwrap();
        seen
    }
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("profile-{number}")).collect()
}

#[test]
fn a_follower_reads_each_record_once_through_every_file() {
    let world = World::with_files_of(4000);
    let mut reader = Reader::of(&world);
    assert!(reader.read().is_empty(), "there is no log yet");
    for number in 0..40 {
        world.log.record(now(), &issued(&format!("profile-{number}"), "mvn")).unwrap();
        if number % 7 == 0 {
            assert_eq!(reader.read(), names(0..number + 1));
        }
    }
    assert_eq!(reader.read(), names(0..40));
    assert_eq!(reader.read(), names(0..40), "nothing has come since");
    assert!(world.files().len() > 3);
}

#[test]
fn half_a_line_is_read_when_it_is_whole() {
    let (world, other) = (World::new(), World::new());
    for log in [&world.log, &other.log] {
        log.record(now(), &issued("profile-0", "mvn")).unwrap();
    }
    let file = world.files().remove(0);
    let before = fs::metadata(&file).unwrap().len();
    world.log.record(now(), &issued("profile-1", "mvn")).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut reader = Reader::of(&world);
    let cut = usize::try_from(before).unwrap() + 30;
    for end in [cut, cut + 20] {
        bowline_base::atomic::write_private(&file, &whole[..end]).unwrap();
        assert_eq!(reader.read(), names(0..1), "{end}");
    }
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(&whole[cut + 20..]).unwrap();
    assert_eq!(reader.read(), names(0..2));
}

#[test]
fn what_a_killed_writer_left_is_passed_over_and_what_comes_after_it_is_read() {
    let world = World::new();
    world.log.record(now(), &issued("profile-0", "mvn")).unwrap();
    let mut reader = Reader::of(&world);
    append(&world.files()[0], &[b"nonsense\n".repeat(100), b"{\"half".to_vec()].concat());
    assert_eq!(reader.read(), names(0..1));
    world.again().record(now(), &issued("profile-1", "mvn")).unwrap();
    assert_eq!(reader.read(), ["profile-0", "-", "profile-1"], "the record between says what was moved aside");
}
