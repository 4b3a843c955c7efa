//! Sources, broker, delivery: credentials from wherever a profile says, renewed before anyone notices, handed to any tool.
//!
//! Long-running: [`Broker`] keeps profiles and SSO sessions fresh and hands out identities; [`socket`] answers for it.
//! One command: [`once`] does the same without a daemon, [`client`] asks a daemon without a runtime. [`login`] signs in
//! and out; [`delivery`] writes credentials as other tools read them. This crate reads no environment and no clock,
//! prints nothing and knows no TOML.

pub mod broker;
pub mod certificate;
pub mod client;
pub mod console;
pub mod delivery;
pub mod endpoint;
pub mod grant;
pub mod handover;
mod lease_file;
pub mod lease_store;
pub mod login;
pub mod mfa;
pub mod once;
pub mod policy;
pub mod profiles;
pub mod renewal;
mod setup;
pub mod socket;
mod source;
mod sso_note;
mod sso_reason;
mod sso_token;
mod stamps;
pub mod vault;
mod wiped;
mod witness;
pub mod x509;

pub use broker::{Broker, Overview, Settings};
pub use lease_store::LeaseStore;
pub use setup::{Context, Setup};
pub use source::{
    ENVIRONMENT, Explained, HeldCertificate, RECURSION_MARK, Resolved, Sources, Step, asks_outside,
    is_of_the_environment, roles_anywhere_from_environment, without_secrets,
};
pub use sso_token::{SsoTokens, session_name};
pub use witness::{Handover, Witness, Written, client_behind_this_process, client_of};
