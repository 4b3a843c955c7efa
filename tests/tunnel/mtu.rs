//! A client whose path takes less than the server's: the server keeps to the segments that its SYN has announced.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use bowline_rig::{Link, Service};

use super::{
    stage::{Stage, targets},
    traffic::{digest, noise_of},
};

const SIZE: usize = 5 << 20;
/// What a packet of 1,280 bytes becomes on the cable: headers of IPv4, UDP and WireGuard.
const CABLE: u16 = 1280 + 60;

/// Takes everything, says what it was, and sends as much.
fn exchange(mut stream: TcpStream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    stream.write_all(digest(&all).as_bytes()).ok();
    stream.write_all(&noise_of(SIZE)).ok();
}

#[test]
fn a_client_with_a_small_mtu_moves_megabytes_both_ways_over_both_families() {
    let Some(mut stage) = Stage::prepare("tunnel-mtu", 1, &[]) else { return };
    stage.serve();
    // The cable takes nothing that is longer, so that a segment too long would be lost each time it is sent.
    stage.rig.server.ip(&format!("link set client1 mtu {CABLE}")).unwrap();
    stage.rig.clients[0].namespace.ip(&format!("link set outside mtu {CABLE}")).unwrap();
    let link = Link { mtu: 1280, ..Link::to(stage.rig.endpoint(0)) };
    stage.rig.connect_by(0, &link).unwrap();
    let bytes = noise_of(SIZE);
    for address in targets() {
        let service = Service::start(&stage.rig.server, (address, 0).into(), exchange).unwrap();
        let mut stream = stage.connect(0, service.address());
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        let (there, back) = back.split_at(64);
        assert_eq!(there, digest(&bytes).as_bytes(), "up, {address}: {}", stage.told());
        assert!(back == bytes, "{} bytes came down from {address}: {}", back.len(), stage.told());
    }
    let drops = &stage.status().unwrap()["drops"];
    assert!(drops.get("not sent").is_none(), "nothing was too long for the cable: {drops}");
}
