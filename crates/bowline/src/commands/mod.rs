//! One file a command. Each takes the world and its arguments and gives an exit code or a fault.

pub(crate) mod artifacts;
mod artifacts_settings;
pub(crate) mod audit;
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
pub(crate) mod notify;
pub(crate) mod obtain;
pub(crate) mod policy;
pub(crate) mod policy_managers;
pub(crate) mod profiles;
pub(crate) mod recording;
pub(crate) mod run;
mod scope;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod users;
pub(crate) mod vault;
pub(crate) mod verify;
pub(crate) mod write;
