//! Where the server keeps what must outlive it: small named values, in a directory or in AWS's Parameter Store.
//!
//! A name is a short path, `users/alice/record`. Both stores promise the same, and pass one suite of tests: a value is
//! written whole or not at all; of two who create one name, or remove it, one is told that it was them; what another
//! server has changed is told within seconds. What the values mean is `layout`'s business.

mod file;
mod journal;
mod parameters;

use std::{collections::BTreeMap, sync::Arc};

use bowline_base::{BoxFuture, Fault, Secret};

pub use file::FileStore;
pub use parameters::ParameterStore;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text; every value is treated as a secret.
    pub text: Secret,
    /// Kept encrypted, or readable by its owner only.
    pub sealed: bool,
}

impl Value {
    /// A value that is kept encrypted.
    #[must_use]
    pub fn sealed(text: Secret) -> Self {
        Self { text, sealed: true }
    }

    /// A value that everybody with access to the store may read.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: Secret::new(text), sealed: false }
    }
}

/// Values by name.
pub type Values = BTreeMap<String, Value>;

/// How far somebody has read; changes are asked for since one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(MarkOf);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum MarkOf {
    #[default]
    Nothing,
    /// A version of the journal.
    Version(u64),
    /// What each file looked like.
    Stamps(BTreeMap<String, file::Stamp>),
}

/// What others have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These names and no others; `None` is gone.
    Some(BTreeMap<String, Option<Value>>),
    /// This is everything that there is now.
    All(Values),
}

/// Why a store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody was faster: the name is taken.
    #[error("`{0}` is in the store already")]
    Taken(String),
    /// The store is away, or refuses; what was to be written may or may not be there.
    #[error(transparent)]
    Away(Arc<Fault>),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Away(Arc::new(fault))
    }
}

/// A future of a store's answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A place for small values.
pub trait Store: Send + Sync {
    /// `file:/var/lib/bowline/vpn`, `ssm:/ephem-vpn`.
    fn place(&self) -> String;

    /// Everything, and a mark from which changes can be asked for.
    fn load(&self) -> Answer<'_, (Values, Mark)>;

    /// One value as it is at this moment.
    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Value>>;

    /// What has changed since `mark`, and the next mark; `None` when nothing has.
    fn changes<'a>(&'a self, mark: &'a Mark) -> Answer<'a, Option<(Changes, Mark)>>;

    /// Writes a value under a name that is free.
    fn create<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()>;

    /// Writes a value, whether or not the name is taken. The new value is as sealed as the old one was.
    fn replace<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()>;

    /// Removes a value; whether it was there and it was us who removed it.
    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;

    /// Tells other servers that these names have changed. What is not told, because we ended before, they find at their
    /// next reading of everything.
    fn announce<'a>(&'a self, names: &'a [String]) -> Answer<'a, ()>;
}

/// A name that both stores can hold: up to six plain parts.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    name.len() <= 200 && name.split('/').count() <= 6 && name.split('/').all(plain)
}
