//! `bowline status` as a person, a program and a browser see it: the document, the live screen, the page.

use std::{fs, path::Path, process::Command, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Daemon, World, fetch, python, run, skip, until};

const KEYS: [&str; 10] =
    ["version", "program", "daemon", "at", "since", "state", "credentials", "jobs", "checks", "last_trouble"];

fn daemon(name: &str) -> (World, Daemon) {
    let world = World::new(name, |_| {});
    world.sign_in();
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    (world, daemon)
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_document_has_its_version_and_every_key_with_a_daemon_and_without() {
    let (world, daemon) = daemon("status-json");
    let config = daemon.config.to_str().unwrap().to_owned();
    let ask = || document(&world.run(&["status", "--output", "json", "--config", &config]).stdout);
    until(Duration::from_secs(10), "the profile is fresh", || {
        ask()["credentials"].as_array().unwrap().iter().any(|line| line["state"] == "fresh")
    });
    let whole = ask();
    let keys: Vec<&str> = whole.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(KEYS.iter().all(|key| keys.contains(key)), "{keys:?}");
    assert_eq!((&whole["version"], &whole["daemon"], &whole["state"]), (&json!(1), &json!(true), &json!("ok")));
    assert_eq!(whole["jobs"]["artifacts"]["state"], "serving");
    assert_eq!(whole["jobs"]["supervision"]["artifacts"]["state"], "running");
    let page = document(&fetch(daemon.status, "/status.json").unwrap().text());
    assert!(KEYS.iter().filter(|key| **key != "daemon").all(|key| page.get(key).is_some()), "{page}");
    let text = world.run(&["status", "--config", &config]).stdout;
    assert!(text.contains("\nJOBS\nartifacts  127.0.0.1:"), "{text}");
    let elsewhere = |arguments: &[&str]| {
        let mut command = world.bowline(arguments);
        let keys = [("AWS_ACCESS_KEY_ID", "AKIAOTHER"), ("AWS_SECRET_ACCESS_KEY", "other")];
        world.run_foreign("elsewhere", command.env("BOWLINE_CONFIG", &config).envs(keys))
    };
    let reason = document(&elsewhere(&["status", "--output", "json"]).stdout)["daemon_reason"].to_string();
    assert!(reason.contains("runs with other AWS files"), "a daemon that runs is not called absent: {reason}");
    // `exec` has an endpoint of its own: it asks no daemon, and so waits for none that is suspended.
    daemon.process.signal(Signal::STOP);
    let exec = elsewhere(&["exec", "build", "--", "true"]);
    daemon.process.signal(Signal::CONT);
    assert!(exec.code == Some(0) && !exec.stderr.contains("daemon"), "{}", exec.stderr);
    daemon.stop();
    let alone = ask();
    assert_eq!(alone["daemon_reason"], Value::Null);
    assert!(KEYS.iter().all(|key| alone.get(key).is_some()), "{alone}");
    assert_eq!((&alone["version"], &alone["daemon"], &alone["jobs"]), (&json!(1), &json!(false), &json!({})));
}

#[test]
fn the_page_is_the_daemons_own_files_under_a_strict_policy() {
    let (world, daemon) = daemon("status-page");
    let page = fetch(daemon.status, "/").unwrap();
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text().contains("<script src=\"page.js\" defer></script>"), "{}", page.text());
    let script = fetch(daemon.status, "/page.js").unwrap();
    assert!(script.header("content-type").starts_with("text/javascript"));
    assert_eq!(script.header("x-content-type-options"), "nosniff");
    // The script is one that a browser reads.
    if Path::new("/usr/bin/node").exists() {
        let parse = "new Function(require('fs').readFileSync(0, 'utf8'))";
        world.write("page.js", &script.text());
        let mut node = Command::new("node");
        node.args(["-e", parse]).stdin(fs::File::open(world.path("page.js")).unwrap());
        let parsed = run(&mut node, &world.path("node"), Duration::from_secs(10));
        assert_eq!(parsed.code, Some(0), "{}", parsed.stderr);
    }
}

/// The live screen on a terminal of its own.
fn watch(world: &World, config: &str, variables: &[(&str, &str)], steps: &[(&str, &str)]) -> Option<Value> {
    let argv = [env!("CARGO_BIN_EXE_bowline"), "status", "--watch", "--config", config];
    let mut script = python()?.script(world, "screen.py");
    script.arg(json!({ "argv": argv, "size": [120, 30], "steps": steps }).to_string());
    script.env("TERM", "xterm-256color").envs(variables.iter().copied());
    Some(document(&world.run_foreign("screen", &mut script).stdout))
}

#[test]
fn the_live_screen_shows_everything_scrolls_and_leaves_the_terminal_as_it_was() {
    let (world, daemon) = daemon("status-watch");
    let config = &daemon.config.display().to_string();
    let steps = [("profile build", ""), ("ARTIFACTS", "\u{1b}[B"), ("everything works", "q")];
    let Some(shown) = watch(&world, config, &[], &steps) else { skip!("the screen: no target/py") };
    assert_eq!(shown["missing"], json!([]), "{shown}");
    assert_eq!((&shown["code"], &shown["left"], &shown["echo"]), (&json!(0), &json!(true), &json!(true)), "{shown}");
    assert_eq!(shown["colours"], true);
    let plain = watch(&world, config, &[("NO_COLOR", "1")], &[("ARTIFACTS", "\u{3}")]).unwrap();
    assert_eq!(
        (&plain["code"], &plain["left"], &plain["colours"]),
        (&json!(0), &json!(true), &json!(false)),
        "{plain}"
    );
    daemon.stop();
    let alone = watch(&world, config, &[], &[("no daemon runs", "q")]).unwrap();
    assert_eq!((&alone["code"], &alone["missing"]), (&json!(0), &json!([])), "{alone}");
}

#[test]
fn without_a_terminal_the_live_screen_says_what_to_use_instead() {
    let world = World::new("status-no-terminal", |_| {});
    let refused = world.run(&["status", "--watch"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("bowline status --output json"), "{}", refused.stderr);
}

#[test]
fn the_page_of_the_demo_is_live_in_chromium() {
    let Some(python) = python() else { skip!("the page: no target/py") };
    if !Path::new("/usr/bin/chromium").exists() {
        skip!("the page: no chromium");
    }
    let world = World::new("status-chromium", |_| {});
    let mut command = world.bowline(&["demo", "--for", "50s"]);
    let demo = world.start("demo", command.env_remove("AWS_ENDPOINT_URL"));
    let mut page = None;
    until(Duration::from_secs(15), "the demo says where its page is", || {
        let said = demo.stderr();
        page = said.lines().find_map(|line| line.strip_prefix("Status page  ")).map(ToOwned::to_owned);
        page.is_some()
    });
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    fs::create_dir_all(&shots).unwrap();
    let mut drive = python.script(&world, "status_page.py");
    drive.arg(page.unwrap()).arg(&shots);
    let driven = run(&mut drive, &world.path("drive"), Duration::from_secs(60));
    assert_eq!(driven.code, Some(0), "{}\n{}", driven.stdout, driven.stderr);
}
