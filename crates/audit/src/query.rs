//! Finds records in log files. Lines that are not whole are passed over here: saying so is `verify`'s business.

use std::{fs, path::PathBuf};

use bowline_base::{Fault, Kind, Timestamp};
use serde_json::{Map, Value};

use crate::chain::Parsed;

/// What to look for; nothing set finds every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Records about this profile.
    pub profile: Option<String>,
    /// Records of this event, by its name.
    pub event: Option<String>,
    /// Records from this moment on.
    pub since: Option<Timestamp>,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The number of its line.
    pub line: u64,
    /// The whole line.
    pub text: String,
    /// Its fields.
    pub fields: Map<String, Value>,
}

impl Found {
    /// A text field, or a field of the client.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// Who asked, for a table.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        let client = self.fields.get("client")?;
        let text =
            |name: &str| client.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        match text("address") {
            Some(address) => Some(format!("{address} {}", text("user_agent").unwrap_or_default()).trim().to_owned()),
            None => {
                let pid = text("pid").map(|pid| format!(" pid {pid}")).unwrap_or_default();
                Some(format!("{} uid {}{pid}", text("program").unwrap_or_default(), text("uid")?).trim().to_owned())
            }
        }
    }
}

impl Filter {
    /// The records in the bytes of a log file, in order. Where files begin and checkpoints are no records.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let whole = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)];
        whole.split(|byte| *byte == b'\n').filter_map(|line| self.take(line)).collect()
    }

    fn take(&self, bytes: &[u8]) -> Option<Found> {
        let line = Parsed::read(bytes)?;
        let wanted = line.fields.contains_key("outcome")
            && self.profile.as_deref().is_none_or(|profile| line.text("profile") == Some(profile))
            && self.event.as_deref().is_none_or(|event| line.event() == event)
            && self.since.is_none_or(|since| line.at().is_some_and(|at| at >= since));
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        wanted.then_some(Found { line: line.seq, text, fields: line.fields })
    }
}

/// Names and contents of `files`, as [`crate::verify()`] takes them.
///
/// # Errors
/// One of them cannot be read: a `Config` fault that names it.
pub fn read_files(files: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let cannot =
            |cause| Fault::new(Kind::Config, "audit", format!("cannot read `{}`", path.display())).cause(cause);
        fs::read(path).map(|bytes| (name, bytes)).map_err(cannot)
    };
    files.iter().map(read).collect()
}
