//! A `.tar.gz` of a few small text files, as every `tar` opens it: ustar blocks in a gzip file that compresses nothing.
//! Pure: the same files at the same time are the same bytes.

use crate::crc32::crc32;

const BLOCK: usize = 512;
/// The most that a stored block of deflate takes.
const STORED: usize = 0xffff;

/// One file: its name below the archive's directory, and its text.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// The archive, all of it below `directory`, made at `seconds` of Unix time.
pub(super) fn tar_gz(directory: &str, files: &[File], seconds: i64) -> Vec<u8> {
    let mut tar = Vec::new();
    for File { name, text } in files {
        let path = format!("{directory}/{name}");
        tar.extend(header(&path, text.len(), seconds));
        tar.extend(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks end it.
    tar.resize(tar.len() + 2 * BLOCK, 0);
    gzip(&tar)
}

fn header(path: &str, length: usize, seconds: i64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{length:011o}\0"));
    put(136, &format!("{:011o}\0", seconds.max(0)));
    // The checksum is made over blanks in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Deflate, no name, no time, made on Unix.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut pieces = bytes.chunks(STORED).peekable();
    while let Some(piece) = pieces.next() {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        file.push(u8::from(pieces.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(piece);
    }
    file.extend(crc32(bytes).to_le_bytes());
    file.extend(u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or_default().to_le_bytes());
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_opens_it_and_finds_what_was_put_in() {
        let large = "line\n".repeat(30_000);
        let files = [File { name: "a.txt", text: "one\n".to_owned() }, File { name: "large.txt", text: large.clone() }];
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.tar.gz");
        bowline_base::atomic::write_private(&path, &tar_gz("bundle", &files, 1_700_000_000)).unwrap();
        let opened =
            std::process::Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(home.path()).output().unwrap();
        assert!(opened.status.success() && opened.stderr.is_empty(), "{opened:?}");
        assert_eq!(std::fs::read_to_string(home.path().join("bundle/a.txt")).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(home.path().join("bundle/large.txt")).unwrap(), large);
    }
}
