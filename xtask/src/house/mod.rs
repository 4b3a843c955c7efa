//! The rules of the house that no compiler checks: which crate may know which, where secrets leave, how long a file
//! may be. Each is a plain function over text, and a test that holds the repository against it.

mod arrows;
mod expose;
mod links;
mod promises;
mod sources;
mod tidy;

use crate::{
    Outcome, place,
    process::{capture, cargo},
};

/// Writes down anew what the tests compare with the code, and with the program.
pub(crate) fn bless() -> Outcome {
    expose::bless().map_err(|error| error.to_string())?;
    let page = capture(&mut cargo(&["run", "--quiet", "--package", "bowline", "--", "man", "--markdown"]))?;
    let path = place::root().join("docs/reference/commands.md");
    std::fs::write(&path, page).map_err(|error| format!("`{}`: {error}", path.display()))
}
