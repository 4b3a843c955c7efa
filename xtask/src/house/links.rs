//! Links of our Markdown pages lead somewhere: relative ones to a file that is there, `#anchors` to a heading of the page
//! that they name. Web addresses are not looked at: what others do to their pages must not fail our tests.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use crate::{
    house::sources::{Source, sources},
    place,
};

/// Headings of each page, as a browser is sent to them.
type Anchors = BTreeMap<PathBuf, Vec<String>>;

/// The lines of `text` that are no example.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// As GitHub makes them: lower case, words joined, marks left out, a number behind the second of a name.
fn anchors(text: &str) -> Vec<String> {
    let headings =
        prose(text).filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let mut found: Vec<String> = Vec::new();
    for heading in headings {
        let heading = link_texts(heading);
        let kept = |c: char| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
            _ => None,
        };
        let name: String = heading.trim().chars().filter_map(kept).collect();
        let number = found
            .iter()
            .filter(|known| **known == name || known.rsplit_once('-').is_some_and(|(stem, _)| stem == name))
            .count();
        found.push(if number == 0 { name } else { format!("{name}-{number}") });
    }
    found
}

/// A heading that is a link counts by its words.
fn link_texts(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, link)) = rest.split_once("](") {
        text.push_str(&before.replacen('[', "", 1));
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    text + rest
}

/// Targets of a line's links, code left out.
fn targets(line: &str) -> Vec<&str> {
    let spoken = line.split('`').step_by(2);
    // A link whose words are code is cut by it: what stands after the code begins with its end.
    let links = spoken.flat_map(|part| part.split("](").skip(1));
    links.filter_map(|rest| rest.split([')', ' ']).next()).filter(|target| !target.is_empty()).collect()
}

fn dead(page: &Source, exists: &impl Fn(&Path) -> bool, known: &Anchors) -> Vec<String> {
    let own = Path::new(&page.path);
    let folder = own.parent().unwrap_or(Path::new(""));
    let is_dead = |target: &&str| {
        if target.contains("://") || target.starts_with("mailto:") {
            return false;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = if path.is_empty() { own.to_path_buf() } else { plain(&folder.join(path)) };
        let no_heading = |anchors: &Vec<String>| !anchor.is_empty() && !anchors.iter().any(|known| known == anchor);
        !exists(&file) || known.get(&file).is_some_and(no_heading)
    };
    let links: Vec<&str> = prose(&page.text).flat_map(targets).collect();
    links.into_iter().filter(is_dead).map(|target| format!("{}: {target}", page.path)).collect()
}

/// Without `..`, as the keys of [`Anchors`] are.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn links_between_our_pages_lead_somewhere() {
    let pages = sources(&[".md"]);
    let known: Anchors = pages.iter().map(|page| (PathBuf::from(&page.path), anchors(&page.text))).collect();
    let exists = |path: &Path| place::root().join(path).exists();
    let dead: Vec<String> = pages.iter().flat_map(|page| dead(page, &exists, &known)).collect();
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn a_link_to_no_file_and_one_to_no_heading_are_found() {
    let page = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let words = "# A\n[b](b.md#x) [c](https://c) [d](#a) [no](#d) [e](../e.md) [`f`](b.md#two-words-1) `[g](g.md)`\n```\n[h](h.md)\n```\n";
    let pages = [page("docs/a.md", words), page("docs/b.md", "# X\n## Two `words`\n### [Two](y.md) words!\n")];
    let known: Anchors = pages.iter().map(|page| (PathBuf::from(&page.path), anchors(&page.text))).collect();
    let exists = |path: &Path| known.contains_key(path);
    assert_eq!(dead(&pages[0], &exists, &known), ["docs/a.md: #d", "docs/a.md: ../e.md"]);
}
