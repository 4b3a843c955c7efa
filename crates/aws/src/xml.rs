//! XML answers as a small tree. No namespaces, no attributes: AWS puts nothing into them that we read.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};

/// What came is no XML document that AWS would send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotXml;

/// One element: its name without prefix, the text directly in it, and the elements in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// Reads a whole document. Refuses anything cut off, deeper than 32 elements, or with entities of its own.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NotXml> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotXml)?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().map_err(|_| NotXml)? {
                Event::Start(tag) if open.len() < DEEPEST => open.push(Self::named(tag.local_name().as_ref())),
                Event::Empty(tag) => match open.last_mut() {
                    Some(parent) => parent.children.push(Self::named(tag.local_name().as_ref())),
                    None => return Ok(Self::named(tag.local_name().as_ref())),
                },
                Event::End(_) => {
                    let done = open.pop().ok_or(NotXml)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => return Ok(done),
                    }
                }
                Event::Text(text) => add(&mut open, &text.xml10_content()),
                Event::CData(text) => add(&mut open, &text.xml10_content()),
                Event::GeneralRef(entity) => add(&mut open, &resolve(&entity)?),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Start(_) | Event::DocType(_) | Event::Eof => return Err(NotXml),
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the element at `path` below this one.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        let mut at = self;
        for name in path {
            at = at.children(name).next()?;
        }
        Some(&at.text)
    }

    /// The elements called `name` directly in this one.
    pub(crate) fn children(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element called `name` directly in this one, by value.
    pub(crate) fn take(self, name: &str) -> Option<Self> {
        self.children.into_iter().find(|child| child.name == name)
    }

    fn named(name: impl AsRef<str>) -> Self {
        Self { name: name.as_ref().to_owned(), ..Self::default() }
    }
}

/// AWS's answers nest about six deep.
const DEEPEST: usize = 32;

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<Cow<'static, str>, NotXml> {
    if let Some(letter) = entity.resolve_char_ref().map_err(|_| NotXml)? {
        return Ok(letter.to_string().into());
    }
    resolve_predefined_entity(entity).map(Cow::Borrowed).ok_or(NotXml)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_entities_and_prefixes_are_read() {
        let document = Element::parse(
            b"<?xml version=\"1.0\"?>\n<a:R xmlns:a=\"x\"><K> a &amp; &#x62;&#10;<![CDATA[<c>]]></K><E/></a:R>",
        )
        .unwrap();
        assert_eq!((document.name(), document.text_at(&["K"])), ("R", Some(" a & b\n<c>")));
        assert_eq!((document.text_at(&["E"]), document.text_at(&["F"])), (Some(""), None));
    }

    #[test]
    fn cut_off_foreign_or_hostile_documents_are_refused() {
        let deep = "<a>".repeat(10_000);
        for text in ["", "<a><b>", "<a></b>", "no", "{\"a\":1}", "<a>&lol;</a>", "<!DOCTYPE html><html></html>", &deep]
        {
            assert_eq!(Element::parse(text.as_bytes()), Err(NotXml), "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(NotXml));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[<>/a&;#x!\\[\\]?-]{0,60}") {
            let _ = (Element::parse(&bytes), Element::parse(text.as_bytes()));
        }
    }
}
