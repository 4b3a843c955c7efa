//! Ten thousand clients that asked once and say nothing more: they cost little, and a build goes on beside them.

use std::fs;

use bowline_fakeaws::Bucket;
use bowline_host::{clock, process};

use crate::harness::{Client, World, fetch, skip};

const IDLE: usize = 10_000;
/// Of the server's memory for each, its share of what the runtime keeps included.
const MOST_KIB: f64 = 24.0;

#[test]
fn ten_thousand_idle_connections_cost_little_and_a_build_goes_on() {
    process::raise_file_limit();
    // The server keeps a quarter of its files for other things than connections.
    if process::file_limit() / 4 * 3 < IDLE + 100 {
        skip!("ten thousand connections: this user may open {} files", process::file_limit());
    }
    let world = World::new("idle", |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    world.cloud().put_object(clock::now(), "maven", "g/a/1/a-1.jar", bytes::Bytes::from(vec![b'x'; 2000]));
    world.sign_in();
    let mut daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    daemon.wait_until_ready();
    let asks = || fetch(daemon.artifacts, "/g/a/1/a-1.jar").is_ok_and(|answer| answer.body.len() == 2000);
    assert!(asks());
    let before = resident_kib(daemon.process.id());
    let idle: Vec<Client> = (0..IDLE).map(|_| asked_once(daemon.artifacts)).collect();
    let each = (resident_kib(daemon.process.id()) - before) / IDLE as f64;
    eprintln!("{each:.1} KiB for each of {IDLE} idle connections");
    assert!(each < MOST_KIB, "{each:.1} KiB each");
    assert!(asks(), "a build goes on beside them");
    drop(idle);
    assert!(asks(), "and after them");
}

fn asked_once(address: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.ask("HEAD", "/g/a/1/a-1.jar").unwrap().status, 200);
    client
}

fn resident_kib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
