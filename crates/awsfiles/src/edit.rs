//! Changes to a document that leave every other line as it is: set and remove keys and sections.
//!
//! New things go where `aws configure set` puts them. Every change is read back before it counts: if the key does not
//! say what was asked for, or any other section says something else than before, nothing is changed.

use std::{collections::BTreeMap, ops::Range};

use base::{Fault, Kind as FaultKind};
use bowline_base as base;

use crate::{
    Content, Document, Mistake,
    config::Meaning,
    scan::{self, Kind},
    sections::{INHERITED, Section},
    words::quoted,
};

/// Which section of which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionName {
    /// A profile in the config file: `[default]` or `[profile NAME]`, however that is written.
    Profile(String),
    /// A profile in the credentials file: `[NAME]`, literally.
    Credentials(String),
    /// `[sso-session NAME]` in the config file.
    SsoSession(String),
    /// `[services NAME]` in the config file.
    Services(String),
}

/// Why a change was not made. Never shows the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file has a mistake, so no AWS tool can read it; it is not touched.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// What was to be written would read back as something else: a line break, blanks at an end, a `]` or a `#`.
    #[error("`{key}` of `[{header}]` cannot be written so that AWS tools read it back")]
    Unwritable {
        /// Between the brackets.
        header: String,
        /// The key, or the section's own name if there is none.
        key: String,
    },
    /// The key has a plain value, so nothing can stand below it.
    #[error("`{key}` of `[{header}]` is a plain value, not a block")]
    NotNested {
        /// Between the brackets.
        header: String,
        /// The key.
        key: String,
    },
}

impl From<EditError> for Fault {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Mistake(mistake) => mistake.into(),
            EditError::Unwritable { .. } => Self::new(FaultKind::Config, "AWS file", error.to_string())
                .hint("leave out line breaks and blanks at the ends"),
            EditError::NotNested { ref key, .. } => {
                let hint = format!("remove the line of `{key}` first");
                Self::new(FaultKind::Config, "AWS file", error.to_string()).hint(hint)
            }
        }
    }
}

impl Document {
    /// Sets `key` of `section` to `value`, making the section at the end of the file if there is none.
    ///
    /// A changed line becomes `key = value`; a new one goes below the last line of the section. A value that stands
    /// there already changes no byte. Where two headers mean the same profile, the one that counts is changed.
    ///
    /// # Errors
    /// [`EditError`]; then the document is unchanged.
    pub fn set(&mut self, section: &SectionName, key: &str, value: &str) -> Result<(), EditError> {
        let key = key.to_lowercase();
        let changed = match self.place(section) {
            None => self.with_section(section, &[format!("{key} = {value}")]),
            Some(place) => match self.lines_of_key(&place, &key) {
                Some(lines) => self.with_value(lines, value),
                None => self.with_new_lines(&place, &[format!("{key} = {value}")]),
            },
        };
        self.accept(changed, section, &key, |found| is_text(found, value))
    }

    /// Sets `inner` in the indented block below `key`, making block and section if there are none.
    ///
    /// # Errors
    /// [`EditError`]; then the document is unchanged.
    pub fn set_nested(&mut self, section: &SectionName, key: &str, inner: &str, value: &str) -> Result<(), EditError> {
        let key = key.to_lowercase();
        let block = [format!("{key} ="), format!("    {inner} = {value}")];
        let changed = match self.place(section) {
            None => self.with_section(section, &block),
            Some(place) => match self.lines_of_key(&place, &key) {
                Some(lines) => self
                    .with_nested(lines, inner, value)
                    .ok_or_else(|| EditError::NotNested { header: section.header(), key: key.clone() })?,
                None => self.with_new_lines(&place, &block),
            },
        };
        self.accept(
            changed,
            section,
            &key,
            |found| matches!(found, Some(Content::Nested(block)) if block.get(inner).is_some_and(|text| text == value)),
        )
    }

    /// Removes `key` and the lines that continue it; `false` if it is not there.
    ///
    /// # Errors
    /// [`EditError`]; then the document is unchanged.
    pub fn remove(&mut self, section: &SectionName, key: &str) -> Result<bool, EditError> {
        let key = key.to_lowercase();
        let Some(lines) = self.place(section).and_then(|place| self.lines_of_key(&place, &key)) else {
            return self.own_sections().map(|_| false).map_err(EditError::from);
        };
        let changed = self.spliced(lines, Vec::new());
        self.accept(changed, section, &key, |found| found.is_none()).map(|()| true)
    }

    /// Removes a section with its settings and the blank lines below; comments above the next one stay. All headers
    /// that mean it are removed. `false` if it is not there.
    ///
    /// # Errors
    /// [`EditError`]; then the document is unchanged.
    pub fn remove_section(&mut self, section: &SectionName) -> Result<bool, EditError> {
        self.own_sections()?;
        let mut found = false;
        let before = self.clone();
        while let Some(place) = self.place(section) {
            let changed = self.spliced(place.start..self.end_with_blanks(&place), Vec::new());
            if let Err(error) = self.accept(changed, section, "", |_| true) {
                *self = before;
                return Err(error);
            }
            found = true;
        }
        Ok(found)
    }

    /// Header to the line before the next header; the last such section, because that is the one that counts.
    fn place(&self, section: &SectionName) -> Option<Range<usize>> {
        let is_wanted = |kind: &Kind| matches!(kind, Kind::Header(header) if section.is_named_by(header));
        let start = self.lines.iter().rposition(|line| is_wanted(&line.kind))?;
        let length = self.lines[start + 1..].iter().position(|line| matches!(line.kind, Kind::Header(_)));
        Some(start..length.map_or(self.lines.len(), |length| start + 1 + length))
    }

    fn lines_of_key(&self, place: &Range<usize>, key: &str) -> Option<Range<usize>> {
        let is_wanted = |line: usize| matches!(&self.lines[line].kind, Kind::Key(found) if found == key);
        let start = place.clone().find(|line| is_wanted(*line))?;
        let is_key = |line: usize| matches!(self.lines[line].kind, Kind::Key(_));
        let next = (start + 1..place.end).find(|line| is_key(*line)).unwrap_or(place.end);
        Some(start..self.end_of_settings(&(start..next)))
    }

    /// One past the last line in `lines` that is neither blank nor comment.
    fn end_of_settings(&self, lines: &Range<usize>) -> usize {
        let is_setting = |line: &usize| !matches!(self.lines[*line].kind, Kind::Blank | Kind::Comment);
        lines.clone().rev().find(is_setting).map_or(lines.end, |last| last + 1)
    }

    fn end_with_blanks(&self, place: &Range<usize>) -> usize {
        let end = self.end_of_settings(place);
        (end..place.end).find(|line| self.lines[*line].kind != Kind::Blank).unwrap_or(place.end)
    }

    fn with_section(&self, section: &SectionName, lines: &[String]) -> Self {
        let header = format!("[{}]", section.header());
        let added = std::iter::once(header).chain(lines.iter().cloned()).collect();
        self.spliced(self.lines.len()..self.lines.len(), added)
    }

    fn with_new_lines(&self, place: &Range<usize>, lines: &[String]) -> Self {
        let at = self.end_of_settings(place);
        let indent = self.indent_before(place.end);
        self.spliced(at..at, lines.iter().map(|line| format!("{indent}{line}")).collect())
    }

    /// An indented header would continue the value of a key that stands less deep above it.
    fn indent_before(&self, next_header: usize) -> &str {
        self.lines.get(next_header).map_or("", |line| scan::indent(&line.raw))
    }

    fn with_value(&self, lines: Range<usize>, value: &str) -> Self {
        let old = &self.lines[lines.start].raw;
        let (indent, body) = old.split_at(scan::indent(old).len());
        let key = body.find(['=', ':']).map_or(body, |at| scan::trim(&body[..at]));
        self.spliced(lines, vec![format!("{indent}{key} = {value}")])
    }

    /// `None` if the key has a plain value.
    fn with_nested(&self, lines: Range<usize>, inner: &str, value: &str) -> Option<Self> {
        let (_, plain) = scan::key_and_value(&self.lines[lines.start].raw)?;
        if !plain.is_empty() {
            return None;
        }
        let is_inner = |line: &usize| {
            let text = &self.lines[*line].raw;
            self.lines[*line].kind == Kind::Continuation
                && text.split_once('=').is_some_and(|(k, _)| scan::trim(k) == inner)
        };
        let existing = lines.clone().rev().find(is_inner);
        let last = lines.end - 1;
        let indent = match existing.unwrap_or(last) {
            key_line if key_line == lines.start => format!("{}    ", scan::indent(&self.lines[key_line].raw)),
            inner_line => scan::indent(&self.lines[inner_line].raw).to_owned(),
        };
        let replaced = existing.map_or(lines.end..lines.end, |line| line..line + 1);
        Some(self.spliced(replaced, vec![format!("{indent}{inner} = {value}")]))
    }

    /// With `lines` replaced by `new` ones, which get the file's line ending.
    fn spliced(&self, lines: Range<usize>, new: Vec<String>) -> Self {
        let ending = self.line_ending();
        let mut raw: Vec<String> = self.lines.iter().map(|line| line.raw.clone()).collect();
        if !new.is_empty()
            && let Some(before) = lines.start.checked_sub(1)
            && !raw[before].ends_with(['\n', '\r'])
        {
            raw[before].push_str(ending);
        }
        raw.splice(lines, new.into_iter().map(|line| line + ending));
        self.with_lines(&raw)
    }

    /// Takes over `changed` if it says of `key` what was wanted and of all other sections what was said before.
    fn accept(
        &mut self,
        changed: Self,
        section: &SectionName,
        key: &str,
        wanted: impl Fn(Option<&Content>) -> bool,
    ) -> Result<(), EditError> {
        let name = self.place(section).map_or_else(|| section.header(), |place| self.header_at(place.start));
        let (inherited, before) = self.own_sections()?;
        let unwritable = || EditError::Unwritable { header: section.header(), key: key.to_owned() };
        let (also_inherited, after) = changed.own_sections().map_err(|_| unwritable())?;
        let target = |sections: &[Section]| sections.iter().find(|section| section.name == name).cloned();
        let (old, new) = (target(&before), target(&after));
        if wanted(content(old.as_ref(), key)) && !key.is_empty() {
            return Ok(());
        }
        let same = says(&[inherited], INHERITED) == says(&[also_inherited], INHERITED)
            && others(&before, &name) == others(&after, &name)
            && wanted(content(new.as_ref(), key))
            && other_keys(old.as_ref(), key) == other_keys(new.as_ref(), key);
        if !same {
            return Err(unwritable());
        }
        *self = changed;
        Ok(())
    }

    fn header_at(&self, index: usize) -> String {
        match &self.lines[index].kind {
            Kind::Header(name) => name.clone(),
            _ => String::new(),
        }
    }
}

impl SectionName {
    /// The text between the brackets, as a new section gets it.
    #[must_use]
    pub fn header(&self) -> String {
        match self {
            Self::Profile(name) if name == "default" => name.clone(),
            Self::Profile(name) => format!("profile {}", quoted(name)),
            Self::Credentials(name) => name.clone(),
            Self::SsoSession(name) => format!("sso-session {}", quoted(name)),
            Self::Services(name) => format!("services {}", quoted(name)),
        }
    }

    fn is_named_by(&self, header: &str) -> bool {
        match (self, Meaning::of(header)) {
            (Self::Credentials(name), _) => name == header,
            (Self::Profile(name), Meaning::Profile(found))
            | (Self::SsoSession(name), Meaning::Session(found))
            | (Self::Services(name), Meaning::Services(found)) => *name == found,
            _ => false,
        }
    }
}

type Said<'a> = BTreeMap<&'a str, &'a Content>;

fn is_text(content: Option<&Content>, value: &str) -> bool {
    match content {
        Some(Content::Text(text)) => text == value,
        Some(Content::Secret(secret)) => secret.expose() == value,
        Some(Content::Nested(_)) | None => false,
    }
}

fn content<'a>(section: Option<&'a Section>, key: &str) -> Option<&'a Content> {
    section?.settings.get(key).map(|setting| &setting.content)
}

fn said<'a>(section: &'a Section, but: &str) -> Said<'a> {
    let settings = section.settings.iter().filter(|(key, _)| key.as_str() != but);
    settings.map(|(key, setting)| (key.as_str(), &setting.content)).collect()
}

fn other_keys<'a>(section: Option<&'a Section>, key: &str) -> Option<Said<'a>> {
    Some(said(section?, key)).filter(|_| !key.is_empty()).filter(|said| !said.is_empty())
}

fn others<'a>(sections: &'a [Section], name: &str) -> Vec<(&'a str, Said<'a>)> {
    sections
        .iter()
        .filter(|section| section.name != name)
        .map(|section| (section.name.as_str(), said(section, "")))
        .collect()
}

fn says<'a>(sections: &'a [Section], name: &str) -> Option<Said<'a>> {
    sections.iter().find(|section| section.name == name).map(|section| said(section, ""))
}
