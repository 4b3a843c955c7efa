//! What can be wrong with a file. A key's value is never part of it.

use std::fmt;

use crate::{KeyError, PrefixError};

/// Everything that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfError(pub Vec<Mistake>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What it is.
    pub what: What,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// Something else than a section or a pair.
    #[error("neither a section like [Peer] nor `Key = value`")]
    Shape,
    /// A pair at the beginning.
    #[error("`{0}` stands before any section: begin with [Interface]")]
    Homeless(String),
    /// A section that does not exist.
    #[error("there is no section `[{0}]`: write [Interface] or [Peer]")]
    Section(String),
    /// Only one can be served.
    #[error("a second [Interface]")]
    SecondInterface,
    /// None is there.
    #[error("there is no [Interface]")]
    NoInterface,
    /// A key that the section does not have.
    #[error("{section} has no key `{key}`{}", belongs(*.elsewhere))]
    Unknown {
        /// Where it stands.
        section: &'static str,
        /// The key.
        key: String,
        /// The section that has it.
        elsewhere: Option<&'static str>,
    },
    /// A value that cannot be read.
    #[error("`{key}`: {why}")]
    Value {
        /// Whose.
        key: &'static str,
        /// Why not.
        why: Wrong,
    },
    /// A peer that nobody can be.
    #[error("this [Peer] has no PublicKey")]
    NoPublicKey,
    /// The same key twice.
    #[error("this peer stands at line {0} already")]
    PeerTwice(usize),
    /// The same addresses twice.
    #[error("`{range}` belongs to the peer at line {first} already")]
    RangeTwice {
        /// The addresses.
        range: String,
        /// Where they stand first.
        first: usize,
    },
}

/// Why a value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No range.
    #[error(transparent)]
    Range(#[from] PrefixError),
    /// Anything else.
    #[error("`{text}` is not {wanted}")]
    Other {
        /// The value.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Mistake { line, what }) in self.0.iter().enumerate() {
            let newline = if place == 0 { "" } else { "\n" };
            write!(f, "{newline}line {line}: {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfError {}

fn belongs(section: Option<&str>) -> String {
    section.map(|section| format!(": it belongs to {section}")).unwrap_or_default()
}
