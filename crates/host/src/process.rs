//! Child processes with a time limit and a size limit, and what protects this process's memory.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use bowline_base::{Fault, Kind, Retry};
use tokio::{io::AsyncReadExt as _, process::Command};

/// What a finished child said.
#[derive(Debug)]
pub struct Finished {
    /// Whether it exited 0.
    pub success: bool,
    /// Its exit code, if it was not killed by a signal.
    pub code: Option<i32>,
    /// All of its stdout.
    pub stdout: zeroize_on_drop::Bytes,
    /// All of its stderr.
    pub stderr: String,
}

/// Bytes that may hold a secret.
pub mod zeroize_on_drop {
    /// Wiped when dropped.
    pub type Bytes = zeroize::Zeroizing<Vec<u8>>;
}

/// Runs `argv` without a shell, with exactly `environment`, stdin closed; kills it after `limit` or `max_bytes` of output.
///
/// # Errors
/// A fault that names the program when it cannot start, takes too long or says too much.
pub async fn run(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    limit: Duration,
    max_bytes: u64,
) -> Result<Finished, Fault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Fault::new(Kind::Config, "process", "the command is empty"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|cause| Fault::new(Kind::Config, program.clone(), format!("cannot run `{program}`")).cause(cause))?;
    match tokio::time::timeout(limit, collect(child, max_bytes)).await {
        Ok(finished) => finished.map_err(|cause| {
            Fault::new(Kind::Refused, program.clone(), format!("cannot read the output of `{program}`")).cause(cause)
        }),
        Err(_) => Err(Fault::new(
            Kind::Unreachable,
            program.clone(),
            format!("`{program}` did not end within {}", bowline_base::units::duration(limit)),
        )
        .retry(Retry::After(Duration::from_secs(10)))),
    }
}

/// Keeps the memory of this process out of core dumps and away from other processes of the same user. Not inherited:
/// a program that takes this process's place by `exec` is as it would be without us.
pub fn protect_memory() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
}

async fn collect(mut child: tokio::process::Child, max_bytes: u64) -> std::io::Result<Finished> {
    let (mut stdout, mut stderr) = (zeroize_on_drop::Bytes::default(), Vec::new());
    let out = child.stdout.take().expect("stdout was piped above");
    let err = child.stderr.take().expect("stderr was piped above");
    let (mut out, mut err) = (out.take(max_bytes + 1), err.take(64 * 1024));
    let (read, _) = tokio::try_join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr))?;
    if read as u64 > max_bytes {
        child.start_kill()?;
        return Err(std::io::Error::other(format!("it printed more than {max_bytes} bytes")));
    }
    let status = child.wait().await?;
    let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
    Ok(Finished { success: status.success(), code: status.code(), stdout, stderr })
}
