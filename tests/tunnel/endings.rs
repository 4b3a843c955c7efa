//! How connections begin and end: each side learns from the tunnel what it would learn without it.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::mpsc,
    time::Duration,
};

use bowline_rig::{Rig, Service, echo};
use rustix::net::sockopt::set_socket_linger;

use super::stage::{PATIENCE, Stage, target};
use crate::harness::{elapsed, until};

#[test]
fn each_side_may_end_its_direction_first() {
    let Some(stage) = Stage::start("tunnel-half-close", 1, &[]) else { return };
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut stream = stage.connect(0, service.address());
    stream.write_all(&[1; 300_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), 300_000, "the client ended its direction and still got everything");

    let (tell, told) = mpsc::channel();
    let first = Service::start(&stage.rig.server, target(), move |mut stream| {
        stream.write_all(b"that is all").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        tell.send(rest.len()).unwrap();
    })
    .unwrap();
    let mut stream = stage.connect(0, first.address());
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "that is all");
    stream.write_all(&[2; 300_000]).unwrap();
    drop(stream);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(300_000), "the server ended its direction and still got everything");
}

#[test]
fn a_reset_is_a_reset_on_the_other_side() {
    let Some(stage) = Stage::start("tunnel-reset", 1, &[]) else { return };
    let resets = Service::start(&stage.rig.server, target(), |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
    })
    .unwrap();
    let mut stream = stage.connect(0, resets.address());
    stream.write_all(b"x").unwrap();
    assert_eq!(stream.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));

    let (tell, told) = mpsc::channel();
    let service = Service::start(&stage.rig.server, target(), move |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"y").unwrap();
        tell.send(stream.read(&mut [0]).map_err(|error| error.kind())).unwrap();
    })
    .unwrap();
    let mut stream = stage.connect(0, service.address());
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    reset(stream);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Err(ErrorKind::ConnectionReset)));
}

#[test]
fn a_closed_port_is_refused_at_once_and_an_unreachable_host_is_unreachable() {
    let Some(stage) = Stage::start("tunnel-refused", 1, &[]) else { return };
    stage.rig.server.ip("route add unreachable 198.51.100.99").unwrap();
    for address in ["198.51.100.10:9", "[2001:db8:51::10]:9"] {
        let (error, took) = refusal(&stage, address);
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}: {error}");
        assert!(took < Duration::from_secs(2), "{address}: {took:?}");
    }
    let (error, took) = refusal(&stage, "198.51.100.99:80");
    assert!(matches!(error.kind(), ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn hosts_that_never_answer_hold_up_nobody_else() {
    let Some(stage) = Stage::start("tunnel-dead", 2, &[]) else { return };
    // Whatever is sent to these is swallowed.
    stage.rig.server.ip("link add nowhere type veth peer name void").unwrap();
    stage.rig.server.ip("link set nowhere arp off up").unwrap();
    stage.rig.server.ip("link set void arp off up").unwrap();
    stage.rig.server.ip("route add 198.51.100.128/25 dev nowhere").unwrap();
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let dials: Vec<_> = (0..200)
        .map(|number| {
            let address = SocketAddr::from(([198, 51, 100, 129 + (number % 100) as u8], 80));
            stage.rig.clients[0].namespace.enter(|| begin_to_connect(address))
        })
        .collect();
    let dialling = || stage.status().and_then(|status| status["peers"][0]["flows"]["dialling"].as_u64());
    let either = || dialling().max(stage.status().and_then(|status| status["peers"][1]["flows"]["dialling"].as_u64()));
    until(PATIENCE, "many are being dialled", || either().is_some_and(|count| count > 20));
    let start = elapsed();
    let mut stream = stage.connect(1, service.address());
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    assert!(elapsed() - start < Duration::from_secs(3), "{:?}", elapsed() - start);
    drop(dials);
}

/// How a connection of the first client to `address` fails, and how long that takes.
#[track_caller]
fn refusal(stage: &Stage, address: &str) -> (io::Error, Duration) {
    let start = elapsed();
    let address: SocketAddr = address.parse().unwrap();
    let outcome = stage.rig.clients[0].namespace.enter(|| TcpStream::connect_timeout(&address, PATIENCE));
    (outcome.expect_err("nobody listens there"), elapsed() - start)
}

/// A connection that has been asked for and is not waited for.
fn begin_to_connect(address: SocketAddr) -> impl AsFd {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    // It is under way, and that is all.
    connect(&socket, &address).ok();
    socket
}

/// Ends it as an abort does.
fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// The target's own address is what everything above reaches.
#[test]
fn who_reaches_a_target_comes_from_the_server() {
    let Some(stage) = Stage::start("tunnel-source", 1, &[]) else { return };
    let (tell, told) = mpsc::channel();
    let service = Service::start(&stage.rig.server, target(), move |stream| {
        tell.send(stream.peer_addr().unwrap().ip()).unwrap();
    })
    .unwrap();
    drop(stage.connect(0, service.address()));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Rig::TARGET, "an address of the server's, not 10.77.0.2");
}
