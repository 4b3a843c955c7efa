//! Network namespaces with real WireGuard peers in them, servers to talk to, and a path that loses and delays.
//!
//! For stories (`tests/tunnel`) and benches. It knows the programs of Debian (`wireguard-go`, `wg`, `ip`) and nothing of
//! Bowline: what is tested is a [`std::process::Command`] that its caller brings.
//!
//! Nothing here has a name outside of its own namespaces, so any number of rigs live side by side. Nothing stays behind,
//! whatever becomes of the test: every process is killed by the kernel when the thread that started it ends, and the
//! namespaces, their interfaces and addresses go with their last process.

#![allow(
    clippy::disallowed_methods,
    reason = "scaffolding of tests and benches: it reads real time, waits for real packets and is never shipped"
)]

mod client;
mod held;
mod keys;
mod namespace;
mod process;
mod reference;
mod relay;
mod rig;
mod servers;
mod tap;

pub use client::{Client, Link, start_wireguard};
pub use held::Held;
pub use keys::{Keys, preshared_key};
pub use namespace::{NOBODY, Namespace};
pub use process::{cpu_seconds, memory_kib, open_files};
pub use relay::{Datagram, Direction, Path, Relay};
pub use rig::{PORT, Rig, missing};
pub use servers::{ANY, Seen, Service, UdpEcho, echo, udp, waiting_room};
pub use tap::{Tap, is_of_port};

/// What goes wrong is said and ends the test.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
