//! The server against real stores, a fake AWS and real HTTP; the tunnel is one that only remembers.

#![allow(clippy::unwrap_used, reason = "a test binary: a failure here is the test's")]

mod api;
mod stores;
mod world;
