//! The person at the terminal, asked on the terminal itself: stdin and stdout belong to whoever runs us.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
};

use bowline_base::{BoxFuture, Fault, Kind, Secret};
use bowline_credentials::mfa::Prompt;

use crate::output;

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

    fn tell(&self, line: &str) {
        output::say(line);
    }
}

fn ask(question: &str) -> Result<Option<Secret>, Fault> {
    let Some(mut terminal) = open() else { return Ok(None) };
    let broken = |cause| Fault::new(Kind::Interrupted, "terminal", "cannot ask on the terminal").cause(cause);
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(broken)?;
    let mut line = String::new();
    let read = BufReader::new(terminal).read_line(&mut line).map_err(broken)?;
    if read == 0 {
        return Err(Fault::new(Kind::Interrupted, "terminal", "nothing was typed"));
    }
    Ok(Some(Secret::new(line)))
}

/// In the background a read would stop this process, and everybody who waits for its lock.
fn open() -> Option<File> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    let foreground = rustix::termios::tcgetpgrp(&terminal).ok()?;
    (foreground == rustix::process::getpgrp()).then_some(terminal)
}
