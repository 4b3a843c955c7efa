//! TCP through the tunnel: bytes, half-close and resets both ways, refusals.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use bowline_tunnel::{
    Tunnel,
    egress::Rules,
    packet::{Packet, Transport, protocol},
};
use smoltcp::socket::tcp::State;

use crate::client::{Client, PATIENCE, USER, config, peer, tunnel};

/// A server for one connection.
fn serve<T: Send + 'static>(with: impl FnOnce(TcpStream) -> T + Send + 'static) -> (SocketAddr, mpsc::Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        tell.send(with(stream)).ok();
    });
    (address, told)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31) >> 3) as u8).collect()
}

/// Whether any packet that came is an ICMP error of this type and code.
fn icmp_came(client: &Client, kind: u8, code: u8) -> bool {
    client.seen.iter().any(|bytes| {
        let packet = Packet::parse(bytes).unwrap();
        packet.protocol == protocol::ICMP && packet.payload()[..2] == [kind, code]
    })
}

#[test]
fn bytes_go_both_ways_and_each_side_closes_for_itself() {
    let (address, told) = serve(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all.len()
    });
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    let sent = pattern(3 << 20);
    client.write(connection, &sent);
    client.tcp(connection).close();
    let back = client.read_to_end(connection);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), sent.len());
    assert!(back == sent, "{} of {} bytes came back, or other ones", back.len(), sent.len());
    client.until("forgotten", |_| tunnel.stats().unwrap().flows.tcp == 0);
}

#[test]
fn a_server_that_closes_first_still_hears_the_user() {
    let (address, told) = serve(|mut stream| {
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    });
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    assert_eq!(client.read_to_end(connection), b"hello");
    client.write(connection, b"and thank you");
    client.tcp(connection).close();
    client.until("heard", |client| client.tcp(connection).state() == State::Closed);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "and thank you");
    client.until("forgotten", |_| tunnel.stats().unwrap().flows.tcp == 0);
}

#[test]
fn a_closed_port_is_a_reset_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.dial(closed);
    client.until("refused", |client| client.tcp(connection).state() == State::Closed);
    let is_reset = |bytes: &Vec<u8>| match Packet::parse(bytes).unwrap().transport() {
        Ok(Transport::Tcp(tcp)) => {
            tcp.flags.has(bowline_tunnel::packet::Flags::RST) && tcp.source_port == closed.port()
        }
        _ => false,
    };
    assert!(client.seen.iter().any(is_reset));
}

#[test]
fn what_the_policy_is_against_is_said_to_be_prohibited_and_counted() {
    let tunnel = Tunnel::start(config(Rules::default()), vec![peer(2, USER)]).unwrap();
    let mut client = Client::new(tunnel.listening()[0]);
    client.dial("169.254.170.2:80".parse().unwrap());
    client.until("told", |client| icmp_came(client, 3, 13));
    let stats = tunnel.stats().unwrap();
    assert_eq!(stats.denied.values().sum::<u64>(), 1, "{:?}", stats.denied);
    assert_eq!(stats.flows.tcp, 0);
}

#[test]
fn a_reset_of_the_server_reaches_the_user() {
    let (address, told) = serve(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    client.write(connection, b"x");
    client.until("reset", |client| client.tcp(connection).state() == State::Closed);
    told.recv_timeout(PATIENCE).unwrap();
    client.until("forgotten", |_| tunnel.stats().unwrap().flows.tcp == 0);
}

#[test]
fn a_reset_of_the_user_reaches_the_server() {
    let (address, told) = serve(|mut stream| stream.read(&mut [0; 16]).map_err(|error| error.kind()));
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    client.tcp(connection).abort();
    client.until("reset", |_| tunnel.stats().unwrap().flows.tcp == 0);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_user_that_does_not_read_holds_the_server_back_and_loses_nothing() {
    let size = 8 << 20;
    let (address, _told) = serve(move |mut stream| stream.write_all(&pattern(size)).unwrap());
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connection = client.connect(address);
    client.until("window closed", |client| {
        let socket = client.tcp(connection);
        socket.recv_queue() + 1024 > socket.recv_capacity()
    });
    client.for_a_while();
    assert!(client.read_to_end(connection) == pattern(size));
}

#[test]
fn many_connections_at_once_are_kept_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut asked = [0; 4];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(&pattern(u32::from_be_bytes(asked) as usize)).unwrap();
            });
        }
    });
    let tunnel = tunnel();
    let mut client = Client::new(tunnel.listening()[0]);
    let connections: Vec<_> = (0..40_u32).map(|_| client.connect(address)).collect();
    for (number, connection) in (1..).zip(&connections) {
        client.write(*connection, &(1000 * number as u32).to_be_bytes());
    }
    for (number, connection) in (1..).zip(&connections) {
        assert!(client.read_to_end(*connection) == pattern(1000 * number), "connection {number}");
    }
}
