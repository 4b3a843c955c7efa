//! What the tunnel does beside TCP and UDP: names, echoes, fragments, errors, limits.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bowline_tunnel::{
    Config, Dns, Handle, Limits, Tunnel,
    fragments::{Bounds, Reassembly, split},
    packet::{Echo, Packet, Transport, build, icmp},
};

use crate::client::{Client, SERVER, USER, config, key, open_loopback, peer, tunnel};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn user(port: u16) -> SocketAddr {
    SocketAddr::new(USER.into(), port)
}

/// A UDP server that sends back what it gets.
fn echo_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            socket.send_to(&bytes[..length], from).ok();
        }
    });
    address
}

/// A resolver that knows one address for every name, and how often it was asked by UDP. By TCP it sends back what it gets.
fn resolver() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            count.fetch_add(1, Ordering::Relaxed);
            let mut answer = bytes[..length].to_vec();
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
            socket.send_to(&answer, from).ok();
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 64];
            let length = stream.read(&mut bytes).unwrap_or(0);
            stream.write_all(&bytes[..length]).ok();
        }
    });
    (address, asked)
}

fn query(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut query = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x07example\x00\x00\x01\x00\x01");
    query
}

/// The next packet that came for which `wanted` gives something.
fn next<T>(client: &mut Client, what: &str, wanted: impl Fn(&Packet<'_>) -> Option<T>) -> T {
    let mut found = None;
    client.until(what, |client| {
        let seen = std::mem::take(&mut client.seen);
        found = seen.iter().find_map(|bytes| wanted(&Packet::parse(bytes).unwrap()));
        found.is_some()
    });
    found.unwrap()
}

fn datagram(packet: &Packet<'_>) -> Option<(SocketAddr, Vec<u8>)> {
    let Ok(Transport::Udp(udp)) = packet.transport() else { return None };
    Some((SocketAddr::new(packet.source, udp.source_port), udp.payload.to_vec()))
}

fn echo(packet: &Packet<'_>) -> Option<(IpAddr, u16, Vec<u8>)> {
    let Ok(Transport::EchoReply(echo)) = packet.transport() else { return None };
    Some((packet.source, echo.sequence, echo.data.to_vec()))
}

/// Type and code of an ICMP error, who sends it, and what it quotes.
fn error(packet: &Packet<'_>) -> Option<([u8; 2], IpAddr, Vec<u8>)> {
    let Ok(Transport::Icmp(kind)) = packet.transport() else { return None };
    let quoted = icmp::quoted(packet.payload()).unwrap().to_vec();
    Some(([kind, packet.payload()[1]], packet.source, quoted))
}

fn ping(to: IpAddr, sequence: u16, data: &[u8]) -> Vec<u8> {
    build::echo_request(USER.into(), to, &Echo { id: 77, sequence, data }).unwrap()
}

fn client(tunnel: &Handle) -> Client {
    Client::new(tunnel.listening()[0])
}

#[test]
fn a_name_is_asked_for_once_and_told_to_all() {
    let (resolver, asked) = resolver();
    let dns = Some(Dns { upstream: vec![resolver] });
    let tunnel = Tunnel::start(Config { dns, ..config(open_loopback()) }, vec![peer(2, USER)]).unwrap();
    let mut client = client(&tunnel);
    let server = SocketAddr::new(SERVER.into(), 53);
    for id in [0x1111, 0x2222] {
        client.send_packet(&build::udp(user(5000), server, &query(id)).unwrap());
        let (from, answer) = next(&mut client, "an answer", datagram);
        assert_eq!((from, &answer[..2]), (server, &id.to_be_bytes()[..]));
        assert!(answer.ends_with(&[192, 0, 2, 7]));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let dns = tunnel.stats().unwrap().dns;
    assert_eq!((dns.questions, dns.hits), (2, 1));
}

#[test]
fn names_are_asked_for_by_tcp_too() {
    let (resolver, _) = resolver();
    let dns = Some(Dns { upstream: vec![resolver] });
    let tunnel = Tunnel::start(Config { dns, ..config(open_loopback()) }, vec![peer(2, USER)]).unwrap();
    let mut client = client(&tunnel);
    let connection = client.connect(SocketAddr::new(SERVER.into(), 53));
    client.write(connection, b"a long question");
    assert_eq!(client.read_to_end(connection), b"a long question");
}

#[test]
fn without_a_resolver_the_port_is_closed() {
    let tunnel = tunnel();
    let mut client = client(&tunnel);
    client.send_packet(&build::udp(user(5000), SocketAddr::new(SERVER.into(), 53), &query(1)).unwrap());
    let (numbers, from, _) = next(&mut client, "an error", error);
    assert_eq!((numbers, from), ([3, 3], SERVER.into()));
}

#[test]
fn the_tunnels_own_address_answers_pings_of_every_size() {
    let tunnel = tunnel();
    let mut client = client(&tunnel);
    client.send_packet(&ping(SERVER.into(), 1, b"small"));
    assert_eq!(next(&mut client, "a reply", echo), (SERVER.into(), 1, b"small".to_vec()));
    for part in split(ping(SERVER.into(), 2, &[7; 4000]), 1420, 5) {
        client.send_packet(&part);
    }
    assert_eq!(joined(&mut client, echo), (SERVER.into(), 2, vec![7; 4000]));
}

/// What came in parts.
fn joined<T>(client: &mut Client, wanted: impl Fn(&Packet<'_>) -> Option<T>) -> T {
    let mut reassembly = Reassembly::new(Bounds::default());
    let mut found = None;
    client.until("all parts", |client| {
        for bytes in std::mem::take(&mut client.seen) {
            assert!(bytes.len() <= 1420);
            let packet = Packet::parse(&bytes).unwrap();
            let whole = reassembly.accept(Duration::ZERO, (), &packet).unwrap();
            found = whole.and_then(|whole| wanted(&Packet::parse(&whole).unwrap())).or(found.take());
        }
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_world_is_asked_for_echoes_or_the_tunnel_says_why_not() {
    let tunnel = tunnel();
    let mut client = client(&tunnel);
    client.send_packet(&ping(LOOPBACK, 9, b"anybody there?"));
    match tunnel.stats().unwrap().ping {
        None => assert_eq!(next(&mut client, "a reply", echo), (LOOPBACK, 9, b"anybody there?".to_vec())),
        Some(why) => {
            assert!(why.contains("ping_group_range"), "{why}");
            assert_eq!(next(&mut client, "an error", error).0, [3, 13]);
            client.for_a_while();
            assert_eq!(client.seen.iter().find_map(|bytes| echo(&Packet::parse(bytes).unwrap())), None);
        }
    }
}

#[test]
fn a_datagram_may_come_and_go_in_parts() {
    let (tunnel, server) = (tunnel(), echo_server());
    let mut client = client(&tunnel);
    let payload: Vec<u8> = (0..9000_u32).map(|n| n as u8).collect();
    for part in split(build::udp(user(5000), server, &payload).unwrap(), 1420, 5) {
        client.send_packet(&part);
    }
    assert_eq!(joined(&mut client, datagram), (server, payload));
}

#[test]
fn a_closed_port_is_told_with_the_port_that_was_asked() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tunnel = tunnel();
    let mut client = client(&tunnel);
    let sent = build::udp(user(5000), closed, b"hello").unwrap();
    client.send_packet(&sent);
    let (numbers, from, quoted) = next(&mut client, "an error", error);
    assert_eq!((numbers, from), ([3, 3], closed.ip()));
    assert_eq!(quoted[12..24], sent[12..24], "addresses and ports");
}

#[test]
fn the_last_hop_is_told_by_us() {
    let (tunnel, server) = (tunnel(), echo_server());
    let mut client = client(&tunnel);
    let mut packet = build::udp(user(5000), server, b"hello").unwrap();
    packet[8] = 1;
    packet[10..12].fill(0);
    let sum = !smoltcp::wire::checksum::data(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    client.send_packet(&packet);
    let (numbers, from, quoted) = next(&mut client, "an error", error);
    assert_eq!((numbers, from), ([11, 0], SERVER.into()));
    assert!(packet.starts_with(&quoted));
}

#[test]
fn a_used_up_quota_ends_it_and_counts_on_from_before() {
    let limits = Some(Limits { quota: Some(10_000), ..Limits::usual() });
    let user = bowline_tunnel::Peer { limits, used: 7_000, ..peer(2, USER) };
    let tunnel = Tunnel::start(config(open_loopback()), vec![user.clone()]).unwrap();
    let mut client = client(&tunnel);
    client.send_packet(&ping(SERVER.into(), 1, &[7; 1000]));
    next(&mut client, "a reply", echo);
    for sequence in 2..9 {
        client.send_packet(&ping(SERVER.into(), sequence, &[7; 1000]));
    }
    client.until("a drop", |_| tunnel.stats().unwrap().drops.contains_key("over_quota"));
    let used = || tunnel.stats().unwrap().peers[&user.public_key].used;
    assert!((10_000..12_000).contains(&used()), "{}", used());
    assert!(tunnel.recount(user.public_key, 0).unwrap() && !tunnel.recount(key(9).public(), 0).unwrap());
    client.send_packet(&ping(SERVER.into(), 9, &[7; 1000]));
    client.until("it goes on from the new sum", |_| (1000..3000).contains(&used()));
}

#[test]
fn a_ping_does_not_wait_for_a_slowed_download() {
    const DATAGRAMS: usize = 80;
    let world = UdpSocket::bind("127.0.0.1:0").unwrap();
    let limits = Limits { download: Some(40_000), ..Limits::usual() };
    let tunnel = Tunnel::start(Config { limits, ..config(open_loopback()) }, vec![peer(2, USER)]).unwrap();
    let mut client = client(&tunnel);
    client.send_packet(&build::udp(user(5000), world.local_addr().unwrap(), b"go").unwrap());
    world.set_nonblocking(true).unwrap();
    let mut to = None;
    client.until("a question", |_| {
        to = world.recv_from(&mut [0; 8]).ok();
        to.is_some()
    });
    let (_, to) = to.unwrap();
    for _ in 0..DATAGRAMS {
        world.send_to(&[7; 1372], to).unwrap();
    }
    let came = |client: &Client| client.seen.iter().filter(|packet| packet.len() > 1000).count();
    client.until("the burst that is free", |client| came(client) > 40);
    client.send_packet(&ping(SERVER.into(), 1, b"me first"));
    let pinged = |client: &Client| client.seen.iter().any(|bytes| echo(&Packet::parse(bytes).unwrap()).is_some());
    client.until("a reply", |client| pinged(client));
    let before = came(&client);
    assert!(before < DATAGRAMS, "the ping came last");
    client.until("the rest", |client| came(client) == DATAGRAMS);
    assert!(tunnel.stats().unwrap().peers.values().any(|peer| !peer.queue_delay.is_zero()));
}
