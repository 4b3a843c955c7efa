//! `~/.aws/config` and `~/.aws/credentials`: every text comes back byte for byte, an edit changes the lines of its own key
//! alone, and one that is refused changes nothing.

use std::path::Path;

use bowline_awsfiles::{Config, Document, EditError, SectionName};

/// Takes `bytes` for a file, reads it, and tries one edit after the other on it.
pub fn look(bytes: &[u8]) {
    let Ok(document) = Document::parse(Path::new("f"), bytes) else { return };
    assert!(document.to_bytes() == bytes, "it comes back");
    read(&document);
    for section in [SectionName::Profile("a".into()), SectionName::Credentials("default".into())] {
        edit(&document, |edited| edited.set(&section, "k", "NEW").map(|()| true));
        edit(&document, |edited| edited.set_nested(&section, "s3", "x", "NEW").map(|()| true));
        edit(&document, |edited| edited.remove(&section, "k"));
        let gone = |edited: &mut Document| edited.remove_section(&section);
        if gone(&mut document.clone()) == Ok(true) {
            let mut edited = document.clone();
            gone(&mut edited).ok();
            assert_eq!(gone(&mut edited), Ok(false), "it is gone");
        }
    }
}

fn read(document: &Document) {
    for files in [(Some(document), None), (None, Some(document))] {
        let Ok(config) = Config::read(files.0, files.1) else { continue };
        let names: Vec<String> = config.profiles().map(|profile| profile.name().to_owned()).collect();
        for name in names {
            config.resolve(&name).ok();
        }
    }
}

/// What is taken away is in one place and holds no header; done twice it is done once.
fn edit(document: &Document, act: impl Fn(&mut Document) -> Result<bool, EditError>) {
    let mut edited = document.clone();
    let Ok(true) = act(&mut edited) else {
        assert!(edited.to_bytes() == document.to_bytes(), "a refusal changes nothing");
        return;
    };
    let (before, after) = (text(document), text(&edited));
    assert!(edited.sections().is_ok(), "it can be read: {after:?}");
    let (before, after): (Vec<&str>, Vec<&str>) = (lines(&before), lines(&after));
    let same = |(one, other): &(&&str, &&str)| one == other;
    let first = before.iter().zip(&after).take_while(same).count();
    let last = before[first..].iter().rev().zip(after[first..].iter().rev()).take_while(same).count();
    let gone = &before[first..before.len() - last];
    // The last line of a file may get the line ending that it lacked.
    let kept = |line: &&&str| after.iter().any(|left| left.trim_end_matches(['\r', '\n']) == **line);
    let headers: Vec<_> = gone.iter().filter(|line| line.starts_with('[') && !kept(line)).collect();
    assert!(headers.is_empty(), "{headers:?} went from {before:?} to {after:?}");
    let mut again = edited.clone();
    act(&mut again).ok();
    assert!(again.to_bytes() == edited.to_bytes(), "done twice it is done once: {after:?}");
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).expect("only text is parsed")
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive(['\r', '\n']).collect()
}
