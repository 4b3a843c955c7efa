//! Lines to a stream that somebody else keeps: `docker logs`, journald.

use std::io::Write;

use bowline_base::{Fault, Kind};

use super::Sink;

/// A stream, one line a record.
pub struct Stdout(Box<dyn Write + Send>);

impl Stdout {
    /// Writes to `stream`, which the caller opened.
    #[must_use]
    pub fn new(stream: Box<dyn Write + Send>) -> Self {
        Self(stream)
    }
}

impl std::fmt::Debug for Stdout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stdout")
    }
}

impl Sink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn take(&mut self, line: &str) -> Result<(), Fault> {
        let written = self.0.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.0.flush());
        written.map_err(|cause| {
            Fault::new(Kind::Unreachable, "audit", "cannot write the audit log to stdout").cause(cause)
        })
    }
}
