//! What started this process and waits to hear how it is: systemd's notification socket (`sd_notify(3)`) and watchdog.
//!
//! A message that cannot be sent is nobody's trouble: whoever stopped listening has nothing to be told. This file does
//! not decide what is said.

use std::{os::unix::net::UnixDatagram, time::Duration};

use crate::sys;

/// Who started this process, if it wants to hear from it.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    patience: Option<Duration>,
}

impl Supervisor {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` by `lookup`; `process` is our own id.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>, process: u32) -> Self {
        let socket = lookup("NOTIFY_SOCKET").and_then(|place| connect(&place).ok());
        let ours = lookup("WATCHDOG_PID").is_none_or(|id| id.parse() == Ok(process));
        let microseconds = lookup("WATCHDOG_USEC").filter(|_| ours).and_then(|text| text.parse().ok());
        let patience = microseconds.filter(|time| *time > 0).map(Duration::from_micros);
        Self { patience: patience.filter(|_| socket.is_some()), socket }
    }

    /// Everything is up.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is read again; [`Supervisor::ready`] ends it.
    pub fn reloading(&self) {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = monotonic.tv_sec * 1_000_000 + monotonic.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// It is alive.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// How often to say so: twice in the time after which the process would be killed. `None`: nobody minds.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        self.patience.map(|patience| patience / 2)
    }

    fn say(&self, message: &str) {
        if let Some(socket) = &self.socket {
            socket.send(message.as_bytes()).ok();
        }
    }
}

fn connect(place: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // It is told and not waited for.
    socket.set_nonblocking(true)?;
    match place.strip_prefix('@') {
        Some(name) => sys::connect_abstract(&socket, name)?,
        None => socket.connect(place)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(variables: &[(&str, &str)]) -> Supervisor {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Supervisor::from_lookup(lookup, 77)
    }

    #[test]
    fn what_is_said_arrives_by_path_and_by_abstract_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let heard = |listener: &UnixDatagram| {
            let mut message = [0; 200];
            let length = listener.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        };
        let supervisor = supervisor(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "30000000")]);
        supervisor.ready();
        assert_eq!(heard(&listener), "READY=1");
        supervisor.reloading();
        assert!(heard(&listener).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        supervisor.stopping();
        assert_eq!(heard(&listener), "STOPPING=1");
        assert_eq!(supervisor.heartbeat(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn a_watchdog_of_another_process_and_one_without_a_socket_are_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let _listener = UnixDatagram::bind(&path).unwrap();
        let place = ("NOTIFY_SOCKET", path.to_str().unwrap());
        let watchdog = ("WATCHDOG_USEC", "1000000");
        assert_eq!(supervisor(&[place, watchdog, ("WATCHDOG_PID", "78")]).heartbeat(), None);
        assert!(supervisor(&[place, watchdog, ("WATCHDOG_PID", "77")]).heartbeat().is_some());
        assert_eq!(supervisor(&[watchdog]).heartbeat(), None);
        assert_eq!(supervisor(&[place, ("WATCHDOG_USEC", "many")]).heartbeat(), None);
        supervisor(&[("NOTIFY_SOCKET", "/no/such/socket")]).ready();
    }
}
