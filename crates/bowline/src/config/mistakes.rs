//! One mistake in a configuration file: where it is, what is wrong, what was probably meant.

use std::{fmt, ops::Range, path::Path};

use bowline_base::{Fault, Kind};

/// A mistake; ordered by its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    message: String,
}

impl Mistake {
    /// A mistake at byte range `span` of `text`.
    pub(crate) fn at(text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1, message: message.into() }
    }

    /// For people: `file:line:column: message`.
    pub(crate) fn line_of(&self, file: &Path) -> String {
        format!("{}:{}:{}: {self}", file.display(), self.line, self.column)
    }

    /// Line and column.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.line, self.column)
    }

    /// What the TOML parser found.
    pub(crate) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().replace('\n', ", ");
        Self::at(text, &error.span().unwrap_or(0..0), message)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// More than anybody reads.
pub(crate) const MOST: usize = 100;

/// All mistakes of one file as a fault: a line each, `file:line:column: message`.
pub(crate) fn fault(path: &Path, mistakes: &[Mistake]) -> Fault {
    let lines: Vec<String> = mistakes.iter().map(|found| found.line_of(path)).collect();
    let count = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    Fault::new(Kind::Config, "bowline.toml", format!("{count} in `{}`\n{}", path.display(), lines.join("\n")))
        .hint(format!("mend them, then run `bowline check --config {}`", path.display()))
}

/// The known name that `word` was probably meant to be.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
