//! Words of commands that people paste into a shell.

use std::{io, path::Path};

/// `word` as a shell reads it back.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `path` as a shell reads it back.
#[must_use]
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// What to type where the secret in the file at `path` could not be read because of `cause`. A file that is there may hold
/// a secret that is in use: it is never to be written over.
#[must_use]
pub fn to_have_a_secret_in(path: &Path, cause: &io::Error) -> String {
    let path = quoted_path(path);
    match cause.kind() {
        io::ErrorKind::NotFound => {
            format!("write it there, for this user to read: umask 077; openssl rand -hex 32 > {path}")
        }
        io::ErrorKind::PermissionDenied => format!("let this user read it: ls -l {path}"),
        io::ErrorKind::InvalidData => format!("it has to be text: file {path}"),
        _ => format!("ls -ld {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back_as_it_is() {
        for (word, shown) in [("/h/a", "/h/a"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("a;b", "'a;b'")]
        {
            assert_eq!(quoted(word), shown);
        }
    }

    #[test]
    fn only_a_secret_that_is_not_there_is_to_be_written() {
        use io::ErrorKind::{InvalidData, IsADirectory, NotFound, PermissionDenied};
        let advice = |kind: io::ErrorKind| to_have_a_secret_in(Path::new("/etc/my keys/k"), &kind.into());
        assert!(advice(NotFound).ends_with("openssl rand -hex 32 > '/etc/my keys/k'"));
        for there in [PermissionDenied, InvalidData, IsADirectory] {
            assert!(!advice(there).contains('>'), "{there}");
        }
    }
}
