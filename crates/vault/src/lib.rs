//! Long-lived keys sealed at rest: iam-sorry's envelopes, a store that is one age file, and ssh-agent as a further way in.
//!
//! [`envelope`] reads and, on request, writes the values that iam-sorry keeps in `~/.aws/credentials`. [`store`] is our
//! own place for keys. [`ssh`] reads what an SSH key file says about itself, [`agent`] talks to an ssh-agent.
//! This crate knows no AWS file, no command line, no prompt and no environment: it works on values, and on the one
//! directory that it is given. It reads no clock. Nonces and identifiers are arguments; the randomness inside an age
//! file is the `age` crate's own.

pub mod agent;
pub mod envelope;
mod lenient_base64;
mod profile;
pub mod ssh;
pub mod store;

pub use profile::{Field, Keys, ProfileError, ProfileName};
