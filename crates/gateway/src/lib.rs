//! The VPN follows the address: when a site's public address changes, its customer gateway is made anew, its connections
//! are pointed at it, and the old one goes.
//!
//! [`plan()`] decides, from what EC2 shows, the address and a [`Memory`] whose loss is harmless. There is no journal: the
//! tags in EC2 are the truth. [`address`] decides which address to believe. This crate reads no clock, no file and no
//! configuration, and does not know where credentials come from.

mod account;
pub mod address;
mod memory;
mod observed;
mod plan;

pub use account::{Account, Did, Managed, Pass};
pub use memory::{Memory, Outcome};
pub use observed::{Connection, Gateway, OWNER_TAG, Observed};
pub use plan::{Action, Key, Pace, Site, Verdict, plan, verdicts};
