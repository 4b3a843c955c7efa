//! The VPN follows the address: when a site's public address changes, its customer gateway is made anew, its connections
//! are pointed at it, and the old one goes.
//!
//! [`plan()`] decides, from what EC2 shows, the address and a [`Memory`] whose loss is harmless. There is no journal: the
//! tags in EC2 are the truth. [`address`] decides which address to believe, [`Patrol`] goes round after round, and
//! [`GatewayJob`] is that in the daemon. This crate reads no file and no configuration, and does not know where credentials
//! come from.

mod account;
pub mod address;
mod adoption;
mod changes;
mod config;
pub mod device;
mod healthcheck;
mod job;
mod memory;
mod metrics;
mod observed;
mod once;
mod outlook;
mod patrol;
mod plan;
pub mod policy;
mod post;
mod rhythm;
mod selection;
mod standing;
mod window;

pub use account::{Account, Did, Look, Pass};
pub use adoption::Adoption;
pub use changes::{Change, News, Phase};
pub use config::Config;
pub use healthcheck::Healthcheck;
pub use job::{Gateway as GatewayJob, Surroundings};
pub use memory::{Memory, Outcome};
pub use observed::{Connection, Gateway, OWNER_TAG, Observed, Tunnel};
pub use once::{Arrived, no_address, not_ours, once};
pub use outlook::{Outlook, Stand, Step};
pub use patrol::{Asked, Foreseen, Patrol, Round};
pub use plan::{Action, Key, Pace, Site, Verdict, plan, verdicts};
pub use post::{KIND, Post};
pub use selection::{Managed, Selection, Unselected};
pub use window::Window;
