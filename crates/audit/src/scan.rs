//! Looks for AWS keys that lie in a tree of files: scripts, compose files, `.env`, `.aws/credentials`.
//!
//! A finding names file, line and kind, and never the secret. A key id alone is no secret and no finding; AWS's own
//! examples, which end in `EXAMPLE` or `EXAMPLEKEY`, are none either.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A key id `AKIA…` with its secret nearby.
    LongLivedKey,
    /// A key id `ASIA…` with its secret nearby.
    TemporaryKey,
    /// A secret under the name that AWS gives it, without a key id nearby.
    SecretKey,
    /// A session token under the name that AWS gives it.
    SessionToken,
}

impl Kind {
    /// As JSON names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LongLivedKey => "long-lived-key",
            Self::TemporaryKey => "temporary-key",
            Self::SecretKey => "secret-key",
            Self::SessionToken => "session-token",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LongLivedKey => "long-lived access key with its secret",
            Self::TemporaryKey => "temporary access key with its secret",
            Self::SecretKey => "secret access key",
            Self::SessionToken => "session token",
        })
    }
}

/// Where something lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// From 1: where the secret is.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a tree holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// Text files that were read.
    pub files: usize,
    /// What could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// How many lines a secret may be away from its key id.
const NEARBY: usize = 5;
const LONGEST_FILE: u64 = 32 << 20;
/// As git does, a file with a zero byte near its beginning is no text.
const BEGINNING: usize = 8192;

/// Looks at the file or the whole tree below `path`. `.git`, binary files and symlinks are passed over.
///
/// # Errors
/// `path` itself cannot be looked at.
pub fn tree(path: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    if fs::metadata(path)?.is_dir() {
        folder(path, &mut scan);
    } else {
        file(path, &mut scan);
    }
    scan.findings.sort();
    Ok(scan)
}

/// The findings in one text: line and kind.
#[must_use]
pub fn text(text: &str) -> Vec<(usize, Kind)> {
    let lines: Vec<&str> = text.lines().collect();
    let ids: Vec<(usize, Kind)> =
        lines.iter().enumerate().flat_map(|(index, line)| key_ids(line).map(move |kind| (index, kind))).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if runs(line).any(is_secret) {
            let nearest = ids.iter().min_by_key(|(at, _)| at.abs_diff(index));
            match nearest.filter(|(at, _)| at.abs_diff(index) <= NEARBY) {
                Some((_, kind)) => found.push((index + 1, *kind)),
                None if is_named(line, "secretaccesskey") => found.push((index + 1, Kind::SecretKey)),
                None => {}
            }
        }
        let long = runs(line).any(|run| run.len() >= 100);
        if long && (is_named(line, "sessiontoken") || is_named(line, "securitytoken")) {
            found.push((index + 1, Kind::SessionToken));
        }
    }
    found
}

fn folder(path: &Path, scan: &mut Scan) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return scan.skipped.push((path.to_owned(), error.to_string())),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() && path.file_name().is_some_and(|name| name != ".git") => folder(&path, scan),
            Ok(found) if found.is_file() => file(&path, scan),
            Ok(_) => {}
            Err(error) => scan.skipped.push((path, error.to_string())),
        }
    }
}

fn file(path: &Path, scan: &mut Scan) {
    match fs::metadata(path).map(|found| found.len()) {
        Ok(length) if length > LONGEST_FILE => {
            return scan.skipped.push((path.to_owned(), "it is too large".to_owned()));
        }
        Ok(_) => {}
        Err(error) => return scan.skipped.push((path.to_owned(), error.to_string())),
    }
    match fs::read(path) {
        Ok(bytes) if bytes.iter().take(BEGINNING).any(|byte| *byte == 0) => {}
        Ok(bytes) => {
            scan.files += 1;
            let found = text(&String::from_utf8_lossy(&bytes)).into_iter();
            scan.findings.extend(found.map(|(line, kind)| Finding { file: path.to_owned(), line, kind }));
        }
        Err(error) => scan.skipped.push((path.to_owned(), error.to_string())),
    }
}

/// The longest pieces of a line that a key could be made of.
fn runs(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '/' || c == '+')).filter(|run| !run.is_empty())
}

fn key_ids(line: &str) -> impl Iterator<Item = Kind> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| {
        let shaped = word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        match word.get(..4) {
            _ if !shaped || word.ends_with("EXAMPLE") => None,
            Some("AKIA") => Some(Kind::LongLivedKey),
            Some("ASIA") => Some(Kind::TemporaryKey),
            _ => None,
        }
    })
}

/// 40 characters of base64 with all three sorts in it: neither a commit's hash nor a word.
fn is_secret(run: &str) -> bool {
    let has = |sort: fn(&char) -> bool| run.chars().any(|c| sort(&c));
    let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    run.len() == 40 && mixed && !run.ends_with("EXAMPLEKEY")
}

/// Whether the line has this name, however it is written: `aws_secret_access_key`, `SecretAccessKey`, `secret-access-key`.
fn is_named(line: &str, name: &str) -> bool {
    let letters: String = line.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
    letters.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written in two parts, so that this file is not its own finding.
    const ID: &str = concat!("AKIA", "Q3EGRT4ZK7XPLM2N");
    const TEMPORARY: &str = concat!("ASIA", "Q3EGRT4ZK7XPLM2N");
    const SECRET: &str = concat!("q7Yz0pLk3/Xw9VtR5nMb", "2sDfGh8jKl1+AaZzQwEr");

    #[test]
    fn keys_are_found_however_they_are_written() {
        let pairs = [
            format!("[default]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n"),
            format!("export AWS_ACCESS_KEY_ID={ID}\n\n# x\nexport AWS_SECRET_ACCESS_KEY='{SECRET}'\n"),
            format!("    environment:\n      - A={ID}\n      - B=\"{SECRET}\"\n"),
            format!("{{\"AccessKeyId\":\"{ID}\",\"SecretAccessKey\":\"{SECRET}\"}}"),
            format!("client = boto3.client('s3', '{ID}', '{SECRET}')"),
        ];
        for written in pairs {
            let found = text(&written);
            assert!(matches!(found[..], [(_, Kind::LongLivedKey)]), "{written}: {found:?}");
        }
        let token = "A/+b".repeat(50);
        let whole =
            format!("AWS_ACCESS_KEY_ID={TEMPORARY}\nAWS_SECRET_ACCESS_KEY={SECRET}\nAWS_SESSION_TOKEN={token}\n");
        assert_eq!(text(&whole), [(2, Kind::TemporaryKey), (3, Kind::SessionToken)]);
        assert_eq!(text(&format!("secretAccessKey: {SECRET}")), [(1, Kind::SecretKey)]);
    }

    #[test]
    fn what_is_no_key_is_no_finding() {
        let far = format!("{ID}{}{SECRET}", "\n".repeat(NEARBY + 1));
        let commit = format!("{ID} 3f786850e387550fdab836ed7e6dc881de23001b");
        let example = "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        for harmless in [ID, SECRET, &far, &commit, example, &format!("{ID} {SECRET}x")] {
            assert_eq!(text(harmless), [], "{harmless}");
        }
    }

    #[test]
    fn a_tree_is_searched_without_git_binaries_and_links() {
        let home = tempfile::tempdir().unwrap();
        let keys = format!("{ID}\n{SECRET}\n");
        for folder in [".git", ".aws"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let write =
            |name: &str, bytes: &[u8]| bowline_base::atomic::write(&home.path().join(name), bytes, 0o644).unwrap();
        write(".git/config", keys.as_bytes());
        write(".aws/credentials", keys.as_bytes());
        write("image.bin", &[b"\0".as_slice(), keys.as_bytes()].concat());
        write("plain.txt", b"nothing");
        std::os::unix::fs::symlink(".aws/credentials", home.path().join("link")).unwrap();
        let scan = tree(home.path()).unwrap();
        let finding = Finding { file: home.path().join(".aws/credentials"), line: 2, kind: Kind::LongLivedKey };
        assert_eq!((scan.findings, scan.files, scan.skipped), (vec![finding], 2, vec![]));
        assert!(tree(&home.path().join("absent")).is_err());
    }
}
