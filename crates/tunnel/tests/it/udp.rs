//! UDP and echoes through the tunnel.

use std::net::{SocketAddr, UdpSocket};

use bowline_tunnel::{
    Handle, Tunnel,
    egress::Rules,
    packet::{Packet, Transport, build, protocol},
};

use crate::client::{Client, PATIENCE, SERVER, USER, config, key, peer, tunnel};

fn server() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn user(port: u16) -> SocketAddr {
    SocketAddr::new(USER.into(), port)
}

fn send(client: &mut Client, from: u16, to: SocketAddr, payload: &[u8]) {
    client.send_packet(&build::udp(user(from), to, payload).unwrap());
    client.for_a_while();
}

fn received(server: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut datagram = [0; 2048];
    let (length, from) = server.recv_from(&mut datagram).unwrap();
    (datagram[..length].to_vec(), from)
}

/// The payloads that came for a port of the user's.
fn came(client: &Client, port: u16) -> Vec<Vec<u8>> {
    let payload = |bytes: &Vec<u8>| match Packet::parse(bytes).unwrap().transport() {
        Ok(Transport::Udp(udp)) if udp.destination_port == port => Some(udp.payload.to_vec()),
        _ => None,
    };
    client.seen.iter().filter_map(payload).collect()
}

#[test]
fn datagrams_go_and_come_from_one_port_whoever_is_asked() {
    let (first, second) = (server(), server());
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    send(&mut client, 5000, first.local_addr().unwrap(), b"one");
    send(&mut client, 5000, second.local_addr().unwrap(), b"two");
    let ((one, from_first), (two, from_second)) = (received(&first), received(&second));
    assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
    assert_eq!(from_first, from_second, "the mapping depends on who is asked");
    first.send_to(b"answer", from_first).unwrap();
    client.until("answered", |client| came(client, 5000) == [b"answer"]);
    assert_eq!(tunnel.stats().unwrap().flows.udp, 1);
}

#[test]
fn a_closed_port_is_told_by_icmp() {
    let closed = server().local_addr().unwrap();
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    send(&mut client, 5001, closed, b"anybody?");
    client.until("told", |client| {
        client.seen.iter().any(|bytes| {
            let packet = Packet::parse(bytes).unwrap();
            packet.protocol == protocol::ICMP && packet.payload()[..2] == [3, 3]
        })
    });
    let error = client.seen.last().unwrap();
    let about = Packet::parse(error).unwrap().payload()[8..].to_vec();
    assert_eq!(about[20..24], [5001_u16.to_be_bytes(), closed.port().to_be_bytes()].concat());
}

#[test]
fn a_replayed_datagram_is_carried_once() {
    let server = server();
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    send(&mut client, 5002, server.local_addr().unwrap(), b"once");
    assert_eq!(received(&server).0, b"once");
    let again = client.sent.last().unwrap().clone();
    client.wire.send(&again).unwrap();
    client.until("counted", |_| tunnel.stats().unwrap().drops.get("replayed") == Some(&1));
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 16]).is_err());
}

#[test]
fn the_server_answers_an_echo_to_its_own_address() {
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let mut request = build::udp(user(1), SocketAddr::new(SERVER.into(), 0), b"").unwrap();
    request[9] = protocol::ICMP;
    request[20..].copy_from_slice(&[8, 0, 0, 0, 0, 7, 0, 1]);
    let sum = !smoltcp::wire::checksum::data(&request[20..]);
    request[22..24].copy_from_slice(&sum.to_be_bytes());
    request[10..12].fill(0);
    let sum = !smoltcp::wire::checksum::data(&request[..20]);
    request[10..12].copy_from_slice(&sum.to_be_bytes());
    client.send_packet(&request);
    client.until("echo", |client| {
        client.seen.iter().any(
            |bytes| matches!(Packet::parse(bytes).unwrap().transport(), Ok(Transport::EchoReply(echo)) if echo.id == 7),
        )
    });
}

/// A mapping remembers whom its user has sent to, so that they may answer: of one user so many, over all mappings. To others
/// nothing is sent then.
#[test]
fn whom_a_user_has_sent_to_is_remembered_up_to_a_limit() {
    let known = server();
    let rules = Rules { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() };
    let tunnel = Tunnel::start(config(rules), vec![peer(2, USER)]).unwrap();
    let (mut client, mut number) = (Client::new(tunnel.listening()[0]), 0_u32);
    let refused = |tunnel: &Handle| tunnel.stats().unwrap().drops.get("too many contacts").copied().unwrap_or(0);
    send(&mut client, 3999, known.local_addr().unwrap(), b"before");
    assert_eq!(received(&known).0, b"before");
    // No mapping comes to its own limit of 4096: seven together come to the user's.
    client.until("the user's limit is met", |client| {
        for _ in 0..256 {
            let host = std::net::Ipv4Addr::from_bits(0x7f01_0000 + number);
            let from = user(4000 + u16::try_from(number / 3000).unwrap());
            client.send_packet(&build::udp(from, (host, 9).into(), b"x").unwrap());
            number += 1;
        }
        refused(&tunnel) > 0
    });
    assert!(number >= 16_384, "{number}");
    let (stranger, before) = (server(), refused(&tunnel));
    send(&mut client, 3998, stranger.local_addr().unwrap(), b"one too many");
    client.until("counted", |_| refused(&tunnel) > before);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 16]).is_err(), "what is counted as dropped is not sent");
    send(&mut client, 3999, known.local_addr().unwrap(), b"after");
    assert_eq!(received(&known).0, b"after", "who is known goes on");
    assert!(tunnel.stats().unwrap().peers[&key(2).public()].flows.udp >= 5);
}
