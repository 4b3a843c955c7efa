//! The rules of the house that no compiler checks: which crate may know which, where secrets leave, how long a file
//! may be. Each is a plain function over text, and a test that holds the repository against it.

mod arrows;
mod expose;
mod links;
mod sources;
mod tidy;

use crate::Outcome;

/// Writes down anew what the tests compare with the code.
pub(crate) fn bless() -> Outcome {
    expose::bless().map_err(|error| error.to_string())
}
