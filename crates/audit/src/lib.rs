//! Who used what, and when: an append-only log that shows every later change of it.
//!
//! [`AuditLog::record`] writes a line before a secret leaves. Each line holds the hash of the line before it; a signed
//! [`Checkpoint`] follows within a second. [`verify()`] is the other side: pure, line by line. Further places that lines go
//! to are [`sink`]s. [`scan`] looks for AWS keys that lie in a tree of files. This crate knows no TOML, no command line
//! and no source of credentials; it reads no clock and no environment.

mod archived;
mod chain;
mod event;
mod hex;
mod job;
mod key;
mod lines;
mod log;
mod query;
mod retention;
pub mod scan;
pub mod sink;
mod standing;
mod tally;
mod told;
pub mod verify;

pub use archived::Archived;
pub use chain::Checkpoint;
pub use event::{Client, Event, Record};
pub use job::AuditJob;
pub use key::PublicKey;
pub use log::{AuditLog, Places, Receipt};
pub use query::{Filter, Follower, Found};
pub use sink::file::log_files;
pub use verify::{Against, Flaw, Gone, Verdict, verify, verify_files, verify_listed};
