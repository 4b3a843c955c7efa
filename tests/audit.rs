//! The log of a real daemon: who asked is in it before the answer, kill -9 costs nothing that was written, the log
//! arrives in CloudWatch Logs, a change is found, and what is too old ends.

use std::{fs, time::Duration};

use bowline_audit::{AuditLog, Event, Places, Record};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{World, free_address, until};

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
    let files = || bowline_audit::log_files(&directory).unwrap();
    let before = files().len();
    world.write(
        "bowline.toml",
        &format!(
            "[daemon]\nlisten = \"{}\"\n[audit]\npath = \"{}\"\nmax-file-size = \"4 KiB\"\nkeep = \"400d\"\n",
            free_address(),
            directory.display()
        ),
    );
    let config = world.path("bowline.toml").display().to_string();
    let verify = || world.run(&["--config", &config, "audit", "verify"]);
    let daemon = world.start("run", &mut world.bowline(&["run", "--config", &config]));
    until(Duration::from_secs(10), "the old files are gone", || files().len() + 2 <= before);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.finish(Duration::from_secs(10)).code, Some(0));
    let good = verify();
    assert!(good.code == Some(0) && good.stdout.contains("had their time, as line"), "{}", good.stdout);
    let dropped = world.run(&["--config", &config, "audit", "query", "--event", "dropped", "--output", "json"]);
    assert!(dropped.stdout.contains(r#""lines":{"first":1,"last":"#), "{}", dropped.stdout);
}
