//! A file that something else keeps, read whole and away from the runtime; never one that grows without end or that
//! waits for a writer.

use std::{io, path::Path};

use tokio::{fs::File, io::AsyncReadExt as _};

/// What stands in the regular file at `path`, if it is at most `most` bytes.
///
/// # Errors
/// It is not there, cannot be read, is no regular file, or is longer.
pub async fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes into it.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path).await?.take(most + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > most { Err(io::Error::other(format!("it is longer than {most} bytes"))) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_small_regular_file_is_read() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("address");
        bowline_base::atomic::write(&file, b"12345", 0o644).unwrap();
        assert_eq!(read(&file, 5).await.unwrap(), b"12345");
        assert_eq!(read(&file, 4).await.unwrap_err().to_string(), "it is longer than 4 bytes");
        assert_eq!(read(home.path(), 4).await.unwrap_err().to_string(), "it is no regular file");
        assert_eq!(read(&home.path().join("gone"), 4).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let pipe = home.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read(&pipe, 4).await.is_err());
    }
}
