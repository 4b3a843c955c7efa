//! `[gateway]` in the daemon: status, readiness, metrics, reload; what is told waits until the network is back.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use super::site::{A, B, C, Site, quick};
use crate::harness::{Running, fetch, free_address, until};

const LONG: Duration = Duration::from_secs(15);

fn daemon(site: &Site, more: &str) -> (Running, SocketAddr) {
    let status = free_address();
    let config = site.configured_at(status, more);
    let mut command = site.world.bowline(&["run", "--config", &config]);
    site.sign(&mut command);
    let process = site.world.start("run", &mut command);
    until(LONG, "the daemon is ready", || fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200));
    (process, status)
}

fn status(address: SocketAddr) -> Value {
    let document: Value = serde_json::from_str(&fetch(address, "/status.json").unwrap().text()).unwrap();
    document["jobs"]["gateway"].clone()
}

#[test]
fn status_and_metrics_follow_a_change_and_show_no_key() {
    let site = Site::new("gateway-daemon", quick());
    let (process, page) = daemon(&site, "");
    until(LONG, "the address is known", || status(page)["address"] == A.to_string());
    let before = status(page);
    assert_eq!((&before["owner"], &before["connections"][0]["tunnels_up"]), (&"site-1".into(), &2.into()), "{before}");
    site.moves_to(B);
    until(LONG, "the change is over", || status(page)["last_change"]["to"] == B.to_string());
    site.settles(B, 0);
    until(LONG, "it is shown so", || status(page)["orphan_gateways"].as_array().is_some_and(Vec::is_empty));
    let metrics = fetch(page, "/metrics").unwrap().text();
    for words in [
        "bowline_gateway_address_info{address=\"198.51.100.2\"} 1",
        "bowline_gateway_changes_total 1",
        "bowline_gateway_owned_gateways 1",
        "bowline_gateway_orphan_gateways 0",
        "bowline_gateway_actions_total{action=\"create\",result=\"ok\"} 1",
        "bowline_gateway_modify_seconds_count 1",
        &format!("bowline_gateway_tunnels_up{{connection=\"{}\"}} 2", site.connection),
    ] {
        assert!(metrics.contains(words), "{words}: {metrics}");
    }
    let shown = metrics + &status(page).to_string() + &fetch(page, "/").unwrap().text() + &process.stderr();
    assert!(!shown.contains("psk_") && !shown.contains("pre_shared_key"), "{shown}");
    let checks = fetch(page, "/readyz").unwrap().text();
    assert!(checks.contains("gateway.address") && checks.contains("gateway.tunnels"), "{checks}");
}

#[test]
fn a_changed_section_is_taken_on_hangup_and_a_missing_one_ends_the_job() {
    let site = Site::new("gateway-reload", quick());
    let (process, page) = daemon(&site, "");
    site.configured_at(page, "confirm = 1\n");
    process.signal(Signal::HUP);
    until(LONG, "it was read", || process.stderr().contains("the configuration was read again"));
    site.looks(3);
    site.moves_to(B);
    site.settles(B, 0);
    site.world.write("bowline.toml", &format!("[daemon]\nlisten = \"{page}\"\n"));
    process.signal(Signal::HUP);
    until(LONG, "the job is gone", || status(page).is_null());
    site.moves_to(C);
    let looks = site.calls("Describe");
    until(LONG, "the page goes on", || fetch(page, "/livez").is_ok_and(|answer| answer.status == 200));
    assert!(site.calls("Describe") <= looks + 2, "nobody looks any more");
    assert_eq!(site.address(), Some(B));
}

/// Takes POSTs and keeps their bodies.
fn receiver(address: SocketAddr) -> Arc<Mutex<Vec<Value>>> {
    let (listener, kept) = (TcpListener::bind(address).unwrap(), Arc::new(Mutex::new(Vec::new())));
    let bodies = Arc::clone(&kept);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(LONG)).unwrap();
            let (mut text, mut piece) = (String::new(), [0; 4096]);
            let document = loop {
                let length = stream.read(&mut piece).unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&piece[..length]));
                let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                let is_get = text.starts_with("GET ") && text.ends_with("\r\n\r\n");
                match serde_json::from_str(body) {
                    Ok(document) => break Some(document),
                    Err(_) if length == 0 || is_get => break None,
                    Err(_) => {}
                }
            };
            bodies.lock().unwrap().extend(document);
            // One that hung up has its answer already.
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").ok();
        }
    });
    kept
}

#[test]
fn what_is_told_waits_until_the_network_is_back_and_outlives_the_program() {
    let site = Site::new("gateway-webhook", quick());
    let hook = free_address();
    let flags = [
        "--owner",
        "site-1",
        "--webhook",
        &format!("http://{hook}/x"),
        "--healthcheck",
        &format!("http://{hook}/alive"),
    ];
    let process = site.start(&flags);
    site.looks(2);
    site.moves_to(B);
    site.settles(B, 0);
    until(LONG, "the change is over", || process.stderr().contains("the change is done"));
    until(LONG, "it was not heard", || process.stderr().contains("a notification did not arrive; it is kept"));
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(5)).code, Some(0));
    let kept = site.world.path(".local/state/bowline/gateway-notify.json");
    assert!(fs::read_to_string(kept).unwrap().contains("detected"));
    let told = receiver(hook);
    let _again = site.start(&flags);
    let phases = || -> Vec<String> {
        let told = told.lock().unwrap();
        told.iter().filter_map(|one| one["details"]["phase"].as_str().map(str::to_owned)).collect()
    };
    until(LONG, "all of it has arrived", || phases().contains(&"done".to_owned()));
    assert_eq!(phases()[..2], ["detected", "modifying"]);
    let first = told.lock().unwrap()[0].clone();
    assert_eq!(
        (&first["kind"], &first["details"]["new-address"]),
        (&"gateway".into(), &"198.51.100.2".into()),
        "{first}"
    );
}
