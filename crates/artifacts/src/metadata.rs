//! `maven-metadata.xml` of several places as one, the way a group repository has it.
//!
//! Versions, plugins and the files of a SNAPSHOT are united in the order of the places. `lastUpdated` is the newest; so are
//! `latest`, `release` and a SNAPSHOT's number, which come from the document that was updated last. What else is in a
//! document is the first place's.

use crate::xml::Element;

/// The names of one SNAPSHOT's files are united by these.
const FILE: [&str; 2] = ["classifier", "extension"];

/// Whether `key` is metadata that places may each have a part of.
pub(crate) fn is_metadata(key: &str) -> bool {
    key.rsplit('/').next() == Some("maven-metadata.xml")
}

/// All `documents` as one; `None` when one of them is no metadata.
pub(crate) fn unite(documents: &[&[u8]]) -> Option<String> {
    let read = |bytes: &&[u8]| Element::parse(bytes).filter(|root| root.name == "metadata");
    let roots: Vec<Element> = documents.iter().map(read).collect::<Option<_>>()?;
    let newest = roots.iter().rev().max_by_key(|root| updated(root))?;
    let mut united = Element::new("metadata");
    for name in ["groupId", "artifactId", "version"] {
        let first = roots.iter().find_map(|root| root.value(name));
        united.children.extend(first.map(|text| Element::with_text(name, text)));
    }
    united.children.extend(versioning(&roots, newest));
    let plugins = distinct(roots.iter().flat_map(|root| root.each("plugins", "plugin")), &["prefix"]);
    united.children.extend(group("plugins", plugins));
    Some(united.render())
}

/// 14 digits; a document without is the oldest.
fn updated(root: &Element) -> Option<&str> {
    root.child("versioning").and_then(|found| found.value("lastUpdated"))
}

fn versioning(roots: &[Element], newest: &Element) -> Option<Element> {
    let all: Vec<&Element> = roots.iter().filter_map(|root| root.child("versioning")).collect();
    let latest = newest.child("versioning").or(all.first().copied())?;
    let mut united = Element::new("versioning");
    for name in ["latest", "release"] {
        let text = latest.value(name).or_else(|| all.iter().find_map(|one| one.value(name)));
        united.children.extend(text.map(|text| Element::with_text(name, text)));
    }
    let snapshot = latest.child("snapshot").or_else(|| all.iter().find_map(|one| one.child("snapshot")));
    united.children.extend(snapshot.cloned());
    let versions = distinct(all.iter().flat_map(|one| one.each("versions", "version")), &[]);
    united.children.extend(group("versions", versions));
    let last = all.iter().filter_map(|one| one.value("lastUpdated")).max();
    united.children.extend(last.map(|text| Element::with_text("lastUpdated", text)));
    // The newest of each file first, so that it is the one that stays.
    let mut files: Vec<&Element> = all.iter().flat_map(|one| one.each("snapshotVersions", "snapshotVersion")).collect();
    files.sort_by(|one, other| other.value("updated").cmp(&one.value("updated")));
    united.children.extend(group("snapshotVersions", distinct(files.into_iter(), &FILE)));
    Some(united)
}

/// The first of those that are the same by the values of `names`; without names, by their text.
fn distinct<'a>(all: impl Iterator<Item = &'a Element>, names: &[&str]) -> Vec<Element> {
    let same = |one: &Element, other: &Element| match names {
        [] => one.text == other.text,
        names => names.iter().all(|name| one.value(name) == other.value(name)),
    };
    let mut kept: Vec<Element> = Vec::new();
    for one in all {
        if !kept.iter().any(|known| same(known, one)) {
            kept.push(one.clone());
        }
    }
    kept
}

fn group(name: &str, children: Vec<Element>) -> Option<Element> {
    (!children.is_empty()).then(|| Element { children, ..Element::new(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(versions: &[&str], latest: &str, updated: &str) -> String {
        let versions: String = versions.iter().map(|one| format!("<version>{one}</version>")).collect();
        format!(
            "<?xml version=\"1.0\"?><metadata><groupId>g</groupId><artifactId>a</artifactId><versioning><latest>{latest}</latest>\
             <versions>{versions}</versions><lastUpdated>{updated}</lastUpdated></versioning></metadata>"
        )
    }

    #[test]
    fn versions_are_united_and_the_newest_document_names_the_latest() {
        let (ours, theirs) =
            (document(&["1.0", "1.1"], "1.1", "20260101000000"), document(&["1.1", "2.0"], "2.0", "20260202000000"));
        let united = unite(&[ours.as_bytes(), theirs.as_bytes()]).unwrap();
        let root = Element::parse(united.as_bytes()).unwrap();
        let versioning = root.child("versioning").unwrap();
        let versions: Vec<_> = versioning.each("versions", "version").map(|one| one.text.as_str()).collect();
        assert_eq!(versions, ["1.0", "1.1", "2.0"]);
        assert_eq!(
            (versioning.value("latest"), versioning.value("lastUpdated")),
            (Some("2.0"), Some("20260202000000"))
        );
        assert_eq!((root.value("groupId"), root.value("artifactId")), (Some("g"), Some("a")));
        assert_eq!(unite(&[united.as_bytes(), ours.as_bytes()]).unwrap(), united, "what was united stays as it is");
    }

    #[test]
    fn plugins_and_snapshot_files_are_united_by_their_names() {
        let plugin = |prefix: &str, artifact: &str| {
            format!("<plugin><prefix>{prefix}</prefix><artifactId>{artifact}</artifactId></plugin>")
        };
        let one = format!("<metadata><plugins>{}{}</plugins></metadata>", plugin("a", "first"), plugin("b", "b"));
        let two = format!("<metadata><plugins>{}{}</plugins></metadata>", plugin("a", "second"), plugin("c", "c"));
        let united = unite(&[one.as_bytes(), two.as_bytes()]).unwrap();
        assert!(united.contains("first") && !united.contains("second") && united.contains("<prefix>c</prefix>"));
        let file = |value: &str, updated: &str| {
            format!(
                "<metadata><versioning><snapshotVersions><snapshotVersion><extension>jar</extension><value>{value}</value>\
                 <updated>{updated}</updated></snapshotVersion></snapshotVersions></versioning></metadata>"
            )
        };
        let united =
            unite(&[file("old", "20250101000000").as_bytes(), file("new", "20260101000000").as_bytes()]).unwrap();
        assert!(united.contains("new") && !united.contains("old"), "{united}");
    }

    #[test]
    fn what_is_no_metadata_is_not_united() {
        let good = document(&["1"], "1", "20260101000000");
        for bad in ["", "<html/>", "<metadata>", "\u{0}"] {
            assert_eq!(unite(&[good.as_bytes(), bad.as_bytes()]), None, "{bad}");
        }
        assert!(is_metadata("g/a/maven-metadata.xml") && is_metadata("maven-metadata.xml"));
        assert!(!is_metadata("g/a/maven-metadata.xml.sha1") && !is_metadata("x-maven-metadata.xml"));
    }
}
