//! What a user has used and what the store knows of it, when nobody has the time to write it down.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::Vpn;
use crate::harness::{World, free_address, until};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends two mebibytes to everybody who connects.
fn source() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Who is cut off in the middle is what this is about.
            stream.write_all(&vec![b'x'; 2 * MIB as usize]).ok();
        }
    });
    address
}

/// The status, and how many bytes came behind it.
fn download(proxy: SocketAddr, to: SocketAddr, key: &str) -> (String, u64) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: Bearer {key}\r\n\r\n").unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).ok();
    let end = got.windows(4).position(|four| four == b"\r\n\r\n").map_or(got.len(), |end| end + 4);
    let status = String::from_utf8_lossy(&got[..end]).split(' ').nth(1).unwrap_or_default().to_owned();
    (status, (got.len() - end) as u64)
}

/// Killed, not stopped: it has no moment to write anything down.
fn kill(vpn: Vpn) -> String {
    vpn.process.signal(Signal::KILL);
    let master = vpn.master.clone();
    vpn.process.finish(PATIENCE);
    master
}

#[test]
fn a_server_that_is_killed_forgets_little_of_a_quota_and_nothing_of_its_end() {
    let world = World::new("vpn-quota", |_| {});
    let (source, proxy) = (source(), free_address());
    let (port, place) = (source.port().to_string(), proxy.to_string());
    let doors = ["--proxy", &place, "--proxy-port", &port, "--egress-allow", "127.0.0.0/8"];
    let vpn = Vpn::serve(&world, &doors);
    let made = vpn.json(&world, &["/users", "-d", r#"{"client_id":"alice","quota_bytes":4000000}"#]);
    let key = made["api_key"].as_str().unwrap().to_owned();
    assert_eq!(download(proxy, source, &key), ("200".to_owned(), 2 * MIB));
    // An eighth of what is left is told at once, and is not waited for for five minutes.
    let kept = vpn.store.join("users/alice/usage");
    until(PATIENCE, "the store knows", || fs::read_to_string(&kept).is_ok_and(|text| text.contains("\"sent\":2097")));
    let master = kill(vpn);

    let mut vpn = Vpn::serve(&world, &doors);
    vpn.master.clone_from(&master);
    let used = vpn.json(&world, &["/users/alice"])["sent_bytes"].as_u64().unwrap();
    assert!((2 * MIB..2 * MIB + 4096).contains(&used), "{used}");
    assert_eq!(download(proxy, source, &key).0, "200");
    until(PATIENCE, "the quota is used", || vpn.json(&world, &["/users/alice"])["status"] == "inactive");
    assert_eq!(download(proxy, source, &key).0, "403");
    until(PATIENCE, "the store knows of its end", || {
        fs::read_to_string(&kept).is_ok_and(|text| !text.contains("\"sent\":2097"))
    });
    kill(vpn);

    let mut vpn = Vpn::serve(&world, &doors);
    vpn.master = master;
    let shown = vpn.json(&world, &["/users/alice"]);
    assert_eq!((&shown["status"], &shown["reason"]), (&"inactive".into(), &"quota used".into()), "{shown}");
    assert_eq!(download(proxy, source, &key).0, "403", "a restart opens nothing");
    vpn.ask(&world, &["/users/alice", "-X", "PATCH", "-d", r#"{"quota_bytes":null,"reset_usage":true}"#]);
    assert_eq!(download(proxy, source, &key), ("200".to_owned(), 2 * MIB));
}
