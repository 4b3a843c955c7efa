//! The programs that do it, each with a time limit: `ip`, `wg`, `wg-quick`, `resolvectl`.

use std::{collections::BTreeMap, fs::File, path::PathBuf, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_host::process;

/// Where we are.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// 0700; what must outlive us.
    pub state: PathBuf,
    /// For the programs: `PATH` and `WG_QUICK_USERSPACE_IMPLEMENTATION`.
    pub environment: BTreeMap<String, String>,
    /// `/etc/resolv.conf`
    pub resolver_file: PathBuf,
    /// What is there while systemd-resolved runs.
    pub resolved: PathBuf,
}

const LIMIT: Duration = Duration::from_secs(10);
/// A userspace WireGuard has to start meanwhile.
const QUICK_LIMIT: Duration = Duration::from_secs(30);
const LONGEST: u64 = 4 << 20;

impl Surroundings {
    /// What `program` prints.
    ///
    /// # Errors
    /// It is missing, hangs, or fails, with what it says.
    pub(super) async fn ask(&self, program: &str, arguments: &[String]) -> Result<String, Fault> {
        let argv: Vec<String> = [program.to_owned()].into_iter().chain(arguments.iter().cloned()).collect();
        let finished = process::run(&argv, &self.environment, LIMIT, LONGEST).await?;
        if finished.success {
            return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
        }
        Err(Fault::new(Kind::Refused, program, format!("`{}` failed", argv.join(" "))).cause(finished.stderr))
    }

    /// `ip` with each of these arguments; a mistake ends it.
    pub(super) async fn ip_all(&self, commands: &[Vec<String>]) -> Result<(), Fault> {
        for arguments in commands {
            self.ask("ip", arguments).await?;
        }
        Ok(())
    }

    /// What `ip` says to each question; nothing where it has no answer (a family that this machine does not speak).
    pub(super) async fn ip_answers(&self, questions: &[String]) -> BTreeMap<String, String> {
        let mut answers = BTreeMap::new();
        for question in questions {
            let arguments: Vec<String> = question.split(' ').map(str::to_owned).collect();
            if let Ok(answer) = self.ask("ip", &arguments).await {
                answers.insert(question.clone(), answer);
            }
        }
        answers
    }

    /// The names of all interfaces.
    pub(super) async fn devices(&self) -> Result<Vec<String>, Fault> {
        let text = self.ask("ip", &["-o", "link", "show"].map(str::to_owned)).await?;
        let name = |line: &str| Some(line.split(": ").nth(1)?.split(['@', ':']).next()?.to_owned());
        Ok(text.lines().filter_map(name).collect())
    }

    /// Devices that are up, on whose networks others are asked for by ARP.
    pub(super) async fn networks(&self) -> Result<Vec<String>, Fault> {
        let text = self.ask("ip", &["-o", "link", "show", "up"].map(str::to_owned)).await?;
        let asks = |line: &&str| line.contains("BROADCAST") && !line.contains("NOARP");
        let name = |line: &str| Some(line.split(": ").nth(1)?.split(['@', ':']).next()?.to_owned());
        Ok(text.lines().filter(asks).filter_map(name).collect())
    }

    /// `wg-quick`, whose child may live on with our output in its hands: it goes into a file.
    pub(super) async fn quick(&self, verb: &str, file: &str) -> Result<(), Fault> {
        let log = self.state.join("wg-quick.log");
        let argv = ["wg-quick", verb, file].map(str::to_owned);
        let output = File::create(&log).map_err(|cause| {
            Fault::new(Kind::Config, "vpn", format!("cannot write `{}`", log.display())).cause(cause)
        })?;
        if process::run_into(&argv, &self.environment, output, QUICK_LIMIT).await? {
            return Ok(());
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
        Err(Fault::new(Kind::Refused, "wg-quick", format!("`{}` failed", argv.join(" ")))
            .hint(
                "without WireGuard in the kernel: WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go bowline vpn connect …",
            )
            .cause(last.join("; ")))
    }
}
