//! An endpoint for one child: a port and a token of its own, gone when the child is.

use std::{
    collections::BTreeMap, ffi::OsString, io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration,
};

use bowline_audit::AuditJob;
use bowline_base::{Fault, Kind, atomic};
use bowline_credentials::{Broker, grant::Grants};
use bowline_host::{Job as _, Tasks};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use super::{exec::not_run, own_broker, recording};
use crate::{
    cli::MfaCode,
    config::EndpointSection,
    daemon, output,
    world::{World, small_runtime},
};

/// How long a refresh that was sent may keep a finished command.
const DRAIN: Duration = Duration::from_secs(5);

/// A running endpoint; dropped, its directory is gone.
pub(super) struct Scope {
    runtime: Runtime,
    tasks: Tasks,
    endpoint: bowline_credentials::endpoint::Endpoint,
    profile: String,
    directory: Directory,
}

/// Holds the token file.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing is lost with a token whose endpoint has ended.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Scope {
    /// Serves `profile` on a free port of 127.0.0.1, with credentials in memory already.
    pub(super) fn open(world: &World, profile: &str, mfa: &MfaCode) -> Result<Self, Fault> {
        let runtime = small_runtime()?;
        let tasks = Tasks::new();
        let path = world.environment.runtime_directory().join(format!("exec-{}", std::process::id()));
        atomic::private_directory(&path).map_err(|cause| {
            Fault::new(Kind::Config, "exec", format!("cannot make `{}`", path.display())).cause(cause)
        })?;
        let directory = Directory(path);
        let ctx = own_broker::ctx(world, &tasks);
        let endpoint = runtime.block_on(async {
            let witness = recording::witness(world);
            AuditJob::new(witness.log(), None).start(&ctx).await?;
            let broker = own_broker::with_witness(world, &tasks, profile, mfa, Some(witness)).await?;
            first(world, &broker, profile).await?;
            let section = EndpointSection {
                listen: vec![([127, 0, 0, 1], 0).into()],
                serve: vec![profile.to_owned()],
                token_file: Some(directory.0.join("token")),
                ..EndpointSection::default()
            };
            let endpoint = daemon::endpoint::job(world, &broker, &section, &Grants::default())?;
            endpoint.start(&ctx).await?;
            Ok::<_, Fault>(endpoint)
        })?;
        Ok(Self { runtime, tasks, endpoint, profile: profile.to_owned(), directory })
    }

    /// What the child sets; no secret.
    pub(super) fn exports(&self) -> Vec<(&'static str, String)> {
        self.endpoint.exports(&self.profile).unwrap_or_default()
    }

    /// The directory that holds nothing but the token file.
    pub(super) fn directory(&self) -> &std::path::Path {
        &self.directory.0
    }

    /// SDKs look into the AWS files before they ask an endpoint. Where those have credentials in `default`, the child is
    /// shown others that have none.
    pub(super) fn shields(&self, world: &World, region: Option<&str>) -> Result<Vec<(&'static str, String)>, Fault> {
        if world.aws_config().and_then(|config| Ok(config.resolve("default")?)).is_err() {
            return Ok(Vec::new());
        }
        output::say("note: the AWS files have credentials in `default`; the command is shown files without them");
        let region = region.map(|region| format!("region = {region}\n")).unwrap_or_default();
        let files = [
            ("AWS_CONFIG_FILE", "config", format!("[default]\n{region}")),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", String::new()),
        ];
        let write = |(name, file, text): (&'static str, &str, String)| {
            let path = self.directory.0.join(file);
            atomic::write_private(&path, text.as_bytes()).map(|()| (name, path.display().to_string())).map_err(
                |cause| Fault::new(Kind::Config, "exec", format!("cannot write `{}`", path.display())).cause(cause),
            )
        };
        files.into_iter().map(write).collect()
    }

    /// Runs `argv` with exactly `environment` to its end; its exit code, 128 and the signal where one ended it.
    pub(super) fn run(self, argv: &[String], environment: &BTreeMap<OsString, OsString>) -> Result<ExitCode, Fault> {
        let Some((program, rest)) = argv.split_first() else {
            return Err(Fault::new(Kind::Config, "exec", "no command to run").hint("bowline exec PROFILE -- COMMAND"));
        };
        self.runtime.block_on(async {
            let signals = Signals::listen()?;
            let spawned = Command::new(program).args(rest).env_clear().envs(environment).spawn();
            let code = match spawned {
                Ok(child) => ExitCode::from(signals.attend(child).await?),
                Err(cause) => not_run(program, cause),
            };
            self.tasks.shut_down(DRAIN).await;
            Ok(code)
        })
    }

    /// Serves until SIGTERM or SIGINT.
    pub(super) fn stay(self) -> Result<(), Fault> {
        self.runtime.block_on(async {
            let mut terminate = listen(SignalKind::terminate())?;
            let mut interrupt = listen(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            self.tasks.shut_down(DRAIN).await;
            Ok(())
        })
    }

    /// Whether `argv` ends well within a few seconds.
    pub(super) fn succeeds(&self, argv: &[String], environment: &BTreeMap<String, String>) -> bool {
        let run = bowline_host::process::run(argv, environment, DRAIN, 64 * 1024);
        self.runtime.block_on(run).is_ok_and(|finished| finished.success)
    }
}

/// The first set is in memory before anything runs, and stands in the log under the name of who asked for it; the command
/// itself is written down when it fetches.
async fn first(world: &World, broker: &Broker, profile: &str) -> Result<(), Fault> {
    let credentials = broker.ask(profile).await.map_err(|why| {
        recording::refused(world, profile, &why.0);
        let fault = Fault::new(why.0.kind, why.0.origin.clone(), why.0.chain());
        Fault { hint: why.0.hint.clone(), ..fault }
    })?;
    recording::issued(world, profile, &credentials, &broker.source_of(profile))
}

type Stream = tokio::signal::unix::Signal;

/// What is passed on to the child.
struct Signals([(Signal, Stream); 6]);

impl Signals {
    fn listen() -> Result<Self, Fault> {
        Ok(Self([
            (Signal::TERM, listen(SignalKind::terminate())?),
            (Signal::HUP, listen(SignalKind::hangup())?),
            (Signal::INT, listen(SignalKind::interrupt())?),
            (Signal::QUIT, listen(SignalKind::quit())?),
            (Signal::USR1, listen(SignalKind::user_defined1())?),
            (Signal::USR2, listen(SignalKind::user_defined2())?),
        ]))
    }

    /// Waits for the child and passes signals on meanwhile.
    async fn attend(self, mut child: Child) -> Result<u8, Fault> {
        let Self([mut term, mut hup, mut int, mut quit, mut usr1, mut usr2]) = self;
        loop {
            let signal = tokio::select! {
                ended = child.wait() => return ended.map(code).map_err(|cause| {
                    Fault::new(Kind::Bug, "exec", "cannot wait for the command").cause(cause)
                }),
                _ = term.1.recv() => term.0,
                _ = hup.1.recv() => hup.0,
                _ = int.1.recv() => int.0,
                _ = quit.1.recv() => quit.0,
                _ = usr1.1.recv() => usr1.0,
                _ = usr2.1.recv() => usr2.0,
            };
            // What is typed at a terminal goes to the child as well, and twice would mean something else.
            let typed = matches!(signal, Signal::INT | Signal::QUIT) && std::io::stdin().is_terminal();
            let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|_| !typed) {
                // It may just have ended; then its end comes next.
                kill_process(pid, signal).ok();
            }
        }
    }
}

fn listen(kind: SignalKind) -> Result<Stream, Fault> {
    signal(kind).map_err(|cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause))
}

fn code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
