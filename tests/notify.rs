//! A person is told: an SSO session is ended at AWS, and webhook and command get one message, through an outage of the
//! webhook and a restart of the daemon; a login, and they get its end. Nowhere is a secret in it.

use std::{fs, net::TcpStream, path::Path, process::Command, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Running, World, free_address, skip, until};

const PATIENCE: Duration = Duration::from_secs(10);

fn has_python() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Python's own server and HMAC, which share nothing with ours.
fn receiver(world: &World, port: u16) -> Running {
    world.write("secret", "a-secret-of-the-webhook\n");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/webhook.py");
    let mut command = world.foreign("python3");
    command.arg(script).arg(port.to_string());
    command.args(["secret", "webhook.log", "away"].map(|name| world.path(name)));
    let running = world.start("webhook", &mut command);
    until(PATIENCE, "the receiver listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Event and subject of what the receiver took.
fn taken(world: &World) -> Vec<String> {
    let all = lines(&world.path("webhook.log"));
    assert!(all.iter().all(|line| line["genuine"] == true), "{all:?}");
    all.iter().filter(|line| line["refused"] == false).map(|line| short(&line["message"])).collect()
}

fn short(message: &Value) -> String {
    format!("{} {} {}", message["event"], message["kind"], message["subject"]).replace('"', "")
}

fn commanded(world: &World) -> Vec<String> {
    lines(&world.path("command.log")).iter().map(short).collect()
}

/// `[notify]` with a webhook at `port` and a command that writes down what it is given.
fn section(world: &World, port: u16) -> String {
    world.write("hook", "#!/bin/sh\nenv >> \"$HOME/command.env\"\ncat >> \"$HOME/command.log\"\n");
    format!(
        "[[artifacts.repository]]\nfrom = \"/srv\"\n[notify]\ncommand = [\"sh\", \"{}\"]\n\
         webhook = {{ url = \"http://127.0.0.1:{port}/hook\", secret = {{ file = \"{}\" }} }}\n",
        world.path("hook").display(),
        world.path("secret").display()
    )
}

#[test]
fn a_session_that_was_ended_is_told_once_through_outage_and_restart_and_so_is_the_login() {
    if !has_python() {
        skip!("notifications: no python3");
    }
    let world = World::new("notify", |_| {});
    let port = free_address().port();
    let receiver = receiver(&world, port);
    world.sign_in_long_ago();
    world.cloud().end_sessions();
    world.write("away", "");
    let mut daemon = world.daemon(&section(&world, port));
    let raised = ["raised login corp"];
    until(PATIENCE, "the command has it", || commanded(&world) == raised);
    until(PATIENCE, "the webhook was tried", || !lines(&world.path("webhook.log")).is_empty());
    assert!(
        world.run(&["creds", "build"]).code == Some(5)
            && world.path(".local/state/bowline/login_required.txt").exists()
    );
    // Killed before that is noted, it would give the command its message again.
    let noted = || fs::read_to_string(world.path(".local/state/bowline/notify.json")).unwrap();
    until(PATIENCE, "it is noted that the command took it", || noted().contains(r#""command":[]"#));
    daemon.process.signal(Signal::KILL);
    world.restart(&mut daemon);
    fs::remove_file(world.path("away")).unwrap();
    until(PATIENCE, "the webhook has it", || taken(&world) == raised);
    world.sign_in();
    let whole = ["raised login corp", "resolved login corp"];
    until(PATIENCE, "both have its end", || taken(&world) == whole && commanded(&world) == whole);
    assert_eq!(daemon.stop().0.code, Some(0));
    let message = &lines(&world.path("command.log"))[0];
    assert_eq!((&message["fix"], &message["severity"]), (&"run `bowline login corp`".into(), &"critical".into()));
    let everything = ["webhook.log", "command.log", "command.env", ".local/state/bowline/notify.json"];
    let everything = everything.map(|name| fs::read_to_string(world.path(name)).unwrap()).concat();
    assert!(everything.contains("BOWLINE_EVENT=raised") && !everything.contains("a-secret-of-the-webhook"));
    for secret in world.cloud().secrets_in_play() {
        assert!(!everything.contains(secret.expose()), "a secret was told");
    }
    drop(receiver);
}

#[test]
fn channels_can_be_tried_and_check_names_them_and_a_reload_adds_one() {
    if !has_python() {
        skip!("notifications: no python3");
    }
    let world = World::new("notify-test", |_| {});
    let port = free_address().port();
    let bare = world.run(&["notify", "test"]);
    assert!(bare.code == Some(2) && bare.stderr.contains("no channel is set up"), "{}", bare.stderr);
    world.sign_in_long_ago();
    world.cloud().end_sessions();
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"/srv\"\n");
    until(PATIENCE, "a login is needed", || world.run(&["creds", "build"]).code == Some(5));
    let text = fs::read_to_string(&daemon.config).unwrap().replace("[[artifacts.repository]]\nfrom = \"/srv\"\n", "");
    world.write("bowline.toml", &(text + &section(&world, port)));
    let config = daemon.config.to_str().unwrap();
    world.write("secret", "a-secret-of-the-webhook\n");
    let check = world.run(&["check", "--config", config]);
    let channels = format!("notifications: webhook to `127.0.0.1:{port}`, command `sh`\n");
    assert!(check.stdout.ends_with(&channels), "{}{}", check.stdout, check.stderr);
    let tried = world.run(&["notify", "test", "--config", config]);
    assert_eq!(tried.code, Some(1), "{}", tried.stderr);
    assert!(tried.stdout.contains("webhook   failed: cannot connect") && tried.stdout.contains("command   delivered"));
    let _receiver = receiver(&world, port);
    let tried = world.run(&["notify", "test", "--config", config, "--output", "json"]);
    assert!(tried.code == Some(0) && !tried.stdout.contains("false"), "{}", tried.stdout);
    assert_eq!(taken(&world), ["test test notify"]);
    daemon.process.signal(Signal::HUP);
    until(PATIENCE, "what went on before is told over the new channels", || {
        taken(&world).last().is_some_and(|last| last == "raised login corp")
    });
}
