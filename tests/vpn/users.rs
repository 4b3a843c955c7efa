//! `vpn users …`: what the administrator's commands change at the real server, and what they say of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Vpn;
use crate::harness::{Finished, World, run};

const LIMIT: Duration = Duration::from_secs(15);

/// `bowline vpn …` with what it printed out of the way of the secret scan's files of this story: keys are among it.
fn vpn(world: &World, words: &[&str]) -> Finished {
    let output = world.path("command");
    run(&mut world.bowline(&[&["vpn"], words].concat()), &output, LIMIT)
}

#[track_caller]
fn well(world: &World, words: &[&str]) -> Value {
    let end = vpn(world, words);
    assert_eq!(end.code, Some(0), "{words:?}: {}", end.stderr);
    serde_json::from_str(&end.stdout).unwrap_or_default()
}

/// A server, and this machine set up with the administrator's key.
fn stage(name: &str) -> (World, Vpn) {
    let world = World::new(name, |_| {});
    let server = Vpn::serve(&world, &["--no-proxy"]);
    world.write("master", &server.master);
    well(&world, &["setup", &format!("http://{}", server.api), "--key-file", &world.path("master").to_string_lossy()]);
    (world, server)
}

#[test]
fn limits_are_set_when_a_user_is_made_and_changed_later_one_by_one() {
    let (world, server) = stage("vpn-users-set");
    well(
        &world,
        &["users", "add", "guest", "--quota", "5 GiB", "--download-limit", "2 MiB", "--upload-limit", "1 MiB"],
    );
    let limits = |user: &Value| {
        ["quota_bytes", "download_bytes_per_second", "upload_bytes_per_second"].map(|name| user[name].as_u64())
    };
    assert_eq!(limits(&well(&world, &["users", "show", "guest"])), [Some(5 << 30), Some(2 << 20), Some(1 << 20)]);

    let changed =
        well(&world, &["users", "set", "guest", "--quota", "none", "--upload-limit", "3 MiB", "--expires-in", "2h"]);
    assert_eq!(limits(&changed), [None, Some(2 << 20), Some(3 << 20)], "what is not named stays");
    assert!(changed["expires_at"].is_string(), "{changed}");
    let changed = well(&world, &["users", "set", "guest", "--expires-in", "never", "--disable"]);
    assert_eq!((&changed["expires_at"], &changed["status"]), (&Value::Null, &json!("inactive")));
    assert_eq!(server.json(&world, &["/users/guest"])["reason"], "disabled");
    assert_eq!(well(&world, &["users", "set", "guest", "--enable", "--reset-usage"])["status"], "active");

    let end = vpn(&world, &["users", "set", "guest"]);
    assert_eq!(end.code, Some(2), "nothing to change: {}", end.stderr);
    let end = vpn(&world, &["users", "set", "nobody", "--disable"]);
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("there is no user `nobody`"), "{}", end.stderr);
    server.stop();
}

#[test]
fn a_rotated_user_has_other_keys_and_the_old_ones_open_nothing() {
    let (world, server) = stage("vpn-users-rotate");
    let key = |made: &Value| made["api_key"].as_str().unwrap().to_owned();
    let former = key(&well(&world, &["users", "add", "alice"]));
    let public = well(&world, &["users", "show", "alice"])["public_key"].clone();
    let next = key(&well(&world, &["users", "rotate", "alice"]));
    assert_ne!(well(&world, &["users", "show", "alice"])["public_key"], public);
    let status = |key: &str| {
        let answer = super::curl(&world, server.api, key, &["/users/alice", "-o", "/dev/null", "-w", "%{http_code}"]);
        answer.unwrap()
    };
    assert_eq!((status(&former).as_str(), status(&next).as_str()), ("401", "200"));
    server.stop();
}
