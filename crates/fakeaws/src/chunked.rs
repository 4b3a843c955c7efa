//! The `aws-chunked` body of uploads: sizes in hexadecimal, chunks, then trailers with checksums.

use bytes::Bytes;

/// A body without its framing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unframed {
    pub(crate) body: Bytes,
    /// Lower-case names.
    pub(crate) trailers: Vec<(String, String)>,
}

/// Takes the framing off; `None` if it is broken anywhere.
pub(crate) fn unframe(mut rest: &[u8]) -> Option<Unframed> {
    let mut body = Vec::new();
    loop {
        let (line, after) = line(rest)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some((text, after)) = line(rest).filter(|(text, _)| !text.is_empty()) {
        let (name, value) = text.split_once(':')?;
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = after;
    }
    Some(Unframed { body: body.into(), trailers })
}

/// The IEEE CRC-32 of `bytes`, as `x-amz-checksum-crc32` carries it before base64.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

fn line(rest: &[u8]) -> Option<(&str, &[u8])> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_trailers_are_read_and_broken_framing_is_refused() {
        let framed = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        let unframed = unframe(framed).unwrap();
        assert_eq!(unframed.body, "hello world");
        assert_eq!(unframed.trailers, [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())]);
        assert_eq!(unframe(b"9\r\nhello\r\n0\r\n\r\n"), None);
        assert_eq!(unframe(b"5\r\nhello"), None);
        assert_eq!(crc32(b"hello world"), 0x0d4a_1185);
    }
}
