//! The tunnel as a user sees it: a WireGuard client of our own, in this process, against the real thread over loopback.
//! And its readers against kept inputs.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod client;
mod corpora;
mod peers;
mod services;
mod tcp;
mod udp;
