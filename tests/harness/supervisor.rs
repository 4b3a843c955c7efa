//! systemd's side of `sd_notify`: a socket, and what the daemon says there.

use std::{os::unix::net::UnixDatagram, path::PathBuf, process::Command, time::Duration};

use super::World;

/// A supervisor that wants a sign of life every 200 ms.
pub(crate) struct Supervisor {
    place: PathBuf,
    listener: UnixDatagram,
}

impl Supervisor {
    pub(crate) fn new(world: &World) -> Self {
        let place = world.path("notify");
        let listener = UnixDatagram::bind(&place).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { place, listener }
    }

    /// `command`, as it starts it.
    pub(crate) fn over<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("NOTIFY_SOCKET", &self.place).env("WATCHDOG_USEC", "200000")
    }

    /// The next message; fails after ten seconds without one.
    pub(crate) fn hears(&self) -> String {
        let mut message = [0; 200];
        let length = self.listener.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}
