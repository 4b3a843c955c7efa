//! Child processes with a time limit and a size limit, and what protects this process's memory.

use std::{collections::BTreeMap, fs::File, io, process::Stdio, sync::OnceLock, time::Duration};

use bowline_base::{Fault, Kind, Retry};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

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
    let child = command.spawn().map_err(|cause| cannot_run(program, cause))?;
    within(program, limit, collect(child, max_bytes)).await
}

/// Runs `argv` without a shell, with exactly `environment` and `input` on stdin. What it prints on stdout is dropped, as
/// is all of stderr but its beginning. After `limit` it is killed, and everything with it that it has started.
///
/// # Errors
/// A fault that names the program when it cannot start or takes too long.
pub async fn feed(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    input: &[u8],
    limit: Duration,
) -> Result<Finished, Fault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Fault::new(Kind::Config, "process", "the command is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|cause| cannot_run(program, cause))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let finished = within(program, limit, supply(child, input)).await;
    group.release_if(finished.is_ok());
    finished
}

/// Runs `argv` as [`run`] does, with what it prints in `output`: whether it exited 0. For programs that leave a child behind
/// which goes on printing.
///
/// # Errors
/// As [`run`].
pub async fn run_into(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    output: File,
    limit: Duration,
) -> Result<bool, Fault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Fault::new(Kind::Config, "process", "the command is empty"));
    };
    let errors = output.try_clone().map_err(|cause| cannot_run(program, cause))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.spawn().map_err(|cause| cannot_run(program, cause))?;
    let ended = async {
        let status = child.wait().await?;
        let (stdout, stderr) = (zeroize_on_drop::Bytes::default(), String::new());
        Ok(Finished { success: status.success(), code: status.code(), stdout, stderr })
    };
    within(program, limit, ended).await.map(|finished| finished.success)
}

fn cannot_run(program: &str, cause: io::Error) -> Fault {
    Fault::new(Kind::Config, program, format!("cannot run `{program}`")).cause(cause)
}

async fn within(
    program: &str,
    limit: Duration,
    work: impl Future<Output = io::Result<Finished>>,
) -> Result<Finished, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(finished) => finished.map_err(|cause| {
            Fault::new(Kind::Refused, program, format!("cannot read the output of `{program}`")).cause(cause)
        }),
        Err(_) => {
            let message = format!("`{program}` did not end within {}", bowline_base::units::duration(limit));
            Err(Fault::new(Kind::Unreachable, program, message).retry(Retry::After(Duration::from_secs(10))))
        }
    }
}

/// The processes that a child has started, killed with it when dropped: by a limit, or by the end of who waits.
struct Group(Option<Pid>);

impl Group {
    /// What has ended well may leave something behind on purpose.
    fn release_if(mut self, ended: bool) {
        if ended {
            self.0 = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // All of them may have ended already.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Keeps the memory of this process out of core dumps and away from other processes of the same user, and every secret in
/// it out of swap, as far as the system lets it lock memory. Children inherit nothing of it but the limit of core files,
/// which [`let_children_dump`] takes back.
pub fn protect_memory() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    crate::sys::forbid_dumps();
    let limit = getrlimit(Resource::Core);
    CORE_LIMIT.get_or_init(|| limit.current);
    setrlimit(Resource::Core, rustix::process::Rlimit { current: Some(0), ..limit }).ok();
    bowline_base::secret::keep_each_by(crate::sys::keep_in_memory);
}

/// What core files were limited to when this process was started.
static CORE_LIMIT: OnceLock<Option<u64>> = OnceLock::new();

/// For a process that runs other people's programs: they dump core as they would without us. This one still does not.
pub fn let_children_dump() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    if let Some(current) = CORE_LIMIT.get().copied() {
        setrlimit(Resource::Core, rustix::process::Rlimit { current, ..getrlimit(Resource::Core) }).ok();
    }
}

/// Allows as many open files as the system lets this user have: a connection with its file takes two.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}

/// How many files may be open at once. Where the system sets no limit: more than anybody opens.
#[must_use]
pub fn file_limit() -> usize {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1 << 20)
}

/// Both outputs are read at once: a child that fills one pipe while the other is waited for would never end.
async fn collect(mut child: Child, max_bytes: u64) -> io::Result<Finished> {
    let out = child.stdout.take().expect("stdout was piped above");
    let err = child.stderr.take().expect("stderr was piped above");
    let (stdout, stderr) = tokio::try_join!(bounded(out, max_bytes), first_part(err))?;
    let status = child.wait().await?;
    Ok(Finished { success: status.success(), code: status.code(), stdout, stderr })
}

/// Whether the child reads its input is its own business.
async fn supply(mut child: Child, input: &[u8]) -> io::Result<Finished> {
    let mut stdin = child.stdin.take().expect("stdin was piped above");
    let err = child.stderr.take().expect("stderr was piped above");
    let write = async {
        stdin.write_all(input).await.ok();
        drop(stdin);
    };
    let ((), stderr) = tokio::join!(write, first_part(err));
    let (status, stdout) = (child.wait().await?, zeroize_on_drop::Bytes::default());
    Ok(Finished { success: status.success(), code: status.code(), stdout, stderr: stderr? })
}

/// All of it, or an error as soon as there is more than `most`. Never moved while it grows, so no copy stays behind.
async fn bounded(output: impl AsyncRead + Unpin, most: u64) -> io::Result<zeroize_on_drop::Bytes> {
    let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = zeroize_on_drop::Bytes::new(Vec::with_capacity(room));
    let read = output.take(most + 1).read_to_end(&mut bytes).await?;
    if read as u64 > most { Err(io::Error::other(format!("it printed more than {most} bytes"))) } else { Ok(bytes) }
}

/// What is worth showing to a person; the rest is read and dropped, so that the child does not wait for us.
async fn first_part(mut output: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut bytes = Vec::new();
    (&mut output).take(64 * 1024).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Result<Finished, Fault> {
        let argv = ["sh", "-c", script].map(ToOwned::to_owned);
        let path = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        run(&argv, &path, Duration::from_secs(10), 1000).await
    }

    #[tokio::test]
    async fn a_child_that_never_stops_printing_is_ended_at_once() {
        assert!(sh("yes").await.unwrap_err().chain().contains("more than 1000 bytes"));
    }

    #[tokio::test]
    async fn a_chatty_stderr_does_not_hold_the_child_up() {
        let finished = sh("yes | head -c 300000 >&2; echo done").await.unwrap();
        assert_eq!((finished.success, finished.stdout.as_slice()), (true, b"done\n".as_slice()));
    }
}
