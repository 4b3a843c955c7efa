//! Packets of users: read within bounds, and whatever we answer to one can be read again.

use bowline_tunnel::packet::{
    Packet, Transport, build,
    icmp::{self, Trouble},
    mss,
};

const TROUBLES: [Trouble; 8] = [
    Trouble::Network,
    Trouble::Host,
    Trouble::Port,
    Trouble::Protocol,
    Trouble::Prohibited,
    Trouble::TooBig { mtu: 1280 },
    Trouble::HopLimit,
    Trouble::Reassembly,
];

/// Takes `bytes` for a packet.
pub fn look(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else { return };
    assert!(bytes.starts_with(packet.bytes()) && packet.bytes().ends_with(packet.payload()));
    for trouble in TROUBLES {
        if let Some(error) = icmp::error(&packet, trouble, packet.destination) {
            let again = whole(&error);
            assert!(packet.bytes().starts_with(icmp::quoted(again.payload()).expect("it quotes something")));
            assert_eq!(icmp::error(&again, trouble, packet.destination), None, "no error about an error");
        }
    }
    match packet.transport() {
        Ok(Transport::Tcp(tcp)) => {
            if let Some(reset) = build::reset(&packet, &tcp) {
                whole(&reset);
            }
            clamp(packet.bytes(), packet.verify().is_ok());
        }
        Ok(Transport::EchoRequest(echo)) => {
            let reply =
                build::echo_reply(packet.destination, packet.source, &echo).expect("it fits, as the question did");
            assert_eq!(whole(&reply).transport(), Ok(Transport::EchoReply(echo)));
        }
        _ => {}
    }
}

fn whole(bytes: &[u8]) -> Packet<'_> {
    let packet = Packet::parse(bytes).expect("we wrote it");
    packet.verify().expect("its checksum is ours");
    assert_eq!(packet.bytes().len(), bytes.len());
    packet
}

fn clamp(bytes: &[u8], was_right: bool) {
    let mut clamped = bytes.to_vec();
    mss::clamp(&mut clamped, 1240);
    assert_eq!(clamped.len(), bytes.len());
    let packet = Packet::parse(&clamped).expect("its headers are what they were");
    assert!(!was_right || packet.verify().is_ok(), "a right checksum stays right");
    assert!(!mss::clamp(&mut clamped, 1240), "done twice it is done once");
}
