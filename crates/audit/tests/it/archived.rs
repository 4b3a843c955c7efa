//! Files that a person moved away: missing until they are shown once, and no other files pass for them.

use std::{fs, path::PathBuf};

use bowline_audit::{Against, Archived, Client, Flaw, Gone, Verdict, verify_files};

use crate::world::{World, issued, now};

/// A log whose first two files lie in `archive`, and the number of its first line here.
fn moved_away() -> (World, Vec<PathBuf>, u64) {
    let world = World::with_files_of(4000);
    for number in 0..40 {
        world.log.record(now(), &issued(&format!("profile-{number}"), "mvn")).unwrap();
    }
    world.log.sign(now()).unwrap();
    let archive = world.directory().with_file_name("archive");
    fs::create_dir(&archive).unwrap();
    let away = |path: &PathBuf| {
        let place = archive.join(path.file_name().unwrap());
        fs::rename(path, &place).unwrap();
        place
    };
    let gone = world.files()[..2].iter().map(away).collect();
    let first = judged(&world).first.unwrap();
    (world, gone, first)
}

fn judged(world: &World) -> Verdict {
    verify_files(&world.files(), &Against { whole: true, ..Against::default() }).unwrap()
}

fn say(world: &World, shown: &[PathBuf]) -> Archived {
    let person = Client::Process { uid: 0, pid: None, program: Some("bash".to_owned()) };
    world.log.say_archived(now(), shown, &world.files(), &Against::default(), person).unwrap()
}

#[test]
fn files_that_were_moved_away_are_missing_until_they_are_shown_once() {
    let (world, mut shown, first) = moved_away();
    assert!(judged(&world).lacks_its_beginning());
    // A whole archive may be shown, in any order: copies of what is here too.
    shown.extend(world.files());
    shown.reverse();
    let Archived::Said { line, lines } = say(&world, &shown) else { panic!("it was not believed") };
    assert_eq!(lines, (1, first - 1));
    let verdict = judged(&world);
    let gone = Gone { first: 1, last: first - 1, said_by: line, archived: true };
    assert_eq!((verdict.bad, verdict.gone), (None, Some(gone)));
    assert!(world.text().contains(r#""program":"bash","uid":0"#), "who said it stands there");
    assert_eq!(say(&world, &shown), Archived::NothingIsMissing, "once is enough");

    // Whatever goes after that shows as before.
    fs::remove_file(&world.files()[0]).unwrap();
    assert!(judged(&world).lacks_its_beginning());
}

#[test]
fn no_other_files_pass_for_those_that_are_missing() {
    let (world, shown, first) = moved_away();
    let before = world.text();
    let refused = |shown: &[PathBuf]| match say(&world, shown) {
        Archived::No(verdict) => verdict.bad.unwrap().flaw,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(&shown[..1]), Flaw::Missing(_, last) if last == first - 1), "the second is not shown");
    assert!(matches!(refused(&shown[1..]), Flaw::Missing(1, _)), "the first is not shown");
    let (stranger, _, _) = moved_away();
    let foreign = stranger.directory().with_file_name("archive");
    let foreign: Vec<PathBuf> = shown.iter().map(|path| foreign.join(path.file_name().unwrap())).collect();
    assert_eq!(refused(&foreign), Flaw::NotFollowing, "another log's");
    let changed = fs::read_to_string(&shown[0]).unwrap().replace("profile-3", "profile-4");
    bowline_base::atomic::write_private(&shown[0], changed.as_bytes()).unwrap();
    assert_eq!(refused(&shown), Flaw::Altered);
    assert_eq!(world.text(), before, "nothing was written");
}
