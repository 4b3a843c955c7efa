//! Words shared by every crate of Bowline: secrets, credentials, identities, time, faults, atomic files.
//!
//! This crate knows no runtime, no socket and no AWS call. It never reads a clock, the environment or randomness:
//! whoever needs them is handed them ([`Now`], [`wire::Wire`]).

pub mod atomic;
pub mod backoff;
mod credentials;
mod fault;
mod identity;
pub mod lock;
pub mod policy;
pub mod secret;
pub mod shell;
mod time;
pub mod units;
pub mod url;
pub mod wire;

pub use credentials::{Credentials, KeyId};
pub use fault::{Fault, Kind, Retry};
pub use identity::{FixedIdentity, Identity, Unavailable};
pub use secret::Secret;
pub use time::{Now, Timestamp, TimestampError, parse_timestamp, utc};

/// A boxed future that may be sent between threads; the form every object-safe async method here returns.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
