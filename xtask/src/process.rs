//! Runs other programs, shows what they print as it comes, and keeps a copy.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

use crate::{Outcome, place};

/// A command in the repository's root that asks no questions.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// `cargo nextest`: this machine's, else the one that the set-up brings.
pub(crate) fn nextest(arguments: &[&str]) -> Option<Command> {
    let is_there = |mut version: Command| version.output().is_ok_and(|output| output.status.success());
    if is_there(cargo(&["nextest", "--version"])) {
        return Some(cargo(&[&["nextest"], arguments].concat()));
    }
    let ours = place::python().join("bin/cargo-nextest");
    is_there(command(&ours, &["nextest", "--version"])).then(|| command(ours, &[&["nextest"], arguments].concat()))
}

/// Runs `command` as one named step, its output going straight through.
pub(crate) fn step(name: &str, command: &mut Command) -> Outcome {
    eprintln!("── {name}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: cannot start: {error}"))?;
    eprintln!("── {name}: {:.1} s", start.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

/// Runs `command` with its output shown and copied to `log`: whether it succeeded, and all that it printed.
pub(crate) fn tee(command: &mut Command, log: &Path) -> io::Result<(bool, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let copy = Mutex::new((String::new(), File::create(log)?));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(|| stdout.map(|from| show(from, &copy)));
        scope.spawn(|| stderr.map(|from| show(from, &copy)));
    });
    let status = child.wait()?;
    let (text, _) = copy.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((status.success(), text))
}

/// Runs `command` quietly: what it printed on stdout, or why not.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{name}`: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn show(from: impl Read, copy: &Mutex<(String, File)>) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        eprint!("{text}");
        if let Ok(mut copy) = copy.lock() {
            copy.0.push_str(&text);
            // A full disk shows in the build itself; a missing log must not fail the tests.
            copy.1.write_all(text.as_bytes()).ok();
        }
        line.clear();
    }
}
