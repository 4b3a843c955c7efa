//! docs/security.md names a test for each promise: it must be there under that name.

#![cfg(test)]

use std::fs;

use crate::{house::sources::sources, place};

/// Names shorter than this are files and words, not claims.
const SHORTEST_CLAIM: usize = 25;

/// The functions that a page names, without what stands before their own names.
fn claims(page: &str) -> Vec<&str> {
    let spoken = page.split('`').skip(1).step_by(2);
    let last = spoken.filter_map(|words| words.rsplit(['.', ':', ' ']).next());
    let is_name = |word: &&str| {
        word.len() >= SHORTEST_CLAIM
            && word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    last.filter(is_name).collect()
}

#[test]
fn every_promise_names_a_test_that_there_is() {
    let page = fs::read_to_string(place::root().join("docs/security.md")).unwrap();
    let code = sources(&[".rs"]);
    let is_there = |name: &&str| code.iter().any(|source| source.text.contains(&format!("fn {name}()")));
    let found = claims(&page);
    assert!(found.len() > 10, "{found:?}");
    assert_eq!(found.into_iter().filter(|name| !is_there(name)).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(claims("| `x::there_is_no_test_of_this_name` |"), ["there_is_no_test_of_this_name"]);
}
