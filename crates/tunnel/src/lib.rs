//! WireGuard terminated in user space: packets in, ordinary sockets out. No TUN device, no root, no capability.
//!
//! The tunnel binds the UDP sockets and starts one thread, the packet path. Inside, a datagram is decrypted
//! , its inner source is held against the peer's addresses, and the packet goes to its flow: TCP is ended
//! here and dialled on, UDP is mapped to a socket, an echo is asked by the system. What comes back is
//! encrypted straight into the batch that one system call sends.
//!
//! Who may be reached is decided by [`egress`] alone, on the address that is dialled. This crate knows no AWS, no
//! HTTP, no TOML and no command line: users, stores and APIs are built on top.

mod config;
pub mod egress;
mod handle;
mod keys;
mod prefix;
mod stats;

pub use config::{Config, Dns, Limits, Peer};
pub use handle::{StartError, Stopped};
pub use keys::{KeyError, PublicKey, SecretKey};
pub use prefix::{Prefix, PrefixError};
pub use stats::{Flows, PeerStats, Stats};
