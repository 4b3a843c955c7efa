//! Bytes that each user has used, on disk: a quota goes on counting after a restart, whatever ended the process.
//!
//! The file is text, one user a line, replaced whole. It says only how much, never where to.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use bowline_base::atomic;

use crate::{PublicKey, Stats};

const HEAD: &str = "bowline-usage 1";

/// How much each user has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage(pub BTreeMap<PublicKey, u64>);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The system does not give it.
    #[error("cannot use the usage file `{path}`")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It is none, or of a newer program.
    #[error("`{path}` line {line} is not one of a usage file: `{HEAD}`, then a key and a number a line")]
    Format {
        /// Which.
        path: String,
        /// Counted from 1.
        line: usize,
    },
}

impl Usage {
    /// What a running tunnel has counted.
    #[must_use]
    pub fn of(stats: &Stats) -> Self {
        Self(stats.peers.iter().map(|(key, peer)| (*key, peer.used)).collect())
    }

    /// How much `user` has used.
    #[must_use]
    pub fn used(&self, user: PublicKey) -> u64 {
        self.0.get(&user).copied().unwrap_or(0)
    }

    /// Takes over newer numbers. Who is not in them keeps his old one: a user who is added again is not a new one.
    pub fn update(&mut self, newer: &Self) {
        self.0.extend(newer.0.iter().map(|(key, used)| (*key, *used)));
    }

    /// Reads the file; none is one without users.
    ///
    /// # Errors
    /// [`UsageError`]: nothing is guessed from a damaged file, which would give quotas anew.
    pub fn load(path: &Path) -> Result<Self, UsageError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(UsageError::File { path: path.display().to_string(), source }),
        };
        Self::parse(&text).map_err(|line| UsageError::Format { path: path.display().to_string(), line })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`UsageError::File`]; the old file is whole then.
    pub fn save(&self, path: &Path) -> Result<(), UsageError> {
        let failed = |source| UsageError::File { path: path.display().to_string(), source };
        atomic::write_private(path, self.text().as_bytes()).map_err(failed)
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (key, used) in &self.0 {
            let _ = writeln!(text, "{key} {used}");
        }
        text
    }

    /// Fails with the line.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(1);
        }
        let pair = |line: &str| {
            let (key, used) = line.split_once(' ')?;
            Some((key.parse().ok()?, used.parse().ok()?))
        };
        let pairs = lines.enumerate().map(|(index, line)| pair(line).ok_or(index + 2));
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_survive_and_users_who_are_away_keep_theirs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("usage");
        let [here, away] = [PublicKey([1; 32]), PublicKey([2; 32])];
        assert_eq!(Usage::load(&path).unwrap(), Usage::default());
        let mut usage = Usage([(here, 10), (away, 5)].into());
        usage.update(&Usage([(here, 70)].into()));
        usage.save(&path).unwrap();
        let again = Usage::load(&path).unwrap();
        assert_eq!((again.used(here), again.used(away), again.used(PublicKey([3; 32]))), (70, 5, 0));
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_the_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("usage");
        let key = PublicKey([1; 32]);
        for (text, line) in
            [("".to_owned(), 1), ("bowline-usage 2\n".into(), 1), (format!("{HEAD}\n{key} 1\n{key} x\n"), 3)]
        {
            atomic::write_private(&path, text.as_bytes()).unwrap();
            let error = Usage::load(&path).unwrap_err();
            assert!(matches!(error, UsageError::Format { line: told, .. } if told == line), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(users: BTreeMap<[u8; 32], u64>) {
            let usage = Usage(users.into_iter().map(|(key, used)| (PublicKey(key), used)).collect());
            prop_assert_eq!(Usage::parse(&usage.text()), Ok(usage));
        }
    }
}
