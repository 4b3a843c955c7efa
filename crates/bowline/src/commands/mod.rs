//! One file a command. Each takes the world and its arguments and gives an exit code or a fault.

pub(crate) mod artifacts;
pub(crate) mod artifacts_cache;
pub(crate) mod artifacts_prefetch;
mod artifacts_settings;
pub(crate) mod artifacts_setup;
pub(crate) mod audit;
pub(crate) mod bazel_credential_helper;
pub(crate) mod check;
pub(crate) mod console;
mod container;
pub(crate) mod creds;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod exec;
mod explain;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod obtain;
pub(crate) mod policy;
pub(crate) mod profiles;
mod proxy_place;
pub(crate) mod run;
mod scope;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod write;
