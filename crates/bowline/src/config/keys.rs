//! What every key of `bowline.toml` is for: the tables of `docs/reference/keys.md`, which are the one place where this
//! is written. A test holds them against what the parser knows; this file parses no configuration.

use super::mistakes::did_you_mean;

const REFERENCE: &str = include_str!("../../../../docs/reference/keys.md");

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `artifacts.cache.max-size`; what the user names himself is `NAME`.
    pub(crate) path: &'static str,
    /// What may be written, as an example.
    pub(crate) written: &'static str,
    /// What holds without it.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) meaning: &'static str,
}

/// All of them, by section.
pub(crate) fn all() -> impl Iterator<Item = Key> {
    REFERENCE.lines().filter_map(row)
}

/// The key that `asked` names with those below it, or all of a section; `[[grant]]` and `grant[0]` are `grant`.
pub(crate) fn below(asked: &str) -> Vec<Key> {
    let asked = path_of(asked);
    all().filter(|key| is_at_or_below(key.path, &asked)).collect()
}

/// What was probably meant where there is no such key.
pub(crate) fn meant(asked: &str) -> Option<String> {
    let usual = path_of(asked).to_lowercase().replace('_', "-");
    if below(&usual).is_empty() { nearest(&usual).map(ToOwned::to_owned) } else { Some(usual) }
}

fn nearest(asked: &str) -> Option<&'static str> {
    let last = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    all()
        .map(|key| key.path)
        .find(|path| last(path) == asked)
        .or_else(|| did_you_mean(asked, all().map(|key| key.path)))
}

/// Whether the reference itself says `text`: then it is no secret of anybody.
pub(crate) fn is_documented(text: &str) -> bool {
    REFERENCE.contains(text)
}

/// Without the brackets of a header and the number of an entry.
fn path_of(asked: &str) -> String {
    let header = asked.trim().trim_start_matches('[').trim_end_matches("]]");
    let mut parts = header.split('[');
    let first = parts.next().unwrap_or_default().trim_end_matches(']').to_owned();
    parts.fold(first, |path, part| {
        let after = part.trim_start_matches(|c: char| c.is_ascii_digit());
        path + after.strip_prefix(']').unwrap_or(after)
    })
}

fn row(line: &'static str) -> Option<Key> {
    let mut cells = line.strip_prefix("| `")?.trim_end_matches([' ', '|']).split(" | ");
    let path = cells.next()?.trim_end_matches('`');
    let (written, default, meaning) = (cells.next()?, cells.next()?, cells.next()?);
    Some(Key { path, written: bare(written), default: bare(default), meaning })
}

/// Without the quotes of Markdown, where they go around the whole.
fn bare(cell: &'static str) -> &'static str {
    let inner = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
    inner.filter(|inner| !inner.contains('`')).unwrap_or(cell)
}

/// A name of the user's own stands where the reference says `NAME`.
fn is_at_or_below(path: &str, asked: &str) -> bool {
    let mut parts = path.split('.');
    asked.split('.').all(|wanted| parts.next().is_some_and(|part| part == "NAME" || part == wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::parse;

    /// Every table that has documented keys, with their names.
    fn documented() -> BTreeMap<String, BTreeSet<String>> {
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in all() {
            let (table, name) = key.path.rsplit_once('.').unwrap();
            tables.entry(table.replace("NAME", "site")).or_default().insert(name.to_owned());
        }
        // An identity has one kind so far; the names are the user's.
        tables
    }

    /// What the parser says that it knows in `table`, asked by a key that it cannot know.
    fn known(table: &str) -> BTreeSet<String> {
        let repeated = ["grant", "artifacts.repository"].contains(&table);
        let header = if repeated { format!("[[{table}]]") } else { format!("[{table}]") };
        let mistakes = parse(&format!("{header}\nqqqq = 1\n")).unwrap_err();
        let said = mistakes.iter().map(ToString::to_string).find(|said| said.contains("qqqq")).unwrap();
        let (_, list) = said.split_once("known are ").unwrap_or_else(|| panic!("{table}: {said}"));
        list.split(", ").map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_reference_has_every_key_of_the_parser_and_no_other() {
        let documented = documented();
        assert!(documented.len() > 10, "{documented:?}");
        for (table, keys) in &documented {
            assert_eq!(*keys, known(table), "[{table}]");
        }
    }

    #[test]
    fn every_section_of_the_parser_is_in_the_reference() {
        let said = parse("qqqq = 1\n").unwrap_err()[0].to_string();
        let (_, sections) = said.split_once("known are ").unwrap();
        for section in sections.split(", ") {
            assert!(!below(section).is_empty(), "[{section}]");
        }
    }

    #[test]
    fn a_key_is_found_by_its_path_its_section_and_nearly() {
        let paths = |asked: &str| below(asked).iter().map(|key| key.path).collect::<Vec<_>>();
        assert_eq!(paths("artifacts.cache.max-size"), ["artifacts.cache.max-size"]);
        assert_eq!(paths("[daemon]"), ["daemon.listen", "daemon.keep-fresh", "daemon.landlock"]);
        assert_eq!(paths("identity.hut.roles-anywhere.role"), ["identity.NAME.roles-anywhere.role"]);
        assert_eq!(paths("artifacts.cache.max"), Vec::<&str>::new());
        assert_eq!(paths("artifacts.repository[0].from"), ["artifacts.repository.from"]);
        assert_eq!(paths("[[grant]]"), paths("grant[1]"));
        for (asked, known) in [
            ("max-size", "artifacts.cache.max-size"),
            ("artifacts.cache.maxsize", "artifacts.cache.max-size"),
            ("ARTIFACTS", "artifacts"),
            ("metadata_ttl", "artifacts.metadata-ttl"),
            ("Artifacts.Metadata_TTL", "artifacts.metadata-ttl"),
        ] {
            assert_eq!(meant(asked).as_deref(), Some(known), "{asked}");
        }
        let key = below("artifacts.cache.max-size")[0];
        assert_eq!((key.written, key.default), ("\"20 GiB\"", "\"20 GiB\""));
    }
}
