//! Our own files, and what of a Rust file is shipped.

use std::{fs, path::Path};

use crate::place;

/// Folders that hold what others made, or what was built.
const FOREIGN: [&str; 4] = [".git", "target", "__pycache__", "node_modules"];

/// A file of ours.
pub(crate) struct Source {
    /// Relative to the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file of ours whose name ends with one of `endings`, in order.
pub(crate) fn sources(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&place::root(), endings, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The part of a Rust file before its unit tests.
pub(crate) fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_symlink() || FOREIGN.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(place::root()).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}
