//! As much of XML as POMs and `maven-metadata.xml` need: elements, their text, and nothing that reaches outside.
//!
//! A document type is refused, because it may name other files and grow without bound; entities other than XML's own
//! five are left out.

use std::fmt::Write as _;

use quick_xml::{Reader, events::Event};

/// Deeper than any POM.
const DEEPEST: usize = 64;

/// An element: its children in order, and the text between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Self>,
}

impl Element {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn with_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), children: Vec::new() }
    }

    /// The root element of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    open.push(Self::new(start.local_name().as_ref()));
                    if open.len() > DEEPEST {
                        return None;
                    }
                }
                Event::Empty(start) => {
                    let child = Self::new(start.local_name().as_ref());
                    let Some(parent) = open.last_mut() else { return Some(child) };
                    parent.children.push(child);
                }
                Event::Text(text) => {
                    if let Some(parent) = open.last_mut() {
                        parent.text.push_str(&text);
                    }
                }
                Event::GeneralRef(name) => {
                    if let Some(parent) = open.last_mut() {
                        parent.text.extend(entity(&name));
                    }
                }
                Event::End(_) => {
                    let mut done = open.pop()?;
                    done.text = done.text.trim().to_owned();
                    let Some(parent) = open.last_mut() else { return Some(done) };
                    parent.children.push(done);
                }
                Event::DocType(_) | Event::Eof => return None,
                Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child, unless it is blank.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The children called `name` of the child called `group`.
    pub(crate) fn each<'a>(&'a self, group: &str, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.child(group).into_iter().flat_map(|found| &found.children).filter(move |child| child.name == name)
    }

    /// As a document.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut text, 0);
        text
    }

    fn write(&self, into: &mut String, depth: usize) {
        let (indent, name) = ("  ".repeat(depth), &self.name);
        if self.children.is_empty() {
            let text = self.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            writeln!(into, "{indent}<{name}>{text}</{name}>").ok();
            return;
        }
        writeln!(into, "{indent}<{name}>").ok();
        self.children.iter().for_each(|child| child.write(into, depth + 1));
        writeln!(into, "{indent}</{name}>").ok();
    }
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code =
                digits.strip_prefix('x').map_or_else(|| digits.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
            code.and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_reaches_outside_is_refused() {
        assert_eq!(Element::parse(b"<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x>&a;</x>"), None);
        assert_eq!(Element::parse(b"<x>&other;y</x>").unwrap().text, "y");
        assert_eq!(Element::parse("<x>".repeat(100).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[a-zA-Z0-9<>&\"' .]{0,30}", junk: Vec<u8>) {
            let root = Element { children: vec![Element::with_text("b", text.trim())], ..Element::new("a") };
            prop_assert_eq!(Element::parse(root.render().as_bytes()), Some(root));
            Element::parse(&junk);
        }
    }
}
