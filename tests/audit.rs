//! The log of a real daemon: who asked is in it before the answer, kill -9 costs nothing that was written, the log
//! arrives in CloudWatch Logs, a change is found, what is too old ends, and what was moved away is asked for once.

use std::{fs, time::Duration};

use bowline_audit::{AuditLog, Event, Places, Record};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{World, until};

#[test]
fn what_was_given_out_is_written_down_through_kill_9_and_found_when_changed() {
    let world = World::new("audit", |_| {});
    world.cloud().add_log_group("bowline");
    world.sign_in();
    let (directory, sink) = (world.path("audit"), r#"{ group = "bowline", stream = "here", identity = "build" }"#);
    let section = format!(
        "[[artifacts.repository]]\nfrom = \"/srv\"\n[audit]\npath = \"{}\"\ncloudwatch = {sink}\n",
        directory.display()
    );
    let mut daemon = world.daemon(&section);
    for _ in 0..3 {
        assert_eq!(world.run(&["creds", "build"]).code, Some(0));
    }
    daemon.process.signal(Signal::KILL);
    let config = world.path("bowline.toml");
    let audit = |words: &[&str]| world.run(&[&["--config", config.to_str().unwrap(), "audit"], words].concat());
    let issued = audit(&["query", "--profile", "build", "--event", "issued", "--output", "json"]);
    let records: Vec<Value> = issued.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 1, "three times the same lease is one record: {}", issued.stdout);
    assert!(records[0]["client"]["program"].is_string() && records[0]["key_id"].as_str().unwrap().starts_with("ASIA"));
    world.restart(&mut daemon);
    let whole = || {
        let files = bowline_audit::log_files(&directory).unwrap();
        files.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<String>()
    };
    until(Duration::from_secs(10), "the log is in CloudWatch Logs", || {
        let there = world.cloud().log_lines("bowline", "here");
        there.len() > 5 && there == whole().lines().collect::<Vec<_>>()
    });
    assert_eq!(audit(&["verify"]).code, Some(0));
    daemon.stop();
    let file = bowline_audit::log_files(&directory).unwrap().remove(0);
    let forged = fs::read_to_string(&file).unwrap().replacen("issued", "login", 1);
    world.write(file.strip_prefix(world.path("")).unwrap().to_str().unwrap(), &forged);
    let verdict = audit(&["verify"]);
    assert!(verdict.code == Some(1) && verdict.stdout.contains("was changed"), "{}", verdict.stdout);
}

#[test]
fn what_had_its_time_ends_and_the_log_still_verifies() {
    let world = World::new("audit-keep", |_| {});
    let directory = world.path("audit");
    let old = AuditLog::new(Places { directory: directory.clone(), max_size: 4000, marks: None }, Vec::new());
    let mut then = bowline_host::clock::now();
    then.wall -= Duration::from_secs(500 * 86400);
    for number in 0..60 {
        old.record(then, &Record::about(Event::Login, format!("old-{number}"))).unwrap();
    }
    old.sign(then).unwrap();
    drop(old);
    world.write(
        "bowline.toml",
        &format!("[audit]\npath = \"{}\"\nmax-file-size = \"4 KiB\"\nkeep = \"400d\"\n", directory.display()),
    );
    let config = world.path("bowline.toml").display().to_string();
    let bowline = |words: &[&str]| world.run(&[&["--config", &config], words].concat());
    let verify = || bowline(&["audit", "verify"]);
    let log = AuditLog::new(Places { directory, max_size: 4000, marks: None }, Vec::new());
    let (_, last) =
        log.end_older_than(bowline_host::clock::now(), Duration::from_secs(400 * 86400), None).unwrap().unwrap();
    let good = verify();
    let said = format!("lines 1 to {last} had their time, as line");
    assert!(good.code == Some(0) && good.stdout.contains(&said), "{}", good.stdout);
    let dropped = bowline(&["audit", "query", "--event", "dropped", "--output", "json"]);
    assert!(dropped.stdout.contains(r#""lines":{"first":1,"last":"#), "{}", dropped.stdout);
}

/// As docs/operations/limits.md once said: "move old files away whole".
#[test]
fn who_moved_files_away_by_hand_shows_them_once() {
    let world = World::new("audit-archived", |_| {});
    let (directory, archive) = (world.path("audit"), world.path("my archive"));
    let log = AuditLog::new(Places { directory: directory.clone(), max_size: 2000, marks: None }, Vec::new());
    for number in 0..20 {
        log.record(bowline_host::clock::now(), &Record::about(Event::Login, format!("user-{number}"))).unwrap();
    }
    log.sign(bowline_host::clock::now()).unwrap();
    let files = bowline_audit::log_files(&directory).unwrap();
    fs::create_dir(&archive).unwrap();
    let moved: Vec<String> = files[..2]
        .iter()
        .map(|file| {
            let place = archive.join(file.file_name().unwrap());
            fs::rename(file, &place).unwrap();
            place.display().to_string()
        })
        .collect();
    world.write("bowline.toml", &format!("[audit]\npath = \"{}\"\n", directory.display()));
    let config = world.path("bowline.toml").display().to_string();
    let bowline = |words: &[&str]| world.run(&[&["--config", &config], words].concat());

    let bad = bowline(&["audit", "verify"]);
    assert!(bad.code == Some(1) && bad.stdout.contains("bowline audit archived OLD/"), "{}", bad.stdout);
    let doctor = bowline(&["doctor", "audit"]);
    assert!(doctor.code == Some(1) && doctor.stdout.contains("bowline audit archived OLD/"), "{}", doctor.stdout);
    let half = bowline(&["audit", "archived", &moved[1]]);
    assert!(half.code == Some(1) && half.stdout.contains("of the log are missing"), "{}", half.stdout);
    let said = bowline(&["audit", "archived", &moved[0], &moved[1]]);
    assert!(said.code == Some(0) && said.stdout.starts_with("lines 1 to "), "{}{}", said.stdout, said.stderr);
    let good = bowline(&["audit", "verify"]);
    assert!(good.code == Some(0) && good.stdout.contains("were moved away by hand, as line"), "{}", good.stdout);
    let who = bowline(&["audit", "query", "--event", "archived"]);
    assert!(who.stdout.contains("my archive") && who.stdout.contains(" uid "), "{}", who.stdout);
    assert_eq!(bowline(&["doctor", "audit"]).code, Some(0));
}
