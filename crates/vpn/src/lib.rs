//! A VPN of one's own: `server` (users, stores, API) on top of the tunnel; `connect`, the CONNECT proxy for the same users;
//! `client`, what runs on a laptop.
//!
//! This crate knows no TOML, no argv and no environment, and does not know where an [`Identity`](bowline_base::Identity)
//! gets its keys. How packets travel is the tunnel's business.

pub mod server;
