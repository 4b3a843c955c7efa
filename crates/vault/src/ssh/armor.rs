//! The text around a key: which `-----BEGIN …-----` it is, and the base64 between the lines.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The label of the first armor line of `text` (`OPENSSH PRIVATE KEY`), and what stands between it and its end line.
pub(super) fn find(text: &str) -> Option<(&str, Option<&str>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, body) = rest.split_once("-----")?;
    let end = format!("-----END {label}-----");
    Some((label, body.split_once(end.as_str()).map(|(inside, _)| inside)))
}

/// The bytes of an armored body; blanks and line ends do not count.
pub(super) fn decode(body: &str) -> Option<Vec<u8>> {
    let bare: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(bare).ok()
}
