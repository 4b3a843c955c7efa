//! The program between a real client and its targets: as nobody, without a capability and without a way to get one.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_rig::{Client, Rig, missing};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Finished, Running, fetch, run, start, until};

/// Longest that anything may take on a machine that is busy with other tests.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// The status page, in the server's namespace.
const STATUS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9920);

/// A rig with the program as its server.
pub(super) struct Stage {
    pub(super) rig: Rig,
    server: Option<Running>,
    program: PathBuf,
    output: PathBuf,
    flags: Vec<String>,
    starts: u32,
}

impl Stage {
    /// The story `name`: `clients` of them, all let in and connected, and the program with `flags`. Nothing where this
    /// machine cannot have it; that is printed.
    #[track_caller]
    pub(super) fn start(name: &str, clients: u8, flags: &[&str]) -> Option<Self> {
        let mut stage = Self::prepare(name, clients, flags)?;
        stage.serve();
        for index in 0..stage.rig.clients.len() {
            stage.rig.connect(index).unwrap();
        }
        Some(stage)
    }

    /// The same with nothing started.
    #[track_caller]
    pub(super) fn prepare(name: &str, clients: u8, flags: &[&str]) -> Option<Self> {
        if let Some(why) = missing() {
            eprintln!("skipped: {name}: {why}");
            return None;
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let (output, secrets) = (target.join("test-output").join(name), target.join("test-secrets"));
        fs::create_dir_all(&output).unwrap();
        fs::create_dir_all(&secrets).unwrap();
        let rig = Rig::new(clients).unwrap();
        let keys = rig.clients.iter().map(|client| client.preshared_key.as_str()).chain([rig.keys.private.as_str()]);
        let keys: String = keys.map(|key| format!("{key}\n")).collect();
        bowline_base::atomic::write_private(&secrets.join(format!("{name}.txt")), keys.as_bytes()).unwrap();
        // Where everybody can run it.
        let program = rig.path("bowline");
        fs::copy(env!("CARGO_BIN_EXE_bowline"), &program).unwrap();
        let allowed = Rig::ALLOW.iter().flat_map(|range| ["--egress-allow", range]);
        let flags = allowed.chain(flags.iter().copied()).map(ToOwned::to_owned).collect();
        rig.peers_file(|_| true).unwrap();
        Some(Self { rig, server: None, program, output, flags, starts: 0 })
    }

    /// The program gets these as well, from its next start on.
    pub(super) fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().copied().map(ToOwned::to_owned));
    }

    /// Starts the program.
    #[track_caller]
    pub(super) fn serve(&mut self) {
        let mut command = self.rig.server.command_as_nobody(&self.program);
        command.args(["vpn", "serve", "--peers"]).arg(self.rig.path("peers.conf"));
        command.args(["--status", &format!("{}:{}", STATUS.0, STATUS.1)]).args(&self.flags);
        command.env_remove("LOG_LEVEL").current_dir("/");
        let output = self.output.join(format!("{:02}-serve.out", self.starts));
        self.starts += 1;
        self.server = Some(start(&mut command, &output));
        let mut server = self.server.take().unwrap();
        until(PATIENCE, "the program is ready", || {
            assert!(server.runs(), "it ended: {}", server.stderr());
            self.status().is_some()
        });
        self.server = Some(server);
    }

    /// The program's process.
    pub(super) fn server(&mut self) -> &mut Running {
        self.server.as_mut().expect("it was started")
    }

    /// SIGTERM; how it ended.
    #[track_caller]
    pub(super) fn stop(&mut self) -> Finished {
        let server = self.server.take().expect("it was started");
        server.signal(Signal::TERM);
        server.finish(PATIENCE)
    }

    /// What `/status.json` says of the tunnel, if it answers.
    pub(super) fn status(&self) -> Option<Value> {
        let answer = self.rig.server.enter(|| fetch(STATUS.into(), "/status.json")).ok()?;
        serde_json::from_slice::<Value>(&answer.body).ok().map(|status| status["jobs"]["vpn"].clone())
    }

    /// The text of `path` on the status page.
    #[track_caller]
    pub(super) fn page(&self, path: &str) -> String {
        self.rig.server.enter(|| fetch(STATUS.into(), path)).unwrap().text()
    }

    /// Lets in whom `admitted` names, and nobody else, from now on.
    #[track_caller]
    pub(super) fn admit(&mut self, admitted: impl Fn(&Client) -> bool) {
        self.rig.peers_file(admitted).unwrap();
        self.server().signal(Signal::HUP);
    }

    /// A connection of the client `index`.
    #[track_caller]
    pub(super) fn connect(&self, index: usize, address: SocketAddr) -> TcpStream {
        let connected = self.rig.clients[index].namespace.enter(|| TcpStream::connect_timeout(&address, PATIENCE));
        let stream = connected.unwrap_or_else(|error| panic!("no connection to {address}: {error}; {}", self.told()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A program on the side of the client `index`, run to its end.
    #[track_caller]
    pub(super) fn run(&self, index: usize, words: &[&str]) -> Finished {
        let mut command = self.rig.clients[index].namespace.command(words[0]);
        run(command.args(&words[1..]), &self.output.join(format!("{index}-{}.out", words[0])), PATIENCE + PATIENCE)
    }

    /// What the program has said so far.
    pub(super) fn told(&self) -> String {
        self.server.as_ref().map(Running::stderr).unwrap_or_default()
    }
}

/// A free port of the target.
pub(super) fn target() -> SocketAddr {
    (Rig::TARGET, 0).into()
}

/// The same of either family.
pub(super) fn targets() -> [IpAddr; 2] {
    [Rig::TARGET.into(), Rig::TARGET6.into()]
}
