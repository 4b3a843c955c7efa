//! What each line of an AWS file is, by the rules of Python's configparser that botocore reads with.
//!
//! This file knows lines only: which keys may stand twice, what a profile is, what a value means is told elsewhere.

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but blanks.
    Blank,
    /// Starts with `#` or `;`.
    Comment,
    /// `[name]`, whatever follows the last bracket.
    Header(String),
    /// `key = value`; the key in lower case.
    Key(String),
    /// Deeper than the key above, so part of its value.
    Continuation,
    /// Before the first section.
    Homeless,
    /// Neither `=` nor `:`.
    NoDelimiter,
    /// Nothing before the `=`.
    NoKey,
}

/// The kind of each line of a file, in order.
pub(crate) fn classify<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Kind> {
    let mut scanner = Scanner::default();
    lines.map(|line| scanner.kind(line)).collect()
}

/// Splits into lines, each with its ending: `\n`, `\r\n` or `\r`.
pub(crate) fn split_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        let end = if rest[at..].starts_with("\r\n") { at + 2 } else { at + 1 };
        lines.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// `key` and `value` of a line that has a delimiter, both trimmed, the key in lower case.
pub(crate) fn key_and_value(line: &str) -> Option<(String, &str)> {
    let line = trim(line);
    let at = line.find(['=', ':'])?;
    Some((trim(&line[..at]).to_lowercase(), trim(&line[at + 1..])))
}

/// Without the blanks around it, as Python sees blanks.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// The blanks in front of a line.
pub(crate) fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches(is_blank).len()]
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

#[derive(Default)]
struct Scanner {
    in_section: bool,
    after_key: bool,
    level: usize,
}

impl Scanner {
    fn kind(&mut self, line: &str) -> Kind {
        let text = trim(line);
        if text.is_empty() {
            return Kind::Blank;
        }
        if text.starts_with(['#', ';']) {
            return Kind::Comment;
        }
        let depth = indent(line).chars().count();
        if self.after_key && depth > self.level {
            return Kind::Continuation;
        }
        self.level = depth;
        self.header_or_key(text)
    }

    fn header_or_key(&mut self, text: &str) -> Kind {
        if let Some(name) = header(text) {
            (self.in_section, self.after_key) = (true, false);
            return Kind::Header(name.to_owned());
        }
        if !self.in_section {
            return Kind::Homeless;
        }
        match key_and_value(text) {
            None => Kind::NoDelimiter,
            Some((key, _)) => {
                self.after_key = !key.is_empty();
                if key.is_empty() { Kind::NoKey } else { Kind::Key(key) }
            }
        }
    }
}

/// The name up to the LAST bracket of the line, so that `[a]b]` is `a]b`.
fn header(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.rfind(']').filter(|end| *end > 0)?;
    Some(&inside[..end])
}
