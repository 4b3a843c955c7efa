//! A Maven repository in S3 through a cache: builds go on while credentials rotate or S3 is away.
//!
//! A request becomes a key (`path`), the key a decision (`freshness`), the decision a copy from disk (`store`) or one
//! fill that all who ask for the key share (`table`, `fill`). What the upstream says becomes an honest status
//! (`verdict`): 404 only for keys that do not exist. This crate knows no TOML, no argv and not where credentials come
//! from: it is handed a [`Config`], an [`Aws`](bowline_aws::Aws) and an [`Identity`](bowline_base::Identity).

mod access;
mod answer;
mod body;
mod checksum;
mod coherence;
mod conditional;
mod config;
mod content_type;
pub mod control;
mod copy;
mod door;
mod entrance;
mod eviction;
mod fill;
mod freshness;
mod group;
mod health;
mod integrity;
mod inventory;
mod job;
mod keys;
mod listing;
mod marks;
mod memory;
mod metadata;
mod metrics;
mod path;
pub mod policy;
mod proxy;
mod record;
mod source;
mod store;
mod sums;
mod table;
pub mod upstream;
mod verdict;
mod wishlist;
mod xml;

pub use access::{Access, Key, Scheme};
pub use checksum::Sha256Sum;
pub use config::{Cache, Config, Origin, Repository, Tls};
pub use inventory::{Cached, Purged, Selection, inventory};
pub use job::Artifacts;
pub use wishlist::{Wish, Wishlist, WishlistError};
