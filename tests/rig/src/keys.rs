//! Keys, made by the real `wg`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::Outcome;

/// A pair in base64, of this test alone.
#[derive(Clone, Debug)]
pub struct Keys {
    /// As `wg genkey` prints it.
    pub private: String,
    /// As `wg pubkey` prints it.
    pub public: String,
}

impl Keys {
    /// A new pair.
    ///
    /// # Errors
    /// There is no `wg`.
    pub fn new() -> Outcome<Self> {
        let private = wg("genkey", "")?;
        let public = wg("pubkey", &private)?;
        Ok(Self { private, public })
    }
}

/// A key that both ends share beforehand.
///
/// # Errors
/// There is no `wg`.
pub fn preshared_key() -> Outcome<String> {
    wg("genpsk", "")
}

fn wg(what: &str, input: &str) -> Outcome<String> {
    let mut child = Command::new("wg").arg(what).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("its input is piped")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    } else {
        Err(format!("`wg {what}` failed").into())
    }
}
