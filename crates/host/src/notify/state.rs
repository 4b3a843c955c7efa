//! What was said and what has still to be brought, on disk: a restart repeats nothing and loses nothing.

use std::{collections::BTreeMap, fs, io, path::Path};

use bowline_base::atomic;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{ledger::Ledger, outbox::Outbox};

const KIND: &str = "bowline-notify";
const VERSION: u64 = 1;

/// Everything that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    kind: String,
    version: u64,
    pub(super) ledger: Ledger,
    /// By the name of the channel.
    pub(super) outboxes: BTreeMap<String, Outbox>,
}

impl Default for State {
    fn default() -> Self {
        Self { kind: KIND.to_owned(), version: VERSION, ledger: Ledger::default(), outboxes: BTreeMap::new() }
    }
}

impl State {
    /// What `path` holds. One that cannot be used is put aside: the worst that follows is a message that comes twice.
    pub(super) fn read(path: &Path) -> Self {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                warn!(path = %path.display(), %error, "what was notified before cannot be read; it is begun anew");
                return Self::default();
            }
        };
        let read = serde_json::from_str(&text).ok();
        read.filter(|state: &Self| state.kind == KIND && state.version == VERSION).unwrap_or_else(|| {
            let aside = path.with_extension("json.bak");
            fs::rename(path, &aside).ok();
            warn!(path = %path.display(), aside = %aside.display(), "what was notified before is of another version or broken; it is put aside and begun anew");
            Self::default()
        })
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Replaces the file whole.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        atomic::private_directory(directory)?;
    }
    atomic::write_private(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_what_is_strange_is_put_aside() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/notify.json");
        let mut state = State::default();
        state.ledger.tell(5, &crate::notify::tests::login("corp"));
        write(&path, &state.text()).unwrap();
        assert_eq!(State::read(&path).text(), state.text());
        for strange in [state.text().replace("\"version\":1", "\"version\":2"), "{".to_owned()] {
            write(&path, &strange).unwrap();
            assert_eq!(State::read(&path).text(), State::default().text());
            assert_eq!(fs::read_to_string(path.with_extension("json.bak")).unwrap(), strange);
        }
    }
}
