//! What refused calls come down to: for the machines, and for people.

use aws::{Error, iam::Why};
use base::{Fault, Kind};
use bowline_aws as aws;
use bowline_base as base;

use crate::propagation::Refusal;

impl Refusal {
    /// What an error of `aws` comes down to.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        if error.is_ambiguous() {
            return Self::Unclear;
        }
        match Why::of(error) {
            Some(Why::UnknownKey) => Self::UnknownKey,
            Some(Why::Missing) => Self::Missing,
            Some(Why::LimitReached) => Self::NoRoom,
            Some(Why::NotAllowed) => Self::Denied,
            _ => Self::Other,
        }
    }
}

/// A refused call, with the fix that goes with its reason; STS says nothing of its own.
#[must_use]
pub(crate) fn told(error: Error) -> Fault {
    let fix = Why::of(&error).map(Why::fix);
    let fault = Fault::from(error);
    match (fix, &fault.hint) {
        (Some(fix), None) => fault.hint(fix),
        _ => fault,
    }
}

pub(crate) fn refused(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Refused, "iam", message)
}

/// There is no user of that name.
#[must_use]
pub fn missing(name: &str) -> Fault {
    refused(format!("there is no user `{name}`"))
        .hint("check the name; if it was made a moment ago, try again in ten seconds")
}
