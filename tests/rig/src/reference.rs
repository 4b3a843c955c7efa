//! The server that others are held against: a real `wireguard-go` with a TUN, in the server's namespace.

use std::fs;

use crate::{Held, Outcome, Rig, client::start_wireguard};

const DEVICE: &str = "wgs";

impl Rig {
    /// Serves every client of the rig with `wireguard_go`, which may do whatever root may.
    ///
    /// # Errors
    /// It does not come up.
    pub fn serve_by_wireguard_go(&self, wireguard_go: &str) -> Outcome<Held> {
        let held = start_wireguard(&self.server, DEVICE, wireguard_go)?;
        let path = self.path("reference.conf");
        fs::write(&path, self.configuration(|_| true))?;
        self.server.run("wg", &["setconf", DEVICE, &path.to_string_lossy()])?;
        self.server.ip(&format!("addr add {}/16 dev {DEVICE}", Self::INNER))?;
        self.server.ip(&format!("addr add {}/64 dev {DEVICE} nodad", Self::INNER6))?;
        self.server.ip(&format!("link set {DEVICE} mtu 1420 up"))?;
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Shutdown, TcpStream},
        time::Duration,
    };

    use super::*;
    use crate::{Direction, Link, Path, Relay, Service, echo, missing};

    #[test]
    fn a_client_reaches_a_target_through_the_tunnel_straight_and_over_a_bad_path() {
        if let Some(why) = missing() {
            eprintln!("skipped: {why}");
            return;
        }
        let mut rig = Rig::new(2).unwrap();
        let _server = rig.serve_by_wireguard_go("wireguard-go").unwrap();
        let service = Service::start(&rig.server, (Rig::TARGET, 0).into(), echo).unwrap();
        rig.connect(0).unwrap();
        let bad = Path { delay: Duration::from_millis(5), loss: 0.02 };
        let relay = Relay::start(&rig.clients[1].namespace, rig.endpoint(1), bad, bad).unwrap();
        rig.connect_by(1, &Link::to(relay.address())).unwrap();
        relay.record();
        for client in &rig.clients {
            let mut stream = client.namespace.enter(|| TcpStream::connect(service.address())).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(&[7; 100_000]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert_eq!(back.len(), 100_000);
            assert!(client.last_handshake().unwrap() > 0);
        }
        let passed = relay.recorded();
        assert!(passed.iter().any(|one| one.direction == Direction::Up), "it went by the relay");
        assert_eq!(service.accepted(), 2);
    }
}
