//! docs/security.md names a test for each promise, docs/from for each promise of a program that is replaced: it must be
//! there under that name. Where there is none, docs/from says why.

#![cfg(test)]

use std::fs;

use crate::{house::sources::sources, place};

/// Names shorter than this are files and words, not claims.
const SHORTEST_CLAIM: usize = 25;

/// How the last cell of a line without a test begins.
const NO_TEST: &str = "no test";

/// The functions that a page names, without what stands before their own names.
fn claims(page: &str) -> Vec<&str> {
    let spoken = page.split('`').skip(1).step_by(2);
    let last = spoken.filter_map(|words| words.rsplit(['.', ':', ' ']).next());
    let is_name = |word: &&str| {
        word.len() >= SHORTEST_CLAIM
            && word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    last.filter(is_name).collect()
}

/// The last cell of each line of the tables whose last column is `shown by`.
fn shown_by(page: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let row = line.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
        let Some(last) = row.and_then(|row| row.rsplit('|').next()).map(str::trim) else {
            inside = false;
            continue;
        };
        if inside && !last.starts_with("---") {
            cells.push(last);
        }
        inside |= last == "shown by";
    }
    cells
}

/// Those of `names` that are no test.
fn missing<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let code = sources(&[".rs"]);
    let is_there = |name: &str| code.iter().any(|source| source.text.contains(&format!("fn {name}(")));
    names.iter().copied().filter(|name| !is_there(name)).collect()
}

#[test]
fn every_promise_names_a_test_that_there_is() {
    let page = fs::read_to_string(place::root().join("docs/security.md")).unwrap();
    let found = claims(&page);
    assert!(found.len() > 10, "{found:?}");
    assert_eq!(missing(&found), Vec::<&str>::new());
    assert_eq!(claims("| `x::there_is_no_test_of_this_name` |"), ["there_is_no_test_of_this_name"]);
}

#[test]
fn every_promise_of_a_predecessor_has_a_test_or_a_reason() {
    let pages = sources(&[".md"]);
    let pages: Vec<_> = pages.iter().filter(|page| page.path.starts_with("docs/from/")).collect();
    assert!(pages.len() > 5);
    for page in pages {
        let cells = shown_by(&page.text);
        assert!(cells.len() > 5, "{} shows nothing", page.path);
        let empty: Vec<_> = cells.iter().filter(|cell| claims(cell).is_empty() && !cell.starts_with(NO_TEST)).collect();
        assert_eq!(empty, Vec::<&&str>::new(), "{}: neither a test nor a reason", page.path);
        let named: Vec<&str> = cells.iter().flat_map(|cell| claims(cell)).collect();
        assert_eq!(missing(&named), Vec::<&str>::new(), "{}", page.path);
    }
}

#[test]
fn a_line_without_a_test_is_found() {
    let page = "| a | b |\n| --- | --- |\n| x | y |\n\n| promise | shown by |\n| --- | --- |\n| kept | |\n| as well | no test: why |\n\n| c |\n";
    assert_eq!(shown_by(page), ["", "no test: why"]);
}
