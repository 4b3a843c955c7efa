//! The login-needed file: appears when a person has to sign in, vanishes when the session is good again.

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Mutex};

use bowline_base::atomic;
use tracing::warn;

/// One file with one paragraph for each session that needs a login. Never holds a secret.
#[derive(Debug)]
pub struct LoginNotice {
    path: PathBuf,
    needed: Mutex<BTreeMap<String, String>>,
}

impl LoginNotice {
    /// Keeps the notice at `path`, which may hold the notice of another process.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, needed: Mutex::new(BTreeMap::new()) }
    }

    /// Removes what a former process left there: for the daemon, which alone knows how things stand.
    #[must_use]
    pub fn afresh(self) -> Self {
        fs::remove_file(&self.path).ok();
        self
    }

    /// Says that `session` needs a login; `text` names what is affected and the command to type.
    pub fn raise(&self, session: &str, text: String) {
        let vanished = !self.path.exists();
        self.change(|needed| needed.insert(session.to_owned(), text.clone()).as_ref() != Some(&text) || vanished);
    }

    /// Says that `session` is good again.
    pub fn clear(&self, session: &str) {
        self.change(|needed| needed.remove(session).is_some());
    }

    /// Says exactly what is in `all`, by name.
    pub(crate) fn replace(&self, all: impl Iterator<Item = (String, String)>) {
        let all: BTreeMap<String, String> = all.collect();
        self.change(|needed| std::mem::replace(needed, all.clone()) != all);
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<String, String>) -> bool) {
        let mut needed = self.needed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !edit(&mut needed) {
            return;
        }
        if let Err(error) = self.write(&needed) {
            warn!(path = %self.path.display(), %error, "cannot write the login notice");
        }
    }

    fn write(&self, needed: &BTreeMap<String, String>) -> io::Result<()> {
        if needed.is_empty() {
            return fs::remove_file(&self.path)
                .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
        }
        if let Some(directory) = self.path.parent() {
            atomic::private_directory(directory)?;
        }
        let text: Vec<&str> = needed.values().map(String::as_str).collect();
        atomic::write(&self.path, (text.join("\n\n") + "\n").as_bytes(), 0o644)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_with_the_first_session_and_vanishes_with_the_last() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/login_required.txt");
        let notice = LoginNotice::new(path.clone());
        notice.raise("corp", "run `bowline login corp`".to_owned());
        notice.raise("lab", "run `bowline login lab`".to_owned());
        notice.clear("corp");
        assert_eq!(fs::read_to_string(&path).unwrap(), "run `bowline login lab`\n");
        notice.clear("lab");
        assert!(!path.exists());
    }
}
