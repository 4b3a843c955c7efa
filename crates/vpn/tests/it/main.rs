//! The proxy and the client over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic with its place is the best message")]

mod connect;
mod users;
