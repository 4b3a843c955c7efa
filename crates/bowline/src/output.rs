//! The only place that writes to stdout and stderr: data on the one, talk on the other.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::{self, IsTerminal as _, Write as _};

use bowline_base::{Fault, Kind, Secret};

/// Writes data to stdout. A reader that went away (`| head`) is no failure.
pub(crate) fn data(text: &str) -> Result<(), Fault> {
    bytes(text.as_bytes())
}

/// The same for data that is no text.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::new(Kind::Refused, "stdout", "cannot write to stdout").cause(error))
        }
        _ => Ok(()),
    }
}

/// Writes credentials to stdout, because the user asked for them there.
pub(crate) fn secret(text: &Secret) -> Result<(), Fault> {
    data(text.expose())
}

/// Says something to the person, on stderr.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Says what went wrong.
pub(crate) fn fault(fault: &Fault) {
    eprint!("{}", crate::report::fault(fault));
}

/// Replaces the last line of a terminal with `text`.
pub(crate) fn live(text: &str) {
    eprint!("\r\x1b[2K{text}");
    io::stderr().flush().ok();
}

/// Whether a person looks at stderr.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}
