//! Clients come, go, move and lie; the server goes and comes back.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket},
    time::Duration,
};

use bowline_rig::{Direction, Link, Path, Relay, Service, UdpEcho, echo, udp};

use super::stage::{PATIENCE, Stage, target};
use crate::harness::{elapsed, until};

/// Whether a datagram of `socket` comes back from `server` within its patience.
fn answered(socket: &UdpSocket, server: &UdpEcho) -> bool {
    socket.send_to(b"there?", server.address()).ok();
    socket.recv_from(&mut [0; 16]).is_ok()
}

fn is_echoed(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_client_that_is_removed_is_cut_within_two_seconds_and_a_new_one_is_let_in_at_once() {
    let Some(mut stage) = Stage::prepare("tunnel-remove", 2, &[]) else { return };
    let first = stage.rig.clients[0].keys.public.clone();
    stage.rig.peers_file(|client| client.keys.public == first).unwrap();
    stage.serve();
    for index in 0..2 {
        stage.rig.connect(index).unwrap();
    }
    let service = Service::start(&stage.rig.server, target(), |mut stream| {
        // Until the tunnel ends it.
        while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
    });
    let service = service.unwrap();
    let upstream = UdpEcho::start(&stage.rig.server, target()).unwrap();
    let _stream = stage.connect(0, service.address());
    let of = |stage: &Stage, index: usize| {
        let client = &stage.rig.clients[index];
        udp(&client.namespace, client.inner().into(), Duration::from_millis(400)).unwrap()
    };
    let (socket, stranger) = (of(&stage, 0), of(&stage, 1));
    assert!(answered(&socket, &upstream) && !answered(&stranger, &upstream));
    let start = elapsed();
    stage.admit(|client| client.keys.public != first);
    until(Duration::from_secs(2), "the first is cut", || !answered(&socket, &upstream));
    let flows = |stage: &Stage| stage.status().map(|status| status["peers"].as_array().map_or(9, Vec::len));
    until(Duration::from_secs(2), "it is forgotten", || flows(&stage) == Some(1));
    assert!(elapsed() - start < Duration::from_secs(2), "{:?}", elapsed() - start);
    let seen = upstream.seen().len();
    assert!(!answered(&socket, &upstream), "and stays out");
    assert_eq!(upstream.seen().len(), seen, "nothing of it passes");
    until(PATIENCE, "the second is let in", || answered(&stranger, &upstream));
}

#[test]
fn a_file_with_mistakes_changes_nothing() {
    let Some(mut stage) = Stage::start("tunnel-mistake", 1, &[]) else { return };
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut stream = stage.connect(0, service.address());
    assert!(is_echoed(&mut stream));
    bowline_base::atomic::write(&stage.rig.path("peers.conf"), b"[Interface]\nnonsense\n", 0o644).unwrap();
    stage.server().signal(rustix::process::Signal::HUP);
    until(PATIENCE, "it says so", || stage.told().contains("line 2"));
    assert!(is_echoed(&mut stream));
    // The same with everybody in it disturbs nobody.
    stage.admit(|_| true);
    until(PATIENCE, "it is read", || stage.told().contains("were read again"));
    assert!(is_echoed(&mut stream));
}

#[test]
fn a_client_may_move_to_another_address_and_port_and_its_connections_go_on() {
    let Some(mut stage) = Stage::prepare("tunnel-roaming", 1, &[]) else { return };
    stage.serve();
    let client = &stage.rig.clients[0];
    let relay = Relay::start(&client.namespace, stage.rig.endpoint(0), Path::default(), Path::default()).unwrap();
    client.namespace.ip("addr add 10.99.1.7/24 dev outside").unwrap();
    stage.rig.connect_by(0, &Link::to(relay.address())).unwrap();
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut stream = stage.connect(0, service.address());
    let endpoint = || stage.status().map(|status| status["peers"][0]["endpoint"].as_str().unwrap_or("").to_owned());
    assert!(is_echoed(&mut stream) && endpoint().unwrap().starts_with("10.99.1.2:"), "{:?}", endpoint());
    relay.roam(&stage.rig.clients[0].namespace, Ipv4Addr::new(10, 99, 1, 7).into()).unwrap();
    assert!(is_echoed(&mut stream), "{}", stage.told());
    assert!(endpoint().unwrap().starts_with("10.99.1.7:"), "{:?}", endpoint());
    // Garbage from elsewhere moves nobody.
    let stranger = stage.rig.clients[0].namespace.enter(|| UdpSocket::bind("10.99.1.2:0")).unwrap();
    relay.record();
    assert!(is_echoed(&mut stream));
    for datagram in relay.recorded().iter().filter(|datagram| datagram.direction == Direction::Up) {
        let mut forged = datagram.bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        for bytes in [&forged, &datagram.bytes] {
            stranger.send_to(bytes, stage.rig.endpoint(0)).unwrap();
        }
    }
    assert!(is_echoed(&mut stream) && endpoint().unwrap().starts_with("10.99.1.7:"), "{:?}", endpoint());
}

#[test]
fn an_address_of_another_client_is_worth_nothing() {
    let Some(stage) = Stage::start("tunnel-stolen", 2, &[]) else { return };
    let upstream = UdpEcho::start(&stage.rig.server, target()).unwrap();
    let (thief, owner) = (&stage.rig.clients[0], &stage.rig.clients[1]);
    thief.namespace.ip(&format!("addr add {}/32 dev wg0", owner.inner())).unwrap();
    thief.namespace.ip("addr add 192.0.2.1/32 dev wg0").unwrap();
    let socket = |address: IpAddr| udp(&thief.namespace, address, Duration::from_millis(500)).unwrap();
    assert!(answered(&socket(thief.inner().into()), &upstream), "with its own address it is served");
    let seen = upstream.seen().len();
    for stolen in [IpAddr::from(owner.inner()), Ipv4Addr::new(192, 0, 2, 1).into()] {
        assert!(!answered(&socket(stolen), &upstream), "{stolen}");
    }
    assert_eq!(upstream.seen().len(), seen, "nothing of it reached the target");
    let status = stage.status().unwrap();
    assert!(status["drops"].as_object().is_some_and(|drops| !drops.is_empty()), "{status}");
}

/// In `--full` only: a client notices after 15 s of silence that its server knows it no more.
#[test]
fn a_server_that_was_killed_and_started_again_has_its_clients_back_without_their_doing() {
    let Some(mut stage) = Stage::start("tunnel-restart", 1, &[]) else { return };
    let upstream = UdpEcho::start(&stage.rig.server, target()).unwrap();
    let client = &stage.rig.clients[0];
    let socket = udp(&client.namespace, client.inner().into(), Duration::from_millis(500)).unwrap();
    until(PATIENCE, "the client is served", || answered(&socket, &upstream));
    let before = stage.rig.clients[0].last_handshake().unwrap();
    stage.server().signal(rustix::process::Signal::KILL);
    stage.serve();
    until(Duration::from_secs(40), "it is served again", || answered(&socket, &upstream));
    assert!(stage.rig.clients[0].last_handshake().unwrap() > before);
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    assert!(is_echoed(&mut stage.connect(0, service.address())));
}

#[test]
fn what_a_client_has_used_is_remembered_and_its_quota_ends_it() {
    let Some(mut stage) = Stage::prepare("tunnel-quota", 1, &[]) else { return };
    // A folder that the program may write into.
    let folder = stage.rig.path("usage");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(bowline_rig::NOBODY), Some(bowline_rig::NOBODY)).unwrap();
    let file = folder.join("usage");
    stage.add_flags(&["--quota", "300 KiB", "--usage", file.to_str().unwrap()]);
    stage.serve();
    stage.rig.connect(0).unwrap();
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut stream = stage.connect(0, service.address());
    stream.write_all(&[3; 50_000]).unwrap();
    stream.read_exact(&mut [0; 50_000]).unwrap();
    assert_eq!(stage.stop().code, Some(0));
    let used = || {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().nth(1).and_then(|line| line.split_once(' ')?.1.parse::<u64>().ok()).unwrap_or(0)
    };
    assert!((100_000..200_000).contains(&used()), "{}", used());
    stage.serve();
    let status = stage.status().unwrap();
    assert_eq!(status["peers"][0]["used"].as_u64(), Some(used()), "it goes on counting from there");
    let upstream = UdpEcho::start(&stage.rig.server, target()).unwrap();
    stage.rig.clients[0].configure(&stage.rig.keys.public, &Link::to(stage.rig.endpoint(0))).unwrap();
    let inner = stage.rig.clients[0].inner().into();
    let socket = udp(&stage.rig.clients[0].namespace, inner, Duration::from_millis(500)).unwrap();
    until(PATIENCE, "it is served again", || answered(&socket, &upstream));
    let echoed = (0..600).take_while(|_| {
        socket.send_to(&[4; 1000], upstream.address()).ok();
        socket.recv_from(&mut [0; 1500]).is_ok()
    });
    let echoed = echoed.count();
    assert!((20..200).contains(&echoed), "{echoed} times 2 kB of what was left of the quota");
    assert!((0..3).all(|_| !answered(&socket, &upstream)), "and it stays ended");
    let metrics = stage.page("/metrics");
    assert!(metrics.contains("bowline_vpn_drops_total{reason=\"over_quota\"}"), "it is counted: {metrics}");
}
