//! The rules of the house that no compiler checks: which crate may know which, where secrets leave, how long a file
//! may be. Each is a plain function over text, and a test that holds the repository against it.

mod arrows;
mod expose;
mod links;
mod promises;
mod runbook;
mod sources;
mod tidy;

use std::{fs, path::Path};

pub(crate) use sources::shipped;

use crate::{
    Outcome, place,
    process::{capture, cargo},
};

/// What the program says when it is asked so, and where that is kept.
const SAID: [(&[&str], &str); 4] = [
    (&["man", "--markdown"], "docs/reference/commands.md"),
    (&["completions", "bash"], "deploy/completions/bowline.bash"),
    (&["completions", "fish"], "deploy/completions/bowline.fish"),
    (&["completions", "zsh"], "deploy/completions/_bowline"),
];

/// The manual, a page for each command.
const MANUAL: &str = "deploy/man";

/// Writes down anew what the tests compare with the code, and with the program.
pub(crate) fn bless() -> Outcome {
    expose::bless().map_err(|error| error.to_string())?;
    let said = |question: &[&str]| {
        let words = [&["run", "--quiet", "--package", "bowline", "--"], question].concat();
        capture(&mut cargo(&words))
    };
    for (question, kept) in SAID {
        let path = place::root().join(kept);
        fs::write(&path, said(question)?).map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    replace_manual(|directory| said(&["man", "--directory", &directory.display().to_string()]).map(drop))
}

/// A page of a command that is no more goes; where the program has nothing to say, the former pages stay.
fn replace_manual(write: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let manual = place::root().join(MANUAL);
    let fresh = manual.with_extension("new");
    fs::remove_dir_all(&fresh).ok();
    write(&fresh)?;
    fs::remove_dir_all(&manual).ok();
    fs::rename(&fresh, &manual).map_err(|error| format!("`{}`: {error}", manual.display()))
}
