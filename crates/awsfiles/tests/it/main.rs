//! The crate from outside: what the files say, what a profile resolves to, and what a change leaves on the disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod corpus;
mod editing;
mod parsing;
mod resolution;
mod rewriting;
mod sso_cache;

use std::path::Path;

use bowline_awsfiles::{Config, Document, Mistake};

/// A document as if read from `config`.
fn document(text: &str) -> Document {
    Document::parse(Path::new("config"), text.as_bytes()).unwrap()
}

/// What a config file says alone.
fn read(config: &str) -> Result<Config, Mistake> {
    Config::read(Some(&document(config)), None)
}

/// What both files say together.
fn both(config: &str, credentials: &str) -> Config {
    let credentials = Document::parse(Path::new("credentials"), credentials.as_bytes()).unwrap();
    Config::read(Some(&document(config)), Some(&credentials)).unwrap()
}
