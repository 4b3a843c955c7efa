//! The tunnel as a user sees it: a WireGuard client of our own, in this process, against the real thread over loopback.

mod client;
mod peers;
mod tcp;
mod udp;
