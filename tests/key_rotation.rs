//! `vault rotate` and `users bootstrap`, killed at every step and started again: never without a key that works.

use std::{fs, os::unix::fs::symlink, time::Duration};

use bowline_base::{Credentials, KeyId};
use bowline_fakeaws::{Effect, Fault};
use rustix::process::Signal;

use crate::{
    harness::{Finished, Running, World, run, skip, until},
    users::ssh_key,
};

const LIMIT: Duration = Duration::from_secs(18);

/// A manager whose key lies in plaintext in the profile `mgr`.
fn plain(name: &str, delay: u64) -> (World, KeyId) {
    let world = World::new(name, |settings| settings.propagation_delay = Duration::from_secs(delay));
    let key = world.cloud().add_user("dirk-mgr");
    let (id, secret) = (&key.key_id, key.secret_key.expose());
    world.write(".aws/credentials", &format!("[mgr]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"));
    (world, key.key_id)
}

const ROTATE: [&str; 5] = ["vault", "rotate", "mgr", "--grace", "1s"];

fn rotate(world: &World) -> Finished {
    run(&mut world.bowline(&ROTATE), &world.path("rotate.out"), LIMIT)
}

/// Starts `process` and kills it when the `nth` call of `at` hangs, before or after its work.
fn kill_at(world: &World, at: &str, nth: u32, after_work: bool, process: impl FnOnce() -> Running) {
    let hang = Fault::new(at, Effect::Hang).times(1).ratio(1.0 / f64::from(nth) + 0.01);
    world.cloud().clear_counts();
    world.cloud().fault(if after_work { hang.after_work() } else { hang });
    let mut process = process();
    until(Duration::from_secs(12), &format!("{at} hangs"), || {
        let hangs = world.cloud().counts().sum(&format!("{at}.fault.hang")) > 0;
        assert!(hangs || process.runs(), "{at}: it ended: {}", process.stderr());
        hangs
    });
    process.signal(Signal::KILL);
    drop(process);
    world.cloud().clear_faults();
}

#[track_caller]
fn works(world: &World, profile: &str, what: &str) {
    let verified = world.run(&["verify", profile]);
    assert!(verified.stdout.contains("user/dirk-mgr"), "{what}: no working key: {}", verified.stderr);
}

/// Killed there, the stored key works; started again, one new key is left, and it works.
#[track_caller]
fn survives(name: &str, delay: u64, at: &str, nth: u32, after_work: bool) {
    let (world, old) = plain(name, delay);
    kill_at(&world, at, nth, after_work, || world.start("rotate", &mut world.bowline(&ROTATE)));
    works(&world, "mgr", "after the kill");
    let again = rotate(&world);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    works(&world, "mgr", "in the end");
    let keys = world.cloud().keys_of("dirk-mgr");
    assert!(keys.len() == 1 && keys[0].1 && keys[0].0 != old.as_str(), "{keys:?}");
    assert!(fs::read_to_string(world.path(".aws/credentials")).unwrap().contains(&keys[0].0), "it is stored");
}

#[test]
fn a_key_is_rotated_while_aws_is_slow() {
    let (world, old) = plain("rotate", 2);
    let rotated = rotate(&world);
    assert_eq!(rotated.code, Some(0), "{}", rotated.stderr);
    let keys = world.cloud().keys_of("dirk-mgr");
    assert!(keys.len() == 1 && keys[0].0 != old.as_str() && rotated.stdout.contains(&keys[0].0), "{keys:?}");
    works(&world, "mgr", "afterwards");
}

#[test]
fn a_long_grace_leaves_the_old_key_asleep_until_it_is_over_or_somebody_says_another() {
    let (world, old) = plain("rotate-grace", 0);
    let first = run(&mut world.bowline(&["vault", "rotate", "mgr", "--grace", "24h"]), &world.path("r.out"), LIMIT);
    assert!(first.code == Some(0) && first.stderr.contains("is inactive until"), "{}", first.stderr);
    let asleep = || world.cloud().keys_of("dirk-mgr").contains(&(old.as_str().to_owned(), false));
    assert!(asleep());
    let early = run(&mut world.bowline(&["vault", "rotate", "mgr"]), &world.path("e.out"), LIMIT);
    assert!(early.code == Some(0) && early.stderr.contains("is inactive until"), "{}", early.stderr);
    assert!(asleep(), "24 hours are not over");
    let second = rotate(&world);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(world.cloud().keys_of("dirk-mgr").len(), 1);
}

#[test]
fn a_user_with_two_keys_is_told_which_one_to_look_at() {
    let (world, _) = plain("rotate-two", 0);
    let other = world.cloud().add_user("dirk-mgr");
    let refused = rotate(&world);
    let (code, told) = (refused.code, refused.stderr.contains(other.key_id.as_str()));
    assert!(code == Some(1) && told, "{}", refused.stderr);
    assert_eq!(world.cloud().keys_of("dirk-mgr").len(), 2);
}

#[test]
fn killed_while_it_lists() {
    survives("rotate-kill-list", 0, "iam.ListAccessKeys", 1, false);
}

#[test]
fn killed_before_the_key_is_made() {
    survives("rotate-kill-before", 0, "iam.CreateAccessKey", 1, false);
}

#[test]
fn killed_when_the_key_is_made_and_nobody_was_told() {
    survives("rotate-kill-made", 1, "iam.CreateAccessKey", 1, true);
}

#[test]
fn killed_before_the_key_is_stored() {
    survives("rotate-kill-prove", 0, "sts.GetCallerIdentity", 1, false);
}

#[test]
fn killed_when_the_key_is_stored() {
    survives("rotate-kill-stored", 0, "sts.GetCallerIdentity", 2, false);
}

#[test]
fn killed_before_and_after_the_old_key_sleeps() {
    survives("rotate-kill-awake", 0, "iam.UpdateAccessKey", 1, false);
    survives("rotate-kill-asleep", 0, "iam.UpdateAccessKey", 1, true);
    survives("rotate-kill-check", 0, "sts.GetCallerIdentity", 3, false);
}

#[test]
fn killed_before_and_after_the_old_key_is_deleted() {
    survives("rotate-kill-delete", 0, "iam.DeleteAccessKey", 1, false);
    survives("rotate-kill-deleted", 0, "iam.DeleteAccessKey", 1, true);
}

#[test]
fn a_managers_key_in_the_store_is_rotated_through_a_kill_and_handed_out() {
    let world = World::new("rotate-store", |_| {});
    if !ssh_key(&world, "") {
        skip!("the store: no ssh-keygen");
    }
    let old = world.cloud().add_user("dirk-mgr");
    world.write("keys", &format!("{}\n{}\n", old.key_id, old.secret_key.expose()));
    let (keys, recovery) = (world.path("keys"), world.path("recovery.txt"));
    world.configure("[profile iam-sorry]\nregion = eu-central-1\n");
    let added = [keys.to_str().unwrap(), "--recovery-file", recovery.to_str().unwrap()];
    let added = world.run(&[&["vault", "add", "iam-sorry", "--file"], &added[..]].concat());
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let rotate = ["vault", "rotate", "iam-sorry", "--grace", "1s"];
    // The second call of that name is the check of what was stored.
    kill_at(&world, "sts.GetCallerIdentity", 2, false, || world.start("rotate", &mut world.bowline(&rotate)));
    works(&world, "iam-sorry", "after the kill");
    let again = run(&mut world.bowline(&rotate), &world.path("rotate.out"), LIMIT);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let left = world.cloud().keys_of("dirk-mgr");
    assert!(left.len() == 1 && left[0].1 && left[0].0 != old.key_id.as_str(), "{left:?}");
    assert!(!world.path(".aws/credentials").exists(), "the key has left the store");
    let sorry = world.path("iam-sorry");
    symlink(env!("CARGO_BIN_EXE_bowline"), &sorry).unwrap();
    let handed = run(world.foreign(&sorry).arg("dirk-a"), &world.path("sorry.out"), LIMIT);
    assert_eq!(handed.code, Some(0), "{}", handed.stderr);
    let verified = world.run(&["verify", "dirk-a"]);
    assert!(verified.stdout.contains("user/dirk-a"), "{}{}", verified.stdout, verified.stderr);
    assert!(!fs::read_to_string(world.path(".aws/credentials")).unwrap().contains("[iam-sorry]"));
}

fn bootstrap(world: &World, given: &Credentials) -> std::process::Command {
    let mut command = world.bowline(&["users", "bootstrap", "--grace", "1s"]);
    command.env("AWS_ACCESS_KEY_ID", given.key_id.as_str());
    command.env("AWS_SECRET_ACCESS_KEY", given.secret_key.expose());
    command
}

#[test]
fn without_a_key_that_protects_nothing_is_begun() {
    let world = World::new("bootstrap-refused", |_| {});
    let given = world.cloud().add_user("dirk-mgr");
    for with_key in [false, true] {
        if with_key && !ssh_key(&world, "") {
            skip!("bootstrap: no ssh-keygen");
        }
        let refused = run(&mut bootstrap(&world, &given), &world.path("bootstrap.out"), LIMIT);
        assert!(refused.code != Some(0) && refused.stderr.contains("hint:"), "{}", refused.stderr);
    }
    assert_eq!(world.cloud().counts().sum(""), 0, "no call was made");
    assert_eq!(world.cloud().keys_of("dirk-mgr"), [(given.key_id.as_str().to_owned(), true)]);
    assert!(!world.path(".aws/credentials").exists());
}

/// Killed there, the key in the environment works or a stored one does; started again, a sealed new one is all there is.
#[track_caller]
fn bootstrap_survives(name: &str, at: &str, nth: u32, after_work: bool) {
    let world = World::new(name, |_| {});
    if !ssh_key(&world, "a passphrase") {
        skip!("bootstrap: no ssh-keygen");
    }
    let given = world.cloud().add_user("dirk-mgr");
    kill_at(&world, at, nth, after_work, || world.start("bootstrap", &mut bootstrap(&world, &given)));
    let stored = fs::read_to_string(world.path(".aws/credentials")).is_ok_and(|text| text.contains("[iam-sorry]"));
    if stored {
        works(&world, "iam-sorry", "after the kill");
    } else {
        assert!(world.cloud().keys_of("dirk-mgr").contains(&(given.key_id.as_str().to_owned(), true)));
    }
    let again = run(&mut bootstrap(&world, &given), &world.path("bootstrap.out"), LIMIT);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    works(&world, "iam-sorry", "in the end");
    let keys = world.cloud().keys_of("dirk-mgr");
    assert!(keys.len() == 1 && keys[0].0 != given.key_id.as_str(), "{keys:?}");
    let text = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    assert!(
        text.matches("__encrypted__:").count() == 2 && text.contains("credentials_owner = dirk-mgr"),
        "it is sealed"
    );
    let refused = run(&mut bootstrap(&world, &given), &world.path("bootstrap.out"), LIMIT);
    assert!(refused.code == Some(1) && refused.stderr.contains("is stored already"), "{}", refused.stderr);
}

#[test]
fn bootstrap_killed_before_the_key_is_stored() {
    bootstrap_survives("bootstrap-kill-first", "sts.GetCallerIdentity", 1, false);
}

#[test]
fn bootstrap_killed_before_the_stored_key_is_verified() {
    bootstrap_survives("bootstrap-kill-verify", "sts.GetCallerIdentity", 2, false);
}

#[test]
fn bootstrap_killed_when_the_new_key_is_made() {
    bootstrap_survives("bootstrap-kill-made", "iam.CreateAccessKey", 1, true);
}

#[test]
fn bootstrap_killed_when_the_new_key_is_stored() {
    bootstrap_survives("bootstrap-kill-stored", "sts.GetCallerIdentity", 4, false);
}

#[test]
fn bootstrap_killed_when_the_old_key_sleeps() {
    bootstrap_survives("bootstrap-kill-asleep", "iam.UpdateAccessKey", 1, true);
}

#[test]
fn bootstrap_killed_when_the_old_key_is_deleted() {
    bootstrap_survives("bootstrap-kill-deleted", "iam.DeleteAccessKey", 1, true);
}
