//! What a file says: sections of settings, with the values joined, nested and inherited as botocore does.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use base::Secret;
use bowline_base as base;

use crate::{
    Document,
    error::{Mistake, Problem},
    scan::{self, Kind},
};

/// The section whose settings every other one inherits.
pub(crate) const INHERITED: &str = "DEFAULT";

const SECRET_KEYS: [&str; 3] = ["aws_secret_access_key", "aws_session_token", "aws_security_token"];

/// Where something stands, for messages: `path:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What stands to the right of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Plain text, possibly empty; continuation lines are joined by `\n`.
    Text(String),
    /// The text of a key that holds a secret.
    Secret(Secret),
    /// An empty value followed by an indented block of `key = value`; keys keep their case.
    Nested(BTreeMap<String, String>),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The value.
    pub content: Content,
    /// The line of its key.
    pub origin: Origin,
}

/// A section by the name in its brackets, with what it inherits from `[DEFAULT]`.
#[derive(Clone, Debug)]
pub struct Section {
    /// The text between the brackets, as it stands.
    pub name: String,
    /// The line of the header.
    pub origin: Origin,
    /// By key, in lower case.
    pub settings: BTreeMap<String, Setting>,
}

impl Document {
    /// The sections in the order of the file; `[DEFAULT]` is not among them but in all of them.
    ///
    /// # Errors
    /// The first [`Mistake`] for which botocore refuses the file.
    pub fn sections(&self) -> Result<Vec<Section>, Mistake> {
        let (inherited, mut sections) = self.own_sections()?;
        for section in &mut sections {
            for (key, setting) in &inherited.settings {
                section.settings.entry(key.clone()).or_insert_with(|| setting.clone());
            }
        }
        Ok(sections)
    }

    /// `[DEFAULT]` and the other sections, each with what stands in it and nothing more.
    pub(crate) fn own_sections(&self) -> Result<(Section, Vec<Section>), Mistake> {
        let mut reader = Reader {
            document: self,
            inherited: Section { name: INHERITED.to_owned(), origin: self.origin(0), settings: BTreeMap::new() },
            sections: Vec::new(),
            first_lines: BTreeMap::new(),
            in_inherited: false,
        };
        for (index, line) in self.lines.iter().enumerate() {
            match &line.kind {
                Kind::Blank | Kind::Comment | Kind::Continuation => {}
                Kind::Header(name) => reader.open(name, index)?,
                Kind::Key(key) => reader.add(key, index)?,
                Kind::Homeless | Kind::NoDelimiter if line.raw.trim_start().starts_with('[') => {
                    return Err(reader.mistake(index, Problem::OpenBracket));
                }
                Kind::Homeless => return Err(reader.mistake(index, Problem::Homeless)),
                Kind::NoDelimiter => return Err(reader.mistake(index, Problem::NoDelimiter)),
                Kind::NoKey => return Err(reader.mistake(index, Problem::NoKey)),
            }
        }
        Ok((reader.inherited, reader.sections))
    }

    /// The value of the key on line `index`, its continuation lines included.
    fn joined(&self, index: usize) -> String {
        let mut value = scan::key_and_value(&self.lines[index].raw).map_or("", |(_, value)| value).to_owned();
        for line in &self.lines[index + 1..] {
            match line.kind {
                Kind::Continuation => value.extend(["\n", scan::trim(&line.raw)]),
                Kind::Blank => value.push('\n'),
                Kind::Comment => {}
                _ => break,
            }
        }
        value.truncate(value.trim_end().len());
        value
    }
}

struct Reader<'a> {
    document: &'a Document,
    inherited: Section,
    sections: Vec<Section>,
    first_lines: BTreeMap<&'a str, usize>,
    in_inherited: bool,
}

impl<'a> Reader<'a> {
    fn open(&mut self, name: &'a str, index: usize) -> Result<(), Mistake> {
        self.in_inherited = name == INHERITED;
        if self.in_inherited {
            return Ok(());
        }
        if let Some(first) = self.first_lines.insert(name, index + 1) {
            return Err(self.mistake(index, Problem::DuplicateSection { name: name.to_owned(), first }));
        }
        let origin = self.document.origin(index);
        self.sections.push(Section { name: name.to_owned(), origin, settings: BTreeMap::new() });
        Ok(())
    }

    fn add(&mut self, key: &str, index: usize) -> Result<(), Mistake> {
        let content = self.content(key, index)?;
        let origin = self.document.origin(index);
        let section = if self.in_inherited { &mut self.inherited } else { last(&mut self.sections) };
        if let Some(first) = section.settings.get(key) {
            let first = first.origin.line;
            let problem = Problem::DuplicateKey { key: key.to_owned(), section: section.name.clone(), first };
            return Err(self.mistake(index, problem));
        }
        section.settings.insert(key.to_owned(), Setting { content, origin });
        Ok(())
    }

    fn content(&self, key: &str, index: usize) -> Result<Content, Mistake> {
        let value = self.document.joined(index);
        if SECRET_KEYS.contains(&key) {
            return Ok(Content::Secret(Secret::new(value)));
        }
        if !value.starts_with('\n') {
            return Ok(Content::Text(value));
        }
        let nested = value.lines().filter(|line| !line.is_empty()).map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((scan::trim(key).to_owned(), scan::trim(value).to_owned()))
        });
        let nested: Option<BTreeMap<_, _>> = nested.collect();
        let flat = || self.mistake(index, Problem::FlatNested { key: key.to_owned() });
        nested.map(Content::Nested).ok_or_else(flat)
    }

    fn mistake(&self, index: usize, problem: Problem) -> Mistake {
        Mistake { origin: self.document.origin(index), problem }
    }
}

fn last(sections: &mut [Section]) -> &mut Section {
    sections.last_mut().expect("the scanner calls a line a key only below a header")
}
