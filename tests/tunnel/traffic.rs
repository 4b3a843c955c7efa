//! What people do all day: pages, files, names, datagrams, pings, many connections.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Shutdown, TcpStream, UdpSocket},
    time::Duration,
};

use bowline_rig::{Namespace, Rig, Service, UdpEcho, echo, memory_kib, udp, waiting_room};
use sha2::{Digest as _, Sha256};

use super::stage::{PATIENCE, Stage, target, targets};
use crate::harness::{elapsed, until};

const BIG: usize = 50_000_000;

#[test]
fn curl_takes_and_brings_fifty_megabytes_whole() {
    let Some(stage) = Stage::start("tunnel-curl", 1, &[]) else { return };
    let service = Service::start(&stage.rig.server, target(), serve_files).unwrap();
    let url = format!("http://{}", service.address());
    let (there, back) = (stage.rig.path("there"), stage.rig.path("back"));
    let (there, back) = (there.to_str().unwrap(), back.to_str().unwrap());
    let down = stage.run(0, &["curl", "-sS", "--fail", "-o", back, &format!("{url}/down")]);
    assert_eq!(down.code, Some(0), "{} {}", down.stderr, stage.told());
    let bytes = std::fs::read(back).unwrap();
    assert_eq!((bytes.len(), digest(&bytes)), (BIG, digest(&noise())));
    std::fs::rename(back, there).unwrap();
    let up = stage.run(0, &["curl", "-sS", "--fail", "-T", there, &format!("{url}/up")]);
    assert_eq!(up.code, Some(0), "{} {}", up.stderr, stage.told());
    assert_eq!(up.stdout, digest(&noise()));
}

#[test]
fn both_families_go_through_inside() {
    let Some(stage) = Stage::start("tunnel-families", 1, &[]) else { return };
    for address in targets() {
        let service = Service::start(&stage.rig.server, (address, 0).into(), echo).unwrap();
        let mut stream = stage.connect(0, service.address());
        stream.write_all(&[9; 10_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, [9; 10_000], "{address}");
    }
}

#[test]
fn five_hundred_connections_at_once_each_get_their_own_answer() {
    let Some(stage) = Stage::start("tunnel-many", 1, &[]) else { return };
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut streams: Vec<TcpStream> = (0..500).map(|_| stage.connect(0, service.address())).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("{number:04}").repeat(500).as_bytes()).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, format!("{number:04}").repeat(500));
    }
    assert_eq!(service.accepted(), 500);
    drop(streams);
    until(PATIENCE, "the flows have ended", || {
        stage.status().is_some_and(|status| status["peers"][0]["flows"]["tcp"] == 0)
    });
}

/// In `--full` only: it takes its time, and memory is what it is about.
#[test]
fn ten_thousand_idle_connections_cost_less_than_forty_kib_each() {
    let Some(mut stage) = Stage::prepare("tunnel-idle", 1, &["--flows", "20000"]) else { return };
    bowline_host::process::raise_file_limit();
    stage.serve();
    stage.rig.connect(0).unwrap();
    let listener = waiting_room(&stage.rig.server, target(), 10_100).unwrap();
    let address = listener.local_addr().unwrap();
    drop(stage.connect(0, address));
    let process = stage.server().id();
    // Its own memory: how much of the program's file is in memory says nothing in a build for tests.
    let memory = || memory_kib(process, "RssAnon").unwrap();
    let before = memory();
    assert!(before < 8 * 1024, "{before} KiB with one client");
    let connect = || (0..10_000).map(|_| TcpStream::connect_timeout(&address, PATIENCE).unwrap()).collect();
    let streams: Vec<TcpStream> = stage.rig.clients[0].namespace.enter(connect);
    let each = (memory() - before) as f64 / streams.len() as f64;
    eprintln!("{before} KiB idle, {each:.1} KiB a connection");
    assert!(each < 40.0, "{each} KiB");
}

#[test]
fn dig_is_answered_by_the_tunnel_itself_and_by_a_server_behind_it() {
    let Some(mut stage) = Stage::prepare("tunnel-dig", 1, &["--dns", "198.51.100.10:53"]) else { return };
    let names = NameServer::start(&stage.rig.server, Rig::TARGET.into());
    stage.serve();
    stage.rig.connect(0).unwrap();
    let inner = format!("@{}", Rig::INNER);
    for (server, more) in [(inner.as_str(), "+notcp"), (inner.as_str(), "+tcp"), ("@198.51.100.10", "+notcp")] {
        let answer = stage.run(0, &["dig", "+short", "+tries=2", "+time=4", more, server, "www.example.com", "A"]);
        assert_eq!(answer.stdout.trim(), "203.0.113.77", "{server} {more}: {}", stage.told());
    }
    drop(names);
}

#[test]
fn names_are_answered_over_ipv6_and_asked_for_over_ipv6() {
    let Some(mut stage) = Stage::prepare("tunnel-dig6", 1, &["--dns", "[2001:db8:51::10]:53"]) else { return };
    let names = NameServer::start(&stage.rig.server, Rig::TARGET6.into());
    stage.serve();
    stage.rig.connect(0).unwrap();
    for (server, more) in [("@fd77::1", "+notcp"), ("@fd77::1", "+tcp"), ("@10.77.0.1", "+notcp")] {
        let answer = stage.run(0, &["dig", "+short", "+tries=2", "+time=4", more, server, "www.example.com", "A"]);
        assert_eq!(answer.stdout.trim(), "203.0.113.77", "{server} {more}: {}", stage.told());
    }
    drop(names);
}

#[test]
fn datagrams_come_back_small_and_in_fragments() {
    let Some(stage) = Stage::start("tunnel-udp", 1, &[]) else { return };
    for address in targets() {
        let server = UdpEcho::start(&stage.rig.server, (address, 0).into()).unwrap();
        let inner = stage.rig.clients[0].inner_of(address);
        let socket = udp(&stage.rig.clients[0].namespace, inner, Duration::from_secs(2)).unwrap();
        for size in [1, 1200, 1372, 1392, 3000, 8000] {
            let sent: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            assert_eq!(there_and_back(&socket, &server, &sent), sent, "{size} bytes to {address}: {}", stage.told());
        }
    }
}

#[test]
fn pings_are_answered_by_who_was_asked_and_never_invented() {
    let Some(mut stage) = Stage::prepare("tunnel-ping", 1, &[]) else { return };
    stage.rig.server.run("sysctl", &["-w", "net.ipv4.ping_group_range=0 2147483647"]).unwrap();
    stage.serve();
    stage.rig.connect(0).unwrap();
    for address in ["198.51.100.10", "2001:db8:51::10", "10.77.0.1", "fd77::1"] {
        let answer = stage.run(0, &["ping", "-c", "3", "-i", "0.2", "-W", "4", address]);
        assert!(answer.stdout.contains("3 received"), "{address}: {} {}", answer.stdout, stage.told());
    }
    // In fragments, both ways.
    for address in ["198.51.100.10", "2001:db8:51::10"] {
        let answer = stage.run(0, &["ping", "-c", "1", "-s", "3000", "-W", "4", address]);
        assert!(answer.stdout.contains("1 received"), "{address}: {} {}", answer.stdout, stage.told());
    }
    // Nobody has this address: the server's system says so, and so must we.
    stage.rig.server.ip("route add unreachable 198.51.100.99").unwrap();
    let answer = stage.run(0, &["ping", "-c", "1", "-W", "2", "198.51.100.99"]);
    assert!(answer.code != Some(0) && !answer.stdout.contains("1 received"), "{}", answer.stdout);
    assert!(stage.page("/readyz").contains("clients can ping"));
}

#[test]
fn where_the_system_forbids_pings_readiness_says_so_with_its_remedy() {
    let Some(stage) = Stage::start("tunnel-no-ping", 1, &[]) else { return };
    let answer = stage.run(0, &["ping", "-c", "1", "-W", "2", "198.51.100.10"]);
    assert!(!answer.stdout.contains("1 received"), "nobody was asked: {}", answer.stdout);
    let own = stage.run(0, &["ping", "-c", "1", "-W", "4", "10.77.0.1"]);
    assert!(own.stdout.contains("1 received"), "its own address needs no permission: {}", stage.told());
    let ready = stage.page("/readyz");
    assert!(ready.contains("clients cannot ping") && ready.contains("ping_group_range"), "{ready}");
    assert!(stage.told().contains("ping_group_range"));
}

#[test]
fn it_runs_as_nobody_and_ends_at_once() {
    let Some(mut stage) = Stage::start("tunnel-nobody", 1, &[]) else { return };
    let process = stage.server().id();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!((line("Uid"), line("Gid"), line("NoNewPrivs")), ("65534".into(), "65534".into(), "1".into()));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    let service = Service::start(&stage.rig.server, target(), echo).unwrap();
    let mut stream = stage.connect(0, service.address());
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let metrics = stage.page("/metrics");
    assert!(metrics.contains("bowline_vpn_handshakes_total 1\n"), "{metrics}");
    let start = elapsed();
    let end = stage.stop();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(elapsed() - start < Duration::from_secs(3));
}

/// GET is answered with noise, PUT with the digest of what came.
pub(super) fn serve_files(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if head.starts_with("GET") {
        write!(reader.get_mut(), "HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\nconnection: close\r\n\r\n").unwrap();
        reader.get_mut().write_all(&noise()).unwrap();
        return;
    }
    if head.to_ascii_lowercase().contains("expect: 100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let digest = digest(&body);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", digest.len());
    reader.get_mut().write_all(format!("{head}{digest}").as_bytes()).unwrap();
}

/// The same bytes each time, and none of them like its neighbours.
pub(super) fn noise() -> Vec<u8> {
    noise_of(BIG)
}

/// As many of them.
pub(super) fn noise_of(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// UDP loses: it is sent again until it comes back.
fn there_and_back(socket: &UdpSocket, server: &UdpEcho, bytes: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    for _ in 0..4 {
        socket.send_to(bytes, server.address()).unwrap();
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            assert_eq!(from, server.address());
            buffer.truncate(length);
            return buffer;
        }
    }
    Vec::new()
}

/// A name server on the target that knows one address, over UDP and TCP.
struct NameServer {
    _tcp: Service,
}

impl NameServer {
    fn start(namespace: &Namespace, address: IpAddr) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind((address, 53))).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                socket.send_to(&answer(&buffer[..length]), from).ok();
            }
        });
        let tcp = Service::start(namespace, (address, 53).into(), |mut stream| {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                let answer = answer(&question);
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &answer].concat()).unwrap();
            }
        });
        Self { _tcp: tcp.unwrap() }
    }
}

/// The question with 203.0.113.77 behind it.
fn answer(question: &[u8]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut answer = [&question[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &question[12..end]].concat();
    answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 77]);
    answer
}
