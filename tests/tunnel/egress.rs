//! What no client reaches: the credentials of the server's role, its loopback, its own ports, the other clients.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use bowline_rig::{Rig, Service, UdpEcho, udp};

use super::stage::{PATIENCE, Stage};

const CREDENTIALS: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(169, 254, 170, 2)];

/// Servers where AWS would hand out the credentials of the machine.
fn canaries(rig: &Rig) -> Vec<Service> {
    let start = |address: Ipv4Addr| {
        rig.add_target(address.into()).unwrap();
        Service::start(&rig.server, (address, 80).into(), |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\ncanary").ok();
            // What the client says is read until it is done, so that it gets the answer and no reset.
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        })
    };
    CREDENTIALS.into_iter().map(|address| start(address).unwrap()).collect()
}

/// What the first client gets there.
fn asked(stage: &Stage, address: Ipv4Addr) -> String {
    stage.run(0, &["curl", "-sS", "--max-time", "3", &format!("http://{address}/")]).stdout
}

#[test]
fn the_credentials_of_the_servers_role_are_out_of_reach() {
    let flags = ["--egress-allow", "169.254.0.0/16", "--egress-allow", "0.0.0.0/0"];
    let Some(stage) = Stage::start("tunnel-credentials", 1, &flags) else { return };
    let canaries = canaries(&stage.rig);
    for (canary, address) in canaries.iter().zip(CREDENTIALS) {
        let live = stage.rig.server.run("curl", &["-sS", "--max-time", "3", &format!("http://{address}/")]).unwrap();
        assert_eq!((live.as_str(), canary.accepted()), ("canary", 1), "the canary lives");
        assert_eq!(asked(&stage, address), "", "{address}");
        let wrapped = [format!("64:ff9b::{address}"), format!("::ffff:{address}"), "2002:a9fe:a9fe::1".to_owned()];
        for wrapped in wrapped {
            stage.run(0, &["curl", "-sS", "--max-time", "1", &format!("http://[{wrapped}]/")]);
        }
        assert_eq!(canary.accepted(), 1, "nobody came through the tunnel to {address}");
    }
    assert!(stage.page("/metrics").contains("reason=\"credential_address\""), "the refusals are counted");
}

#[test]
fn a_loudly_named_flag_lets_clients_have_them() {
    let flags = ["--dangerously-expose-credential-addresses"];
    let Some(stage) = Stage::start("tunnel-exposed", 1, &flags) else { return };
    let canaries = canaries(&stage.rig);
    for (canary, address) in canaries.iter().zip(CREDENTIALS) {
        assert_eq!(asked(&stage, address), "canary", "{address}: {}", stage.told());
        assert_eq!(canary.accepted(), 1);
    }
}

#[test]
fn loopback_own_ports_and_other_clients_are_out_of_reach() {
    let Some(mut stage) = Stage::prepare("tunnel-near", 2, &[]) else { return };
    // A second address of the server's machine, in a network that is open.
    stage.rig.add_target(Ipv4Addr::new(198, 51, 100, 11).into()).unwrap();
    stage.add_flags(&["--egress-allow", "198.51.100.0/24"]);
    stage.serve();
    (0..2).for_each(|index| stage.rig.connect(index).unwrap());
    let _own = Service::start(&stage.rig.server, ([198, 51, 100, 11], 80).into(), drop).unwrap();
    let _mail = Service::start(&stage.rig.server, (Rig::TARGET, 25).into(), drop).unwrap();
    let near = [
        SocketAddr::from(([198, 51, 100, 11], 80)),
        // Mail, on an address that is open.
        (Rig::TARGET, 25).into(),
        // The status page, and the same port where the tunnel lets clients go.
        SocketAddr::from(([127, 0, 0, 1], 9920)),
        (Rig::TARGET, 9920).into(),
        // Another client, and the cable that it hangs on.
        (stage.rig.clients[1].inner(), 80).into(),
        (stage.rig.clients[1].outer(), 80).into(),
    ];
    let _listening = Service::start(&stage.rig.clients[1].namespace, ([0, 0, 0, 0], 80).into(), drop).unwrap();
    for address in near {
        let client = &stage.rig.clients[0].namespace;
        let outcome = client.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(2)));
        assert!(outcome.is_err(), "{address}");
    }
    let metrics = stage.page("/metrics");
    for reason in ["own_address", "smtp", "own_port", "private", "client_to_client"] {
        assert!(metrics.contains(&format!("bowline_vpn_denied_total{{reason=\"{reason}\"}}")), "{reason}: {metrics}");
    }
}

#[test]
fn clients_reach_each_other_where_the_operator_says_so() {
    let Some(stage) = Stage::start("tunnel-clients", 2, &["--client-to-client"]) else { return };
    let other = &stage.rig.clients[1];
    let server = UdpEcho::start(&other.namespace, (other.inner(), 0).into()).unwrap();
    // A client that nobody has heard of cannot be told anything: it speaks first.
    stage.run(1, &["ping", "-c", "1", "-W", "5", "10.77.0.1"]);
    let inner = IpAddr::from(stage.rig.clients[0].inner());
    let socket = udp(&stage.rig.clients[0].namespace, inner, PATIENCE).unwrap();
    socket.send_to(b"hello", server.address()).unwrap();
    let mut buffer = [0; 16];
    let (length, from) = socket.recv_from(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", stage.told()));
    assert_eq!((&buffer[..length], from), (&b"hello"[..], server.address()));
    assert_eq!(server.seen()[0].0.ip(), inner, "it sees the client itself, not the server");
}
