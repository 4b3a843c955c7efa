//! The server: users, where they are kept, and what may be asked of it.
//!
//! Decisions are pure ([`orders`], [`directory`], `layout`, `peers`); one task, the clerk, makes them true in the store and
//! the tunnel; everybody else reads a view of a moment ago.

pub mod addresses;
mod api;
pub mod api_key;
mod bad_logins;
mod clerk;
mod client_conf;
mod client_id;
pub mod directory;
pub mod events;
pub mod invitation;
pub mod keygen;
mod layout;
mod migration;
mod news;
pub mod orders;
mod peers;
pub mod policy;
mod proxy_users;
mod qr;
#[cfg(test)]
mod samples;
mod start;
pub mod store;
pub mod usage;
pub mod user;
mod view;
mod wireguard_key;

pub(crate) use api::ADMINISTRATORS;
pub use api_key::KeyHash;
pub use client_id::{ClientId, ClientIdError};
pub use peers::{Tunnel, V6};
pub use start::{Config, HandOver, OpenTunnel, Server, ServerKeys, Tls};
pub use usage::Usage;
pub use user::User;
pub use view::{Board, Denied, View};
