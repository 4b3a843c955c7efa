//! Lines of a file, one at a time and none longer than anything of ours: memory stays small whatever the file holds.

use std::io::{self, BufRead, Read as _};

/// Several times what the longest record comes to.
pub(crate) const LONGEST: usize = 256 * 1024;

/// What stood before the next newline, or before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A line, without its newline.
    Line,
    /// The end of the file, without a newline: a writer is at it, or was killed.
    Torn,
    /// More than any line of ours; only its beginning was read.
    TooLong,
}

/// Reads the next piece into `line`; `None` at the end of the file.
pub(crate) fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Piece>> {
    line.clear();
    if reader.take(LONGEST as u64 + 1).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    Ok(Some(if line.last() == Some(&b'\n') {
        line.pop();
        Piece::Line
    } else if line.len() > LONGEST {
        Piece::TooLong
    } else {
        Piece::Torn
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<(Piece, usize)> {
        let (mut reader, mut line) = (bytes, Vec::new());
        std::iter::from_fn(|| next(&mut reader, &mut line).unwrap().map(|piece| (piece, line.len()))).take(3).collect()
    }

    #[test]
    fn lines_torn_ends_and_endless_lines_are_told_apart() {
        assert_eq!(pieces(b""), []);
        assert_eq!(pieces(b"ab\n\nc"), [(Piece::Line, 2), (Piece::Line, 0), (Piece::Torn, 1)]);
        let long = vec![b'x'; 3 * LONGEST];
        assert_eq!(pieces(&long)[0], (Piece::TooLong, LONGEST + 1));
        assert_eq!(pieces(&[&long[..LONGEST - 1], b"\n"].concat()), [(Piece::Line, LONGEST - 1)]);
    }
}
