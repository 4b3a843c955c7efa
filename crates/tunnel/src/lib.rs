//! WireGuard terminated in user space: packets in, ordinary sockets out. No TUN device, no root, no capability.
//!
//! [`Tunnel::start`] binds the UDP sockets and starts one thread, the packet path (`path`). There a datagram is opened
//! (`link`, `noise`), its inner source is held against the peer's addresses (`peers`), and the packet goes to its flow:
//! TCP is ended here and dialled on (`tcp`), UDP is mapped to a socket (`udp`). What comes back is sealed straight into
//! the batch that one system call sends (`batch`, `wire`).
//!
//! Who may be reached is decided by [`egress`] alone, on the address that is dialled. This crate knows no AWS, no
//! HTTP, no TOML and no command line: users, stores and APIs are built on [`Handle`]. The other side of it, for a demo
//! and for trying a server, is [`visitor`].

mod batch;
mod config;
mod core;
pub mod dns;
mod echo;
pub mod egress;
pub mod fair;
pub mod fragments;
mod handle;
mod keys;
pub mod limits;
mod link;
pub mod metrics;
mod noise;
pub mod packet;
mod path;
mod peak;
mod peers;
mod prefix;
mod slots;
mod stats;
mod tcp;
mod udp;
pub mod usage;
pub mod visitor;
pub mod wg_conf;
mod wheel;
mod wire;

pub use config::{Config, Dns, Limits, Peer};
pub use echo::no_ping;
pub use handle::{ChangeError, Handle, StartError, Stopped, Tunnel};
pub use keys::{KeyError, PublicKey, SecretKey};
pub use peers::AddressTaken;
pub use prefix::{Prefix, PrefixError};
pub use stats::{Flows, PeerStats, Stats};
