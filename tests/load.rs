//! 64 connections, one rotation a second, half the keys cold: nobody notices a rotation.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bowline_fakeaws::Bucket;
use bowline_host::clock;

use crate::harness::{Client, World, elapsed, pause};

const CONNECTIONS: u64 = 64;
const HOT_KEYS: u64 = 32;
/// Enough that a fast machine does not run out of cold keys: 64 connections at 25 requests a second each.
const COLD_KEYS_A_SECOND: u64 = 900;
/// Between two requests of a connection.
const BREATH: Duration = Duration::from_millis(40);

/// What the clients saw.
#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, u64>,
    cold: u64,
}

#[track_caller]
fn load(name: &str, length: Duration) {
    let world = World::new(name, |settings| settings.role_lifetime = Duration::from_secs(2));
    let cold_keys = COLD_KEYS_A_SECOND * length.as_secs();
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    let body = bytes::Bytes::from(vec![b'x'; 2000]);
    for key in 0..HOT_KEYS {
        world.cloud().put_object(clock::now(), "maven", &format!("hot/{key}.jar"), body.clone());
    }
    for key in 0..cold_keys {
        world.cloud().put_object(clock::now(), "maven", &format!("cold/{key}.jar"), body.clone());
    }
    world.sign_in();
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    world.cloud().clear_counts();
    let seen = hammer(daemon.artifacts, length, cold_keys);
    let counts = world.cloud().counts();
    let answers: u64 = seen.answers.values().sum();
    eprintln!("{answers} answers, {} of them cold, {:?}", seen.cold, seen.answers);
    assert_eq!(seen.answers.keys().collect::<Vec<_>>(), ["200, 2000 bytes"], "{:?}", seen.answers);
    assert!(seen.cold * 10 >= answers * 4, "{} of {answers} were cold", seen.cold);
    let rotations = counts.sum("sso.GetRoleCredentials");
    let seconds = length.as_secs();
    assert!((seconds * 2 / 3..=seconds + 2).contains(&rotations), "about one rotation a second: {rotations}");
    assert_eq!(counts.sum("s3.GetObject"), counts.sum("s3.GetObject.200"), "S3 never refused: {:?}", counts.calls);
}

/// Every connection asks in turn for a hot key and for one that nobody asked for before.
fn hammer(address: SocketAddr, length: Duration, cold_keys: u64) -> Seen {
    let (seen, next) = (Mutex::new(Seen::default()), AtomicU64::new(0));
    let end = elapsed() + length;
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (seen, next) = (&seen, &next);
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                let mut own = Seen::default();
                while elapsed() < end {
                    let cold = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|key| *key < cold_keys);
                    let cold = cold.map(|key| format!("/cold/{key}.jar"));
                    own.cold += u64::from(cold.is_some());
                    for path in cold.into_iter().chain([format!("/hot/{}.jar", connection % HOT_KEYS)]) {
                        *own.answers.entry(outcome(&mut client, address, &path)).or_default() += 1;
                    }
                    pause(BREATH);
                }
                let mut seen = seen.lock().unwrap();
                seen.cold += own.cold;
                for (outcome, count) in own.answers {
                    *seen.answers.entry(outcome).or_default() += count;
                }
            });
        }
    });
    seen.into_inner().unwrap()
}

fn outcome(client: &mut Client, address: SocketAddr, path: &str) -> String {
    match client.ask("GET", path) {
        Ok(answer) => format!("{}, {} bytes", answer.status, answer.body.len()),
        Err(error) => {
            // The server may close an idle connection; a new one must work at the next request.
            if let Ok(fresh) = Client::connect(address) {
                *client = fresh;
            }
            format!("broken: {error}")
        }
    }
}

#[test]
fn no_request_fails_in_twenty_seconds_of_rotations() {
    load("load", Duration::from_secs(20));
}

#[test]
fn no_request_fails_in_a_minute_of_rotations() {
    load("load-minute", Duration::from_secs(60));
}
