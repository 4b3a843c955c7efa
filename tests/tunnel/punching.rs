//! Two clients behind the same server find each other as peers behind a NAT do: both ask somebody from where they seem
//! to come, tell each other, and send at the same time.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use bowline_rig::{UdpEcho, udp};

use super::stage::{Stage, target};
use crate::harness::until;

/// From where `socket` seems to come to `observer`.
#[track_caller]
fn seen_by(stage: &Stage, observer: &UdpEcho, socket: &UdpSocket, word: &[u8]) -> SocketAddr {
    until(super::stage::PATIENCE, "the observer answers", || {
        socket.send_to(word, observer.address()).ok();
        socket.recv_from(&mut [0; 64]).is_ok()
    });
    let seen = observer.seen();
    seen.iter().rev().find(|(_, bytes)| bytes == word).unwrap_or_else(|| panic!("{}", stage.told())).0
}

#[test]
fn two_clients_punch_holes_to_each_other() {
    let Some(stage) = Stage::start("tunnel-punching", 2, &[]) else { return };
    let observers = [0, 1].map(|_| UdpEcho::start(&stage.rig.server, target()).unwrap());
    let sockets = [0, 1].map(|index| {
        let client = &stage.rig.clients[index];
        udp(&client.namespace, client.inner().into(), Duration::from_millis(500)).unwrap()
    });
    let mapped = [0, 1].map(|index| {
        let word = format!("I am {index}");
        let places = [0, 1].map(|other| seen_by(&stage, &observers[other], &sockets[index], word.as_bytes()));
        assert_eq!(places[0], places[1], "a socket seems to come from one place, whoever looks");
        places[0]
    });
    let mut met = [false; 2];
    until(super::stage::PATIENCE, "they hear each other", || {
        for (index, socket) in sockets.iter().enumerate() {
            socket.send_to(b"hello from the other", mapped[1 - index]).unwrap();
        }
        for (index, socket) in sockets.iter().enumerate() {
            let mut buffer = [0; 64];
            let heard = socket.recv_from(&mut buffer);
            met[index] |= heard.is_ok_and(|(_, from)| from == mapped[1 - index]);
        }
        met == [true; 2]
    });
}
