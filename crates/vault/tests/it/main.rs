//! The vault against what it has to agree with: an independent implementation of the envelopes, OpenSSH's own tools,
//! Debian's `age`; and what it does when key files, values, stores and agents are not as they should be.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "in a test a panic with its place is the best message")]
#![allow(clippy::disallowed_methods, reason = "files of a test have no other readers")]

mod agents;
mod corpora;
mod envelopes;
mod inbox;
mod memory;
mod openssh;
mod plain_age;
mod refusals;
mod stores;
mod tools;
