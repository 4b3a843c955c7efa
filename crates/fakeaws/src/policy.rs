//! IAM policies, evaluated: a request, the documents of whoever asks, and what AWS would say to it.
//!
//! Identity policies and a permissions boundary; an explicit deny wins. Also for tests of documents that were never
//! stored anywhere: [`judge`] is a pure function. What the evaluator does not understand (an operator, an element) is
//! refused when the document is read, so that nothing passes by being overlooked. Resource policies, service control
//! policies and session policies are not known here.

mod condition;
mod document;
mod pattern;

use std::collections::BTreeMap;

pub use document::{Document, DocumentError};

/// A request, as policies see it.
#[derive(Clone, Debug)]
pub struct Question {
    /// `iam:CreateUser`.
    pub action: String,
    /// The ARN that is acted on, or `*` where the action knows no resource.
    pub resource: String,
    /// The condition keys that the request has.
    pub context: Context,
}

impl Question {
    /// Asks for `action` on `resource` with no condition keys at all.
    #[must_use]
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: Context::default() }
    }

    /// The same with this condition key.
    #[must_use]
    pub fn with(self, key: &str, value: &str) -> Self {
        Self { context: self.context.with(key, value), ..self }
    }
}

/// Condition keys and their values. Names are taken without regard to case, as AWS does.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// Adds a value under `key`; a second one makes the key multivalued.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.to_owned());
        self
    }

    fn values(&self, key: &str) -> &[String] {
        self.0.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has one; policy variables are made of nothing else.
    fn only(&self, key: &str) -> Option<&str> {
        if let [value] = self.values(key) { Some(value) } else { None }
    }
}

/// What AWS says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No identity policy allows it.
    NotAllowed,
    /// The identity policies allow it and the permissions boundary does not.
    OutsideBoundary,
}

/// Judges a request by the policies of its sender and by the permissions boundary, where there is one.
#[must_use]
pub fn judge(policies: &[Document], boundary: Option<&Document>, question: &Question) -> Verdict {
    if policies.iter().chain(boundary).any(|document| document.denies(question)) {
        Verdict::Denied
    } else if !policies.iter().any(|document| document.allows(question)) {
        Verdict::NotAllowed
    } else if boundary.is_some_and(|document| !document.allows(question)) {
        Verdict::OutsideBoundary
    } else {
        Verdict::Allowed
    }
}

#[cfg(test)]
mod tests;
