//! Remembers every secret that was issued, so that a test can look for them where they must not be.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use bowline_base::{Secret, atomic};

/// Every secret ever issued, and the file that lists them too, if one was asked for.
pub(crate) struct Ledger {
    secrets: Vec<Secret>,
    file: Option<PathBuf>,
}

impl Ledger {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { secrets: Vec::new(), file }
    }

    /// Writes `text` down and gives it back as a secret.
    pub(crate) fn note(&mut self, text: String) -> Secret {
        let secret = Secret::new(text);
        self.secrets.push(secret.clone());
        if let Some(path) = &self.file
            && let Err(error) = append(path, &secret)
        {
            tracing::warn!(path = %path.display(), %error, "the ledger of fake secrets cannot be written");
        }
        secret
    }

    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

fn append(path: &PathBuf, secret: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(atomic::PRIVATE).open(path)?;
    file.write_all(format!("{}\n", secret.expose()).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_lists_every_secret_and_is_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secrets");
        let mut ledger = Ledger::new(Some(path.clone()));
        ledger.note("one".into());
        ledger.note("two".into());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ledger.secrets().len(), 2);
    }
}
