//! Fixtures, and the programs of others.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use bowline_base::Secret;
use bowline_vault::{
    Keys, ProfileName,
    store::{Contents, Entry, Insist, Recipient, Recipients, StoreId, Unlocked},
};

/// The passphrase of every protected key in `tests/fixtures`.
pub(crate) const PASSPHRASE: &str = "correct horse";

/// Ends the test early, visibly: `cargo xtask test` counts these lines.
macro_rules! skip {
    ($($why:tt)*) => {{
        eprintln!("skipped: {}", format_args!($($why)*));
        return;
    }};
}
pub(crate) use skip;

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

pub(crate) fn public(name: &str) -> String {
    String::from_utf8(fixture(&format!("{name}.pub"))).unwrap()
}

pub(crate) fn passphrase() -> Secret {
    Secret::new(PASSPHRASE)
}

pub(crate) fn recipient(name: &str) -> Recipient {
    Recipient::from_line(&public(name)).unwrap().0
}

pub(crate) fn unlocked(name: &str) -> Unlocked {
    Unlocked::ssh_key(&fixture(name), Some(&passphrase())).unwrap()
}

pub(crate) fn name(name: &str) -> ProfileName {
    ProfileName::new(name).unwrap()
}

pub(crate) fn entry(key_id: &str) -> Entry {
    let keys = Keys {
        key_id: Secret::new(key_id),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        session_token: None,
    };
    Entry { keys, added: "2026-11-22T02:00:00Z".to_owned() }
}

/// A store with one profile, `build`.
pub(crate) fn contents(recipients: Vec<Recipient>) -> Contents {
    let mut contents = Contents::new(StoreId::new([3; 16]), Recipients::new(recipients, Insist::OnOne).unwrap());
    contents.profiles.insert(name("build"), entry("AKIAIOSFODNN7EXAMPLE"));
    contents
}

/// A program on the path; `None` where it is not installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin", "/bin"].into_iter().map(|folder| Path::new(folder).join(name)).find(|p| p.exists())
}

/// The Python of `cargo xtask test`, which has `cryptography`.
pub(crate) fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("py");
    folder.join("requirements.txt").exists().then(|| folder.join("bin/python"))
}

/// A private file, as ssh-keygen wants its keys.
pub(crate) fn place(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    bowline_base::atomic::write_private(&path, bytes).unwrap();
    path
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Standard output of a program that has to succeed.
pub(crate) fn output(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
