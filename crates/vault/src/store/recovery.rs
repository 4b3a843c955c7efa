//! What to write down when a store is made: how to open it with nothing but an `age` program.

use std::path::Path;

use bowline_base::shell::quoted_path;

use super::recipients::{Recipient, Recipients};

/// One way into the store without us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whose: a comment, a fingerprint, `recovery key`.
    pub who: String,
    /// The exact command; it prints the JSON of all keys.
    pub command: String,
}

/// A command for every recipient that `age` itself can use.
#[must_use]
pub fn instructions(directory: &Path, recipients: &Recipients) -> Vec<Way> {
    let store = quoted_path(&directory.join("vault.age"));
    recipients.iter().filter_map(|recipient| way(recipient, directory, &store)).collect()
}

fn way(recipient: &Recipient, directory: &Path, store: &str) -> Option<Way> {
    let (who, identity) = match recipient {
        Recipient::Ssh { key, comment } => {
            let name = if comment.is_empty() { key.fingerprint() } else { comment.clone() };
            (format!("SSH key {name}"), "~/.ssh/THE-PRIVATE-KEY".to_owned())
        }
        Recipient::Recovery { .. } => ("recovery key, saved as a file".to_owned(), "RECOVERY-KEY-FILE".to_owned()),
        Recipient::Passphrase { .. } => ("passphrase".to_owned(), quoted_path(&directory.join("passphrase.age"))),
        Recipient::Agent(_) => return None,
    };
    Some(Way { who, command: format!("age --decrypt --identity {identity} {store}") })
}
