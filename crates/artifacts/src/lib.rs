//! A Maven repository in S3 through a cache: builds go on while credentials rotate or S3 is away.
//!
//! A request becomes a key (`path`), the key a decision (`freshness`), the decision a copy from disk (`store`) or one
//! fill that all who ask for the key share (`table`, `fill`). What the upstream says becomes an honest status
//! (`verdict`): 404 only for keys that do not exist. This crate knows no TOML, no argv and not where credentials come
//! from: it is handed a [`Config`], an [`Aws`](bowline_aws::Aws) and an [`Identity`](bowline_base::Identity).

mod answer;
mod body;
mod checksum;
mod conditional;
mod config;
mod content_type;
mod door;
mod eviction;
mod fill;
mod freshness;
mod health;
mod job;
mod listing;
mod marks;
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

pub use config::{Cache, Config, Origin, Repository};
pub use job::Artifacts;
