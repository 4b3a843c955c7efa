//! A network namespace without a name: it lives as long as the process that holds it.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    panic,
    process::{Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Held, Outcome};

/// The user and group of nobody, without a single privilege.
pub const NOBODY: u32 = 65_534;

/// What the holder does: a folder of its own where WireGuard keeps its control sockets (they are named after the
/// interface, not after the namespace), and the loopback up.
const PREPARE: &str = "mkdir -p /run/wireguard && mount -t tmpfs tmpfs /run/wireguard && ip link set lo up \
                       && echo ready && exec sleep infinity";

/// A network with nothing in it but loopback.
pub struct Namespace {
    holder: Held,
}

impl Namespace {
    /// An empty one.
    ///
    /// # Errors
    /// This machine does not let us make one.
    pub fn new() -> Outcome<Self> {
        let mut unshare = Command::new("setpriv");
        unshare.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", PREPARE]);
        let mut child = unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let output = child.stdout.take().ok_or("its output is piped")?;
        let holder = Held::new(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() == "ready" { Ok(Self { holder }) } else { Err("no network namespace can be made here".into()) }
    }

    /// The process that holds it: what `ip link … netns PID` takes.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// `program` inside, as we are. It has the process id of the child that is started.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.inside();
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// `program` inside, as [`NOBODY`], without a capability and without a way to get one.
    #[must_use]
    pub fn command_as_nobody(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.inside();
        let nobody = NOBODY.to_string();
        command.args(["setpriv", "--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--no-new-privs"]);
        command.args(["--bounding-set", "-all", "--inh-caps", "-all", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Runs `ip ARGUMENTS` inside, which must succeed.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, arguments: &str) -> Outcome<()> {
        self.run("ip", &arguments.split_whitespace().collect::<Vec<_>>()).map(drop)
    }

    /// Runs `program` inside to its end, which must be good: what it printed.
    ///
    /// # Errors
    /// It failed, with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Outcome<String> {
        let output = self.command(program).args(arguments).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("`{program} {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
    }

    /// Does `work` inside. A socket that is made there stays there, wherever it is used.
    ///
    /// # Panics
    /// When the namespace is gone, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.id())).expect("the holder runs as long as we do");
        let inside = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("whoever made a namespace may enter it");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        let place =
            |kind: &str| format!("--{}=/proc/{}/ns/{kind}", if kind == "net" { "net" } else { "mount" }, self.id());
        command.args([place("net"), place("mnt")]).arg("--");
        command
    }
}
