//! One AWS file, line by line, exactly as it stands on disk.
//!
//! A document knows where things stand, so that they can be changed in place. What they mean is told by
//! [`Document::sections`]; how they are changed by the edits of the `edit` module.

use std::{fmt, path::Path, sync::Arc};

use base::Secret;
use bowline_base as base;

use crate::{
    error::{Mistake, Problem},
    scan::{self, Kind},
    sections::Origin,
};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A parsed file that gives back its bytes unchanged.
#[derive(Clone)]
pub struct Document {
    pub(crate) file: Arc<Path>,
    pub(crate) marked: bool,
    pub(crate) lines: Vec<Line>,
}

/// A line with its ending, and what it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) raw: String,
    pub(crate) kind: Kind,
}

impl Document {
    /// Takes the bytes of `file` apart. Every UTF-8 text is taken, even one that no AWS tool can read:
    /// [`Document::sections`] judges. A byte order mark is accepted and kept (botocore refuses it).
    ///
    /// # Errors
    /// [`Problem::NotUtf8`] with the line.
    pub fn parse(file: impl Into<Arc<Path>>, bytes: &[u8]) -> Result<Self, Mistake> {
        let file = file.into();
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(&file, bytes, error.valid_up_to()))?;
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        let raw = scan::split_lines(unmarked.unwrap_or(text));
        Ok(Self { file, marked: unmarked.is_some(), lines: classified(raw) })
    }

    /// The bytes of the file: those that were parsed, but for what was edited since.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mark = if self.marked { String::from(BYTE_ORDER_MARK) } else { String::new() };
        let lines = self.lines.iter().map(|line| line.raw.as_str());
        std::iter::once(mark.as_str()).chain(lines).collect::<String>().into_bytes()
    }

    /// The file that this document was read from, as errors name it.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn origin(&self, index: usize) -> Origin {
        Origin { file: Arc::clone(&self.file), line: index + 1 }
    }

    /// Replaces the lines and looks at the text afresh: what a line is depends on those above it, and what was meant
    /// as one line may hold a line break.
    pub(crate) fn with_lines(&self, raw: &[String]) -> Self {
        let lines = classified(scan::split_lines(&raw.concat()));
        Self { file: Arc::clone(&self.file), marked: self.marked, lines }
    }

    /// The line ending in use: that of the first line, `\n` for a file without any.
    pub(crate) fn line_ending(&self) -> &'static str {
        let first = self.lines.first().map_or("", |line| line.raw.as_str());
        ["\r\n", "\n", "\r"].into_iter().find(|ending| first.ends_with(ending)).unwrap_or("\n")
    }
}

/// Shows no line: any of them may hold a secret.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {} lines)", self.file.display(), self.lines.len())
    }
}

/// Secrets among the lines are wiped when the document goes.
impl Drop for Line {
    fn drop(&mut self) {
        drop(Secret::new(std::mem::take(&mut self.raw)));
    }
}

fn classified(raw: Vec<String>) -> Vec<Line> {
    let kinds = scan::classify(raw.iter().map(String::as_str));
    raw.into_iter().zip(kinds).map(|(raw, kind)| Line { raw, kind }).collect()
}

fn not_utf8(file: &Arc<Path>, bytes: &[u8], valid: usize) -> Mistake {
    let line = 1 + bytes[..valid].iter().filter(|byte| **byte == b'\n').count();
    Mistake { origin: Origin { file: Arc::clone(file), line }, problem: Problem::NotUtf8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back_byte_for_byte(text in "(\u{feff}|\\[|\\]|=|:|#|;| |\t|\r|\n|\r\n|\\PC){0,60}") {
            let document = Document::parse(Path::new("f"), text.as_bytes()).unwrap();
            prop_assert_eq!(document.to_bytes(), text.into_bytes());
        }

        #[test]
        fn no_bytes_at_all_make_the_reader_panic(bytes: Vec<u8>) {
            if let Ok(document) = Document::parse(Path::new("f"), &bytes) {
                document.sections().ok();
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_line() {
        let mistake = Document::parse(Path::new("f"), b"[default]\na=\xff\n").unwrap_err();
        assert_eq!((mistake.origin.line, mistake.problem), (2, Problem::NotUtf8));
    }

    #[test]
    fn debug_shows_no_line() {
        let document = Document::parse(Path::new("f"), b"[a]\naws_secret_access_key = hunter2\n").unwrap();
        assert_eq!(format!("{document:?}"), "Document(f, 2 lines)");
    }
}
