//! What is wrong with a key or certificate, and what to do about it; which file it is about is added where that is known.

use std::path::Path;

use bowline_base::{Fault, Kind};

/// The end of a sentence that begins with the file's name, and a hint in which `FILE` stands for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Flaw {
    what: String,
    fix: String,
}

impl Flaw {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// The fault that names the file.
    pub(super) fn of(&self, file: &Path) -> Fault {
        let name = file.display().to_string();
        Fault::new(Kind::Config, "x509", format!("`{name}` {}", self.what)).hint(self.fix.replace("FILE", &name))
    }
}
