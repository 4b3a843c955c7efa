//! The whole way from a matter to a channel, over restarts and changed channels.

use std::{collections::BTreeMap, fs, path::Path};

use bowline_base::Secret;

use super::*;
use crate::{HttpWire, client::Outside};

pub(super) fn login(subject: &str) -> Notification {
    Notification {
        kind: "login",
        subject: subject.to_owned(),
        severity: Severity::Critical,
        text: format!("`{subject}` needs a login"),
        fix: Some("run it".to_owned()),
        details: std::collections::BTreeMap::new(),
        pace: Pace::BackOff,
    }
}

fn append_to(path: &Path) -> Hook {
    let argv = ["sh".to_owned(), "-c".to_owned(), format!("cat >> {}", path.display())].to_vec();
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    Hook { argv, environment, limit: Hook::LIMIT }
}

fn start(tasks: &Tasks, home: &Path, channels: Channels) -> Notifier {
    let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
    Notifier::start(wire, tasks, home.join("notify.json"), channels)
}

/// The events in a file that a command appends to.
fn events(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["event"].as_str().map(str::to_owned);
    text.lines().filter_map(event).collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Ended before it is noted that the command took a message, a process would give it that message again.
async fn until_noted(home: &Path) {
    let noted =
        || State::read(&home.join("notify.json")).outboxes.get("command").map(outbox::Outbox::waiting) == Some(0);
    until("it is noted that the command took it", noted).await;
}

#[tokio::test]
async fn one_message_through_restarts_and_one_end() {
    let home = tempfile::tempdir().unwrap();
    let (log, file) = (home.path().join("log"), home.path().join("needs.txt"));
    for round in 0..3 {
        let tasks = Tasks::new();
        let channels = Channels { command: Some(append_to(&log)), file: Some(file.clone()), ..Channels::default() };
        let notifier = start(&tasks, home.path(), channels);
        notifier.raise(&login("corp"));
        notifier.raise(&login("corp"));
        until("the first message", || events(&log) == ["raised"]).await;
        until_noted(home.path()).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), "`corp` needs a login\nrun it\n");
        if round == 2 {
            notifier.clear("login", "corp");
            until("the end", || events(&log) == ["raised", "resolved"]).await;
            assert!(!file.exists());
        }
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }
}

#[tokio::test]
async fn what_a_channel_could_not_bring_waits_for_it_over_a_restart_and_a_change() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let away = format!("http://{}/", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let webhook = Webhook::new(&away, SecretPlace::Given(Secret::new("s")), Webhook::PATIENCE).unwrap();
    let tasks = Tasks::new();
    let both = Channels { webhook: Some(webhook), command: Some(append_to(&log)), ..Channels::default() };
    let notifier = start(&tasks, home.path(), both.clone());
    notifier.raise(&login("corp"));
    until("the command is not held up", || events(&log) == ["raised"]).await;
    until_noted(home.path()).await;
    tasks.shut_down(Duration::from_secs(5)).await;
    let kept = State::read(&home.path().join("notify.json"));
    assert_eq!((kept.outboxes["webhook"].waiting(), kept.outboxes["command"].waiting()), (1, 0));

    let only = Channels { only: Some(vec!["certificate".to_owned()]), ..both };
    let tasks = Tasks::new();
    let notifier = start(&tasks, home.path(), only);
    notifier.raise(&login("lab"));
    notifier.raise(&Notification { kind: "certificate", ..login("site") });
    until("only what is wanted", || events(&log).len() == 2).await;
    notifier.replace(Channels { command: Some(append_to(&log)), ..Channels::default() });
    until("what was not wanted before", || events(&log).len() == 3).await;
    notifier.tell(&login("moved"));
    until("what happened", || events(&log).last().is_some_and(|event| event == "told")).await;
    tasks.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn each_channel_is_tried_and_the_silent_one_does_nothing() {
    let home = tempfile::tempdir().unwrap();
    let channels = Channels { command: Some(append_to(&home.path().join("log"))), ..Channels::default() };
    let wire = HttpWire::new(&Outside::default()).unwrap();
    let outcomes = try_channels(&wire, &channels, &Notifier::trial(7)).await;
    assert_eq!(outcomes, [("command", Outcome::Delivered)]);
    Notifier::default().raise(&login("corp"));
}
