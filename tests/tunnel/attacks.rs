//! Who is not authenticated gets nothing, and disturbs nobody.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bowline_rig::{Datagram, Direction, Link, Path, Relay, Service, UdpEcho, udp};

use super::{
    stage::{PATIENCE, Stage, target},
    traffic::{digest, noise, serve_files},
};
use crate::harness::{Raise, until};

/// Kinds of WireGuard's messages: the first byte.
const INITIATION: u8 = 1;
const DATA: u8 = 4;

#[test]
fn a_download_goes_on_under_a_flood_of_garbage_and_of_handshakes() {
    let Some(mut stage) = Stage::prepare("tunnel-flood", 2, &[]) else { return };
    stage.serve();
    let relay =
        Relay::start(&stage.rig.clients[1].namespace, stage.rig.endpoint(1), Path::default(), Path::default()).unwrap();
    relay.record();
    stage.rig.connect(0).unwrap();
    stage.rig.connect_by(1, &Link::to(relay.address())).unwrap();
    stage.run(1, &["ping", "-c", "1", "-W", "5", "10.77.0.1"]);
    // A real one, whose first seal is right: it costs the server more than garbage.
    let initiation = sent(&relay.recorded(), INITIATION).first().cloned().unwrap();
    let service = Service::start(&stage.rig.server, target(), serve_files).unwrap();
    let url = format!("http://{}/down", service.address());
    let (server, attackers) = (stage.rig.endpoint(1), &stage.rig.clients[1].namespace);
    let end = AtomicBool::new(false);
    let file = stage.rig.path("under-fire");
    let download = std::thread::scope(|scope| {
        let _raise = Raise(&end);
        for seed in 0..2 {
            let socket = attackers.enter(|| UdpSocket::bind(("10.99.2.2", 0))).unwrap();
            let (end, initiation) = (&end, &initiation);
            scope.spawn(move || flood(&socket, server, initiation, seed, end));
        }
        let words = ["curl", "-sS", "--max-time", "18", "-o", file.to_str().unwrap(), &url];
        stage.run(0, &words)
    });
    let bytes = std::fs::read(&file).unwrap_or_default();
    assert_eq!(digest(&bytes), digest(&noise()), "{} bytes came; {} {}", bytes.len(), download.stderr, stage.told());
    let ready = stage.page("/readyz");
    assert!(!ready.contains("failed"), "{ready}");
    // Nobody is shut out by what others have sent in his name.
    let pinged = stage.run(1, &["ping", "-c", "1", "-W", "8", "10.77.0.1"]);
    assert!(pinged.stdout.contains("1 received"), "{} {}", pinged.stdout, stage.told());
}

/// Garbage of every kind and size, then the initiation again and again.
fn flood(socket: &UdpSocket, server: SocketAddr, initiation: &[u8], seed: u32, end: &AtomicBool) {
    let mut state = 0x9E37_79B9_u32.wrapping_mul(seed + 1);
    let mut garbage = vec![0_u8; 1500];
    while !end.load(Ordering::Relaxed) {
        for byte in &mut garbage[..200] {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *byte = state.to_le_bytes()[0];
        }
        let length = usize::try_from(state % 1500).unwrap_or(0);
        garbage[0] = (state % 6) as u8;
        garbage[1..4].fill(0);
        socket.send_to(&garbage[..length], server).ok();
        socket.send_to(initiation, server).ok();
        // A core is left to the download.
        std::thread::yield_now();
    }
}

#[test]
fn what_was_recorded_and_is_sent_again_does_nothing() {
    let Some(mut stage) = Stage::prepare("tunnel-replay", 1, &[]) else { return };
    stage.serve();
    let client = &stage.rig.clients[0];
    let relay = Relay::start(&client.namespace, stage.rig.endpoint(0), Path::default(), Path::default()).unwrap();
    relay.record();
    stage.rig.connect_by(0, &Link::to(relay.address())).unwrap();
    let upstream = UdpEcho::start(&stage.rig.server, target()).unwrap();
    let client = &stage.rig.clients[0];
    let socket = udp(&client.namespace, client.inner().into(), PATIENCE).unwrap();
    for number in 0..20_u8 {
        socket.send_to(&[number; 100], upstream.address()).unwrap();
        socket.recv_from(&mut [0; 200]).unwrap_or_else(|error| panic!("{number}: {error}; {}", stage.told()));
    }
    let recorded = relay.recorded();
    let (data, initiations) = (sent(&recorded, DATA), sent(&recorded, INITIATION));
    assert!(data.len() >= 20 && !initiations.is_empty(), "{} {}", data.len(), initiations.len());
    for bytes in initiations.iter().chain(&data) {
        relay.send(Direction::Up, bytes);
    }
    let dropped = |status: serde_json::Value| {
        let drops = status["drops"].as_object().cloned().unwrap_or_default();
        drops.values().filter_map(serde_json::Value::as_u64).sum::<u64>()
    };
    until(PATIENCE, "the replays are counted", || stage.status().map(dropped).is_some_and(|count| count >= 20));
    assert_eq!(upstream.seen().len(), 20, "nothing arrived twice");
    socket.send_to(b"on it goes", upstream.address()).unwrap();
    socket.recv_from(&mut [0; 200]).unwrap_or_else(|error| panic!("{error}: {}", stage.told()));
}

#[test]
fn to_strangers_it_is_silent() {
    let Some(mut stage) = Stage::prepare("tunnel-silent", 1, &[]) else { return };
    stage.serve();
    let stranger = stage.rig.clients[0].namespace.enter(|| UdpSocket::bind(("10.99.1.2", 0))).unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    for kind in 0..6_u8 {
        for length in [0, 1, 4, 32, 92, 148, 1400] {
            let mut bytes = vec![7; length];
            bytes.iter_mut().take(4).enumerate().for_each(|(at, byte)| *byte = if at == 0 { kind } else { 0 });
            stranger.send_to(&bytes, stage.rig.endpoint(0)).unwrap();
        }
    }
    let answer = stranger.recv_from(&mut [0; 2000]);
    assert!(answer.is_err(), "it spoke to a stranger: {answer:?}");
}

/// What went up with messages of `kind`.
fn sent(recorded: &[Datagram], kind: u8) -> Vec<Vec<u8>> {
    let up = recorded.iter().filter(|datagram| datagram.direction == Direction::Up);
    up.filter(|datagram| datagram.bytes.first() == Some(&kind)).map(|datagram| datagram.bytes.clone()).collect()
}
