//! Small rules: how long a file may be, that nothing unfinished is left.

#![cfg(test)]

use crate::house::sources::{Source, sources};

const LONGEST: usize = 500;

/// Files that may be longer, each with its reason.
const LONG: [(&str, &str); 0] = [];

/// Written in two parts, so that this file is not its own finding.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX:"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
];

fn too_long(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().map(|source| (source, source.text.lines().count()));
    let long = long.filter(|(source, lines)| *lines > LONGEST && !LONG.iter().any(|(path, _)| *path == source.path));
    long.map(|(source, lines)| format!("{}: {lines} lines, at most {LONGEST}", source.path)).collect()
}

fn unfinished(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            if UNFINISHED.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

/// Tests that a document names, as `module::what_it_claims`, and that are nowhere in a file of that module.
fn unknown_tests(document: &Source, code: &[Source]) -> Vec<String> {
    let is_claim = |name: &str| {
        let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.matches('_').count() > 2 && name.chars().all(usual)
    };
    let is_there = |module: &str, name: &str| {
        let call = format!("fn {name}(");
        code.iter().any(|file| file.path.split(['/', '.']).any(|part| part == module) && file.text.contains(&call))
    };
    let quoted = document.text.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| text.rsplit_once("::")).filter(|(_, name)| is_claim(name));
    let unknown = named.filter(|(module, name)| !is_there(module.rsplit("::").next().unwrap_or(module), name));
    unknown.map(|(module, name)| format!("{}: {module}::{name}", document.path)).collect()
}

#[test]
fn tests_that_documents_name_are_there() {
    let code = sources(&[".rs"]);
    let unknown = sources(&[".md"]).iter().flat_map(|document| unknown_tests(document, &code)).collect::<Vec<_>>();
    assert_eq!(unknown, Vec::<String>::new());
    let text = "| it ends | `tidy::tests_that_documents_name_are_there`, `tidy::nobody_has_ever_written_this` |";
    let planted = Source { path: "a.md".into(), text: text.into() };
    assert_eq!(unknown_tests(&planted, &code), ["a.md: tidy::nobody_has_ever_written_this"]);
}

#[test]
fn no_file_is_too_long_to_read_at_a_sitting() {
    assert_eq!(too_long(&sources(&[".rs", ".py"])), Vec::<String>::new());
    let long = Source { path: "a.rs".into(), text: "x\n".repeat(501) };
    assert_eq!(too_long(&[long]), ["a.rs: 501 lines, at most 500"]);
}

#[test]
fn nothing_is_left_for_later() {
    assert_eq!(unfinished(&sources(&[".rs", ".py", ".toml", ".md", ".sh"])), Vec::<String>::new());
    let planted = Source { path: "a.rs".into(), text: format!("fn a() {{\n    // {} later\n}}\n", UNFINISHED[0]) };
    assert_eq!(unfinished(&[planted]).len(), 1);
}

#[test]
fn every_rust_file_says_first_what_it_is_for() {
    let without = sources(&[".rs"]).into_iter().filter(|source| !source.text.starts_with("//!"));
    assert_eq!(without.map(|source| source.path).collect::<Vec<_>>(), Vec::<String>::new());
}

/// Other systems differ in `host` alone.
#[test]
fn only_host_asks_which_system_it_runs_on() {
    let asks = concat!("cfg(target", "_os");
    let found = sources(&[".rs"]).into_iter().filter(|source| source.text.contains(asks));
    let found: Vec<String> = found.map(|source| source.path).filter(|path| !path.starts_with("crates/host/")).collect();
    assert_eq!(found, Vec::<String>::new());
}
