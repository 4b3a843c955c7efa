//! What passes through a namespace's interfaces, seen by a packet socket: every frame of every protocol, loopback included.

use std::{
    num::NonZero,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::{Namespace, Outcome};

/// `ETH_P_ALL`, as the system wants it: in the order of the network.
const EVERYTHING: u32 = 0x0003_u16.to_be() as u32;
const LOOK: Duration = Duration::from_millis(50);

/// Counts packets from its start to its end.
pub struct Tap {
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    all: AtomicU64,
    wanted: AtomicU64,
    end: AtomicBool,
}

impl Tap {
    /// Counts what `wanted` says yes to; it is shown each packet from its IP header on.
    ///
    /// # Errors
    /// Only root may look.
    pub fn start(namespace: &Namespace, wanted: impl Fn(&[u8]) -> bool + Send + 'static) -> Outcome<Self> {
        let protocol = NonZero::new(EVERYTHING).map(Protocol::from_raw);
        let open = || socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol);
        let socket = namespace.enter(open)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(LOOK))?;
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let thread = Some(thread::spawn(move || count(&socket, &counting, wanted)));
        Ok(Self { counts, thread })
    }

    /// How many there were in all.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.counts.all.load(Ordering::Relaxed)
    }

    /// How many were wanted.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.counts.wanted.load(Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.counts.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn count(socket: &OwnedFd, counts: &Counts, wanted: impl Fn(&[u8]) -> bool) {
    let mut packet = [0_u8; 2048];
    while !counts.end.load(Ordering::Relaxed) {
        let Ok((length, _)) = recv(socket, &mut packet, RecvFlags::empty()) else { continue };
        counts.all.fetch_add(1, Ordering::Relaxed);
        counts.wanted.fetch_add(u64::from(wanted(&packet[..length])), Ordering::Relaxed);
    }
}

/// Whether a packet is of UDP or TCP and from or to `port`.
#[must_use]
pub fn is_of_port(packet: &[u8], port: u16) -> bool {
    let (protocol, header) = match packet.first().map(|first| first >> 4) {
        Some(4) => (packet.get(9), usize::from(packet[0] & 15) * 4),
        Some(6) => (packet.get(6), 40),
        _ => return false,
    };
    let ports = packet.get(header..header + 4);
    let named = ports.is_some_and(|ports| ports.chunks(2).any(|two| two == port.to_be_bytes()));
    matches!(protocol, Some(6 | 17)) && named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_in_either_family_and_not_in_what_is_neither_udp_nor_tcp() {
        let mut v4 = [0; 28];
        (v4[0], v4[9], v4[23]) = (0x45, 17, 53);
        assert!(is_of_port(&v4, 53) && !is_of_port(&v4, 54) && !is_of_port(&v4[..22], 53));
        v4[9] = 1;
        assert!(!is_of_port(&v4, 53));
        let mut v6 = [0; 48];
        (v6[0], v6[6], v6[41]) = (0x60, 6, 53);
        assert!(is_of_port(&v6, 53) && !is_of_port(&[], 53));
    }
}
