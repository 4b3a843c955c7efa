//! Keys and certificates for tests, made by the real `openssl` command.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A directory with a CA in it: `ca.key`, `ca.pem`.
pub(crate) struct Ca(tempfile::TempDir);

pub(crate) const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
pub(crate) const ISSUER: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
pub(crate) const P256: &str = "ecparam -name prime256v1 -genkey -noout";

impl Ca {
    pub(crate) fn new() -> Self {
        let ca = Self(tempfile::tempdir().unwrap());
        ca.key("ca", P256);
        ca.request("ca");
        ca.write("ca.ext", ISSUER);
        ca.run("x509 -req -in ca.csr -signkey ca.key -days 3650 -sha256 -extfile ca.ext -out ca.pem");
        ca
    }

    /// `name.key` and `name.pem`, issued by this CA.
    pub(crate) fn issue(&self, name: &str, make: &str, extensions: &str) {
        self.key(name, make);
        self.certify(name, extensions, "ca", "-sha256 -days 30 -set_serial 0x8f00000000000000000000000000000000000001");
    }

    /// `name.pem` for `name.key`, issued by `issuer`.
    pub(crate) fn certify(&self, name: &str, extensions: &str, issuer: &str, options: &str) {
        self.request(name);
        self.write(&format!("{name}.ext"), extensions);
        let files = format!("-in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -extfile {name}.ext -out {name}.pem");
        self.run(&format!("x509 -req {files} {options}"));
    }

    pub(crate) fn key(&self, name: &str, make: &str) {
        let (command, options) = make.split_once(' ').unwrap_or((make, ""));
        // The number of bits has to be the last word.
        self.run(&format!("{command} -out {name}.key {options}"));
    }

    fn request(&self, name: &str) {
        self.run(&format!("req -new -key {name}.key -subj /O=Bowline/CN={name} -out {name}.csr"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    #[allow(dead_code, reason = "two test binaries share this file, and one of them reads no bytes")]
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        bowline_base::atomic::write_private(&self.path(name), content.as_ref()).unwrap();
    }

    /// Runs `openssl` with these words in the CA's directory.
    pub(crate) fn run(&self, words: &str) -> String {
        openssl(self.0.path(), words)
    }
}

fn openssl(directory: &Path, words: &str) -> String {
    let done = Command::new("openssl").args(words.split_whitespace()).current_dir(directory).output();
    let done = done.unwrap_or_else(|error| {
        panic!("these tests need the `openssl` command, which `cargo xtask test` installs on Debian as root: {error}")
    });
    assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
