//! Who serves: the release build as nobody, and `wireguard-go` as root with a TUN.

use std::{fs, path::PathBuf, process::Stdio};

use bowline_rig::{Held, Rig};

use crate::{Outcome, Tools};

/// A kind of server.
pub(super) struct Contestant {
    pub(super) name: String,
    /// What our CPU per GB may be of its own.
    pub(super) cpu_target: f64,
    kind: Kind,
    /// What the client runs, whoever serves.
    client: Option<String>,
}

enum Kind {
    Bowline(PathBuf),
    WireguardGo(String),
}

/// A running one; dropped, it ends.
pub(super) struct Server(Held);

impl Server {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Contestant {
    /// Ours first; then the `wireguard-go` that was named, if one was, and Debian's of 2022, which costs 2.7 times a
    /// current one.
    pub(super) fn all(tools: &Tools) -> Vec<Self> {
        let one = |name: String, cpu_target, kind| Self { name, cpu_target, kind, client: tools.wireguard_go.clone() };
        let ours = one("bowline".to_owned(), 1.0, Kind::Bowline(tools.bowline.clone()));
        let other = |program: &str, words: &str, cpu_target| {
            one(format!("wireguard-go{words}"), cpu_target, Kind::WireguardGo(program.to_owned()))
        };
        let named = tools.wireguard_go.as_deref().map(|program| other(program, ", current", 0.6));
        [Some(ours), named, Some(other("wireguard-go", " of Debian", 0.22))].into_iter().flatten().collect()
    }

    /// A rig with one client.
    pub(super) fn rig(&self) -> Outcome<Rig> {
        let mut rig = Rig::new(1)?;
        if let Some(client) = &self.client {
            rig.wireguard_go.clone_from(client);
        }
        Ok(rig)
    }

    /// Serves the clients of `rig`.
    pub(super) fn start(&self, rig: &Rig) -> Outcome<Server> {
        rig.server.run("sysctl", &["-w", "net.ipv4.ping_group_range=0 2147483647"])?;
        match &self.kind {
            Kind::WireguardGo(program) => Ok(Server(rig.serve_by_wireguard_go(program)?)),
            Kind::Bowline(program) => {
                let copy = rig.path("bowline");
                fs::copy(program, &copy)?;
                let mut command = rig.server.command_as_nobody(&copy);
                command.args(["vpn", "serve", "--no-dns", "--flows", "30000", "--peers"]);
                command.arg(rig.peers_file(|_| true)?);
                for range in Rig::ALLOW {
                    command.args(["--egress-allow", range]);
                }
                command.env_clear().env("LOG_LEVEL", "warn").stdin(Stdio::null()).stdout(Stdio::null());
                Ok(Server(Held::new(command.spawn()?)))
            }
        }
    }
}
