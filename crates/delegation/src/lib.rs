//! Namespaced IAM users: who may manage whom, and the policy documents that hold a manager to it.
//!
//! A manager is an IAM user with a long-lived key, who makes users in one namespace and hands out their temporary
//! credentials. The rule is checked here before any call ([`namespace`]), and by AWS again, through the documents of
//! [`policy`]. This crate knows neither the command line nor where a manager's key lies.

pub mod namespace;
pub mod policy;
