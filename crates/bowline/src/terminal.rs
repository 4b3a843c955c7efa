//! The person at the terminal, asked on the terminal itself: stdin and stdout belong to whoever runs us.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
};

use bowline_base::{BoxFuture, Fault, Kind, Secret};
use bowline_credentials::mfa::Prompt;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output;

/// The longest line that a terminal takes.
const LONGEST_LINE: usize = 4096;

/// `/dev/tty`, if this process has one and stands in its foreground.
pub(crate) struct Terminal;

impl Prompt for Terminal {
    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Fault>> {
        let question = question.to_owned();
        Box::pin(async move {
            // Reading cannot be cut off; Ctrl-C ends the process with it.
            let asked = tokio::task::spawn_blocking(move || ask(&question)).await;
            asked.unwrap_or_else(|cause| Err(Fault::new(Kind::Bug, "terminal", "asking broke off").cause(cause)))
        })
    }

    fn ask_hidden<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Fault>> {
        let question = question.to_owned();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || ask_hidden(&question)).await;
            asked.unwrap_or_else(|cause| Err(Fault::new(Kind::Bug, "terminal", "asking broke off").cause(cause)))
        })
    }

    fn tell(&self, line: &str) {
        output::say(line);
    }
}

fn ask(question: &str) -> Result<Option<Secret>, Fault> {
    let Some(terminal) = open() else { return Ok(None) };
    answer_on(terminal, question).map(Some)
}

/// Asks for a line that may be seen; `None` where there is no terminal.
pub(crate) fn ask_line(question: &str) -> Result<Option<Secret>, Fault> {
    ask(question)
}

/// How wide the window is that stdout goes to; `None` where it goes elsewhere.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Shows a text that must not be in any file; `false` where there is no terminal.
pub(crate) fn show(text: &str) -> Result<bool, Fault> {
    let Some(mut terminal) = open() else { return Ok(false) };
    let shown = terminal.write_all(text.as_bytes()).and_then(|()| terminal.write_all(b"\n"));
    shown.map(|()| true).map_err(|cause| Fault::new(Kind::Interrupted, "terminal", "cannot write to it").cause(cause))
}

/// Asks without an echo, and answers without the line's end; `None` where there is no terminal.
pub(crate) fn ask_hidden(question: &str) -> Result<Option<Secret>, Fault> {
    let Some(terminal) = open() else { return Ok(None) };
    let broken = |cause| Fault::new(Kind::Interrupted, "terminal", "cannot ask on the terminal").cause(cause);
    let mut quiet = Quiet::new(terminal.try_clone().map_err(broken)?).map_err(broken)?;
    let typed = answer_on(terminal, question);
    // The typed line's end was not shown either.
    quiet.0.write_all(b"\n").ok();
    let typed = typed?;
    Ok(Some(Secret::new(typed.expose().trim_end_matches(['\n', '\r']))))
}

fn answer_on(mut terminal: File, question: &str) -> Result<Secret, Fault> {
    let broken = |cause| Fault::new(Kind::Interrupted, "terminal", "cannot ask on the terminal").cause(cause);
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(broken)?;
    // Byte by byte into memory that does not move: a reader's own buffer would keep what was typed.
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while line.len() < LONGEST_LINE && line.last() != Some(&b'\n') {
        let mut byte = [0];
        match terminal.read(&mut byte).map_err(broken)? {
            0 => break,
            _ => line.push(byte[0]),
        }
    }
    if line.is_empty() {
        return Err(Fault::new(Kind::Interrupted, "terminal", "nothing was typed"));
    }
    String::from_utf8(line)
        .map(Secret::new)
        .map_err(|_| Fault::new(Kind::Config, "terminal", "what was typed is no text (UTF-8)"))
}

/// A terminal that shows nothing of what is typed, until this goes.
struct Quiet(File, Termios);

impl Quiet {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self(terminal, before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        tcsetattr(&self.0, OptionalActions::Now, &self.1).ok();
    }
}

/// In the background a read would stop this process, and everybody who waits for its lock.
fn open() -> Option<File> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    let foreground = rustix::termios::tcgetpgrp(&terminal).ok()?;
    (foreground == rustix::process::getpgrp()).then_some(terminal)
}
