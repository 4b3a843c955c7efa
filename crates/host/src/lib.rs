//! The async shell, once: everything that touches a socket, a clock, a task or the file system's events.
//!
//! Feature crates decide; this crate acts for them. It knows no AWS, no TOML and no command line, and it never
//! decides when to renew, what to delete or what to answer.

pub mod addresses;
pub mod authority;
pub mod client;
pub mod clock;
pub mod confine;
mod cut;
pub mod datagram;
pub mod exposition;
pub mod interfaces;
pub mod job;
pub mod listen;
pub mod mapped;
pub mod memory;
pub mod metrics;
pub mod notice;
pub mod notify;
pub mod obstacle;
mod patience;
pub mod peers;
mod pipes;
pub mod ports;
pub mod process;
pub mod program;
pub mod relay;
#[cfg(target_os = "linux")]
mod rtnetlink;
mod sending;
pub mod server;
pub mod small_file;
#[cfg(target_os = "linux")]
mod sock_diag;
pub mod supervisor;
mod sys;
pub mod tasks;
pub mod tls;
pub mod tls_server;
pub mod undelivered;
pub mod watch;

pub use client::HttpWire;
pub use job::{Check, Ctx, Job, Verdict};
pub use listen::{Address, Listener, Listeners};
pub use notify::Notifier;
pub use server::{Peer, ServerLimits};
pub use tasks::Tasks;
