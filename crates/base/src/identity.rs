//! How a job is handed credentials without knowing where they come from.

use std::sync::Arc;

use crate::{BoxFuture, Credentials, Fault, KeyId};

/// Why there are no credentials right now, and what ends that. The fault's hint is the next command to type.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unavailable(pub Arc<Fault>);

impl From<Fault> for Unavailable {
    fn from(fault: Fault) -> Self {
        Self(Arc::new(fault))
    }
}

/// Who we are towards AWS. Jobs hold an `Arc<dyn Identity>` and ask at every request.
pub trait Identity: Send + Sync {
    /// The credentials of this moment. Never waits and never calls AWS.
    ///
    /// # Errors
    /// [`Unavailable`] when there is no usable set in memory.
    fn current(&self) -> Result<Arc<Credentials>, Unavailable>;

    /// As [`Identity::current`], but with nothing in memory it waits for a fetch that is under way, and for nothing else:
    /// the first requests after a start are answered late instead of refused. What has failed is refused at once.
    fn ready(&self) -> BoxFuture<'_, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async { self.current() })
    }

    /// Asks for another set because AWS refused `rejected`. Returns at once if the set has already changed.
    fn renew<'a>(&'a self, rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>>;
}

/// Credentials that never change: static keys, tests.
#[derive(Debug)]
pub struct FixedIdentity(Arc<Credentials>);

impl FixedIdentity {
    /// An identity that always answers with `credentials`.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self(Arc::new(credentials))
    }
}

impl Identity for FixedIdentity {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.0))
    }

    fn renew<'a>(&'a self, _rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }
}
