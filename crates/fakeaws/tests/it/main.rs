//! The fake as its users see it: whole requests in, whole answers out; and the listener's misbehaviour on real sockets.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod ec2;
mod expiry;
mod iam;
mod login;
mod requests;
mod roles_anywhere;
mod wire;
