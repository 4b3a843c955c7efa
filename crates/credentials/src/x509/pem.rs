//! PEM: blocks between `-----BEGIN X-----` and `-----END X-----`, whatever text stands around them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::flaw::Flaw;

/// One block.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
    /// It has the headers of OpenSSL's old encryption, which derives its key with one round of MD5.
    pub(super) old_encryption: bool,
}

/// Every block of `text`, in its order.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, Flaw> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let (mut body, mut old_encryption, mut ended) = (Zeroizing::new(String::new()), false, false);
        for line in lines.by_ref() {
            if line == end {
                ended = true;
                break;
            }
            old_encryption |= line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
            if !line.contains(':') {
                body.push_str(line);
            }
        }
        let der = STANDARD.decode(body.as_bytes()).ok().filter(|_| ended).map(Zeroizing::new);
        let der = der.ok_or_else(|| {
            let what = format!("has a `{label}` block that is cut off or is no base64");
            Flaw::new(what, "copy the file again, whole")
        })?;
        blocks.push(Block { label: label.to_owned(), der, old_encryption });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text_and_windows_line_ends() {
        let text = "subject=CN = x\r\n-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\n\r\n  -----BEGIN B B-----\nBA==\n-----END B B-----";
        let found: Vec<_> = blocks(text).unwrap().into_iter().map(|block| (block.label, block.der.to_vec())).collect();
        assert_eq!(found, [("A".to_owned(), vec![1, 2, 3]), ("B B".to_owned(), vec![4])]);
    }

    #[test]
    fn a_cut_block_is_told() {
        for text in ["-----BEGIN A-----\nAQID\n", "-----BEGIN A-----\nAQ$D\n-----END A-----"] {
            assert!(blocks(text).err().unwrap().to_string().contains("`A` block"), "{text}");
        }
    }
}
