//! Other programs: started with their output in files, waited for with a limit, ended by process id.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{elapsed, pause};

/// A program that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs; dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    output: PathBuf,
}

/// Starts `command`; what it prints goes to `OUTPUT.stdout` and `OUTPUT.stderr`.
pub(crate) fn start(command: &mut Command, output: &Path) -> Running {
    let file = |ending: &str| Stdio::from(File::create(output.with_extension(ending)).unwrap());
    let spawned = command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).spawn();
    let child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    Running { child, output: output.to_path_buf() }
}

/// Runs `command` to its end, which must come within `limit`.
pub(crate) fn run(command: &mut Command, output: &Path, limit: Duration) -> Finished {
    start(command, output).finish(limit)
}

impl Running {
    /// Sends it `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self, limit: Duration) -> Finished {
        let status = self.end(limit);
        Finished { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    /// What it has printed on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.output.with_extension("stdout"))
    }

    /// What it has printed on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        text(&self.output.with_extension("stderr"))
    }

    #[track_caller]
    fn end(&mut self, limit: Duration) -> ExitStatus {
        let start = elapsed();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(elapsed() - start < limit, "still running after {limit:?}: {}", self.stderr());
            pause(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
