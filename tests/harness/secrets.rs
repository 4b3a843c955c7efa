//! Secrets that nobody issued but a story or the program has made: private keys, WireGuard's keys, recovery keys, tokens.
//! They are found by their form in the files of a story, and go to the secret scan with those of the fake AWS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Longer files are caches and programs.
const LONGEST: u64 = 256 * 1024;

/// Fields of our own documents that hold one.
const FIELDS: [&str; 5] = ["seed", "accessToken", "refreshToken", "clientSecret", "preshared_key"];

/// Every secret in the files below `folder`.
pub(crate) fn made_below(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = files(folder).iter().flat_map(|file| in_file(file)).collect();
    found.sort();
    found.dedup();
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() && entry.metadata().is_ok_and(|facts| facts.len() < LONGEST) => {
                found.push(entry.path());
            }
            _ => {}
        }
    }
    found
}

fn in_file(path: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    // A token of the endpoint, a key of the VPN's server: the whole file.
    let whole = [&["endpoint", "token"][..], &["wg", "server-private-key"]].iter().any(|end| ends_with(path, end));
    if whole { vec![text.trim().to_owned()] } else { in_text(&text) }
}

fn ends_with(path: &Path, end: &[&str]) -> bool {
    path.ends_with(end.iter().collect::<PathBuf>())
}

/// By form: PEM, wg(8), age, and fields of JSON.
fn in_text(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside_pem = false;
    for line in text.lines().map(str::trim) {
        let boundary = line.starts_with("-----");
        inside_pem = if boundary { line.contains("BEGIN") && line.contains("PRIVATE KEY") } else { inside_pem };
        let setting = line.split_once(" = ").filter(|(key, _)| ["PrivateKey", "PresharedKey"].contains(key));
        if inside_pem && !boundary && !line.contains(':') {
            found.push(line.to_owned());
        } else if let Some((_, value)) = setting {
            found.push(value.to_owned());
        } else if line.starts_with("AGE-SECRET-KEY-") {
            found.push(line.to_owned());
        }
    }
    found.extend(in_document(&serde_json::from_str(text).unwrap_or_default()));
    found
}

fn in_document(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let named = map.iter().filter(|(key, _)| FIELDS.contains(&key.as_str()));
            let own = named.filter_map(|(_, value)| value.as_str().map(ToOwned::to_owned));
            own.chain(map.values().flat_map(in_document)).collect()
        }
        Value::Array(values) => values.iter().flat_map(in_document).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn secrets_are_known_by_their_form() {
    let text = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nMIIB\n\
                [Interface]\nPrivateKey = wg1=\nPresharedKey = wg2=\nPublicKey = wg3=\nAGE-SECRET-KEY-1X\n";
    assert_eq!(in_text(text), ["MIGHAgEAMBMG", "wg1=", "wg2=", "AGE-SECRET-KEY-1X"]);
    assert_eq!(in_text(r#"{"a":[{"refreshToken":"r","region":"x"}],"seed":"s"}"#), ["s", "r"]);
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("endpoint/token", "t-t-t\n"), ("vpn/wg/server-private-key", "k\n"), ("token", "no form\n")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        bowline_base::atomic::write_private(&path, text.as_bytes()).unwrap();
    }
    assert_eq!(made_below(folder.path()), ["k", "t-t-t"]);
}
