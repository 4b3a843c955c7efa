//! Peers come, go, move and lie.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
};

use bowline_tunnel::{
    ChangeError, Config, Tunnel,
    egress::{ClientToClient, Rules},
    packet::{Packet, Transport, build, mss},
};
use smoltcp::socket::tcp::State;

use crate::client::{Client, SERVER, USER, config, key, open_loopback, peer, tunnel, until};

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// A server that sends back what it gets.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn exchange(client: &mut Client, connection: smoltcp::iface::SocketHandle, words: &[u8]) {
    client.write(connection, words);
    let mut back = Vec::new();
    client.until("echo", |client| {
        let socket = client.tcp(connection);
        if socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), back.extend_from_slice(bytes))).unwrap();
        }
        back.len() >= words.len()
    });
    assert_eq!(back, words);
}

#[test]
fn a_user_that_moves_is_followed_and_its_connections_live_on() {
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(echo_server());
    exchange(&mut client, connection, b"here");
    client.roam();
    exchange(&mut client, connection, b"and there");
    let seen = tunnel.stats().unwrap().peers[&key(2).public()].endpoint.unwrap();
    assert_eq!(seen, client.wire.local_addr().unwrap());
}

#[test]
fn a_former_key_is_honoured_and_an_old_initiation_for_it_moves_nobody() {
    let config = Config { former_key: Some(key(9)), ..config(open_loopback()) };
    let tunnel = Tunnel::start(config, vec![peer(2, USER)]).unwrap();
    let server = tunnel.listening()[0];
    let seen = || tunnel.stats().unwrap().peers[&key(2).public()].clone();
    let mut client = Client::new(server);
    let connection = client.connect(echo_server());
    exchange(&mut client, connection, b"by the new key");
    let mut old = Client::naming(9, 2, USER, server);
    old.shake_hands_anew();
    client.until("the handshake is answered", |_| tunnel.stats().unwrap().handshakes == 2);
    assert_eq!((seen().endpoint, seen().former_key), (client.wire.local_addr().ok(), false));
    exchange(&mut client, connection, b"as before");
    let connection = old.connect(echo_server());
    exchange(&mut old, connection, b"by the former key");
    assert_eq!((seen().endpoint, seen().former_key), (old.wire.local_addr().ok(), true));
    let connection = client.connect(echo_server());
    exchange(&mut client, connection, b"and back");
    assert!(!seen().former_key);
}

#[test]
fn nobody_moves_a_user_with_a_datagram_that_is_not_its_own() {
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(echo_server());
    exchange(&mut client, connection, b"here");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut forged = client.sent.last().unwrap().clone();
    stranger.send_to(&forged, tunnel.listening()[0]).unwrap();
    forged[8] = forged[8].wrapping_add(9);
    stranger.send_to(&forged, tunnel.listening()[0]).unwrap();
    stranger.send_to(b"open, please", tunnel.listening()[0]).unwrap();
    client.until("counted", |_| tunnel.stats().unwrap().drops.values().sum::<u64>() >= 3);
    let seen = tunnel.stats().unwrap().peers[&key(2).public()].endpoint.unwrap();
    assert_eq!(seen, client.wire.local_addr().unwrap());
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(stranger.recv(&mut [0; 256]).unwrap_err().kind(), ErrorKind::WouldBlock, "a stranger was answered");
}

#[test]
fn a_stolen_inner_address_is_dropped_and_counted() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let thief = SocketAddr::from((Ipv4Addr::new(10, 77, 0, 3), 5000));
    client.send_packet(&build::udp(thief, server.local_addr().unwrap(), b"mine").unwrap());
    client.until("counted", |_| tunnel.stats().unwrap().peers[&key(2).public()].dropped == 1);
    assert_eq!(tunnel.stats().unwrap().drops.get("foreign source"), Some(&1));
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 16]).is_err());
}

#[test]
fn a_removed_user_is_cut_off_on_both_sides_and_let_in_again_when_it_is_added() {
    let address = echo_server();
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    exchange(&mut client, connection, b"still here");
    assert!(tunnel.remove(key(2).public()).unwrap());
    assert!(!tunnel.remove(key(2).public()).unwrap());
    client.until("cut", |client| client.tcp(connection).state() == State::Closed);
    let late = client.dial(address);
    client.for_a_while();
    assert_eq!(client.tcp(late).state(), State::SynSent);
    tunnel.add(peer(2, USER)).unwrap();
    client.shake_hands_anew();
    let connection = client.connect(address);
    exchange(&mut client, connection, b"back again");
}

#[test]
fn after_a_restart_the_user_shakes_hands_and_goes_on() {
    let address = echo_server();
    let first = tunnel();
    let listening = first.listening().to_vec();
    let mut client = Client::new(listening[0]);
    let old = client.connect(address);
    first.shutdown();
    let mut again = config(open_loopback());
    again.listen = listening;
    let second = Tunnel::start(again, vec![peer(2, USER)]).unwrap();
    client.shake_hands_anew();
    client.until("hands shaken", |_| second.stats().unwrap().handshakes == 1);
    let connection = client.connect(address);
    exchange(&mut client, connection, b"hello again");
    assert_ne!(client.tcp(old).state(), State::Established, "the old connection was not reset at shutdown");
}

#[test]
fn peers_are_replaced_as_a_whole_and_an_address_has_one_owner() {
    let tunnel = tunnel();
    let other = Ipv4Addr::new(10, 77, 0, 3);
    assert!(matches!(tunnel.add(peer(3, USER)), Err(ChangeError::Taken(taken)) if taken.owner == key(2).public()));
    tunnel.replace(vec![peer(2, other), peer(3, USER)]).unwrap();
    assert_eq!(tunnel.stats().unwrap().peers.len(), 2);
    assert!(tunnel.replace(vec![peer(4, USER), peer(5, USER)]).is_err());
    tunnel.replace(Vec::new()).unwrap();
    assert!(tunnel.stats().unwrap().peers.is_empty());
}

#[test]
fn a_thousand_peers_are_added_and_removed_within_a_moment() {
    let tunnel = tunnel();
    for number in 0..1000_u32 {
        let mut new = peer(9, Ipv4Addr::from(0x0a4e_0000 + number));
        new.public_key = bowline_tunnel::SecretKey::from_bytes([(number % 251) as u8 + 3; 32]).public();
        new.public_key.0[..4].copy_from_slice(&number.to_be_bytes());
        tunnel.add(new).unwrap();
    }
    assert_eq!(tunnel.stats().unwrap().peers.len(), 1001);
    tunnel.replace(vec![peer(2, USER)]).unwrap();
    assert_eq!(tunnel.stats().unwrap().peers.len(), 1);
}

/// Forbids that the packet, of IPv4 without options, is cut.
fn not_to_be_cut(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    packet[10..12].fill(0);
    let words = packet[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn what_goes_from_user_to_user_is_no_longer_than_fits_through_the_tunnel() {
    let rules = Rules {
        client_to_client: ClientToClient::Allowed,
        tunnel: vec!["10.77.0.0/16".parse().unwrap()],
        ..Rules::default()
    };
    let users = vec![peer(2, USER), peer(3, OTHER)];
    let tunnel = Tunnel::start(Config { mtu: 1280, ..config(rules) }, users).unwrap();
    let mut one = Client::new(tunnel.listening()[0]);
    let mut other = Client::with(3, OTHER, tunnel.listening()[0]);
    let hello = build::udp((OTHER, 9).into(), (SERVER, 9).into(), b"here I am").unwrap();
    other.send_packet(&hello);
    other.until("it is known where the other is", |_| {
        tunnel.stats().unwrap().peers[&key(3).public()].last_handshake.is_some()
    });

    one.dial((OTHER, 80).into());
    one.for_a_while();
    let announced = |client: &Client| client.seen.iter().find_map(|bytes| mss::announced(bytes));
    other.until("a SYN", |client| announced(client).is_some());
    assert_eq!(announced(&other), Some(1240), "the client's own MTU would let it take 1380");
    assert!(other.seen.iter().all(|bytes| Packet::parse(bytes).unwrap().verify().is_ok()));

    let long = build::udp((USER, 7).into(), (OTHER, 7).into(), &[5; 1300]).unwrap();
    one.send_packet(&long);
    let parts =
        |client: &Client| client.seen.iter().filter(|bytes| Packet::parse(bytes).unwrap().fragment.is_some()).count();
    other.until("it comes in parts", |client| parts(client) == 2);
    one.send_packet(&not_to_be_cut(long));
    let too_big = |bytes: &Vec<u8>| matches!(Packet::parse(bytes).unwrap().transport(), Ok(Transport::Icmp(3)));
    one.until("the sender is told", |client| client.seen.iter().any(too_big));
    assert!(other.seen.iter().all(|bytes| bytes.len() <= 1280));
}

/// Threads of this process by the name of the packet path's.
fn packet_paths() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(name).filter(|name| name.trim() == "tunnel").count()
}

#[test]
fn a_tunnel_that_has_ended_leaves_no_thread_and_its_port_is_free() {
    let before = packet_paths();
    for shut_down in [true, false] {
        let tunnel = tunnel();
        let address = tunnel.listening()[0];
        let mut client = Client::new(address);
        let _connection = client.connect(echo_server());
        assert!(tunnel.is_running() && packet_paths() > before);
        if shut_down {
            tunnel.shutdown();
        } else {
            drop(tunnel);
        }
        // A thread that has been joined may be listed for a moment.
        until("its thread is gone", || packet_paths() == before);
        assert!(UdpSocket::bind(address).is_ok());
    }
}
