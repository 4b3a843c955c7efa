//! Namespaced IAM users: who may manage whom, and the policy documents that hold a manager to it.
//!
//! A manager is an IAM user with a long-lived key, who makes users in one namespace and hands out their temporary
//! credentials. The rule is checked here before any call ([`namespace`]), and by AWS again, through the documents of
//! [`policy`]. A manager's own key is replaced by [`rotation`]; sessions of its users come about by a
//! [`temporary_key`]. Both are pure machines with a thin driver each, and note what they began in a [`journal`].
//! This crate knows neither the command line nor where a manager's key lies: it is handed a [`keyring::Keyring`].

pub mod bootstrap;
pub mod caller;
#[cfg(test)]
mod fates;
pub mod journal;
pub mod keyring;
pub mod manager;
pub mod namespace;
pub mod ownership;
pub mod policy;
pub mod propagation;
mod refusal;
pub mod rotation;
pub mod temporary_key;
pub mod turns;
pub mod users;

pub use refusal::missing as refused_as_missing;
