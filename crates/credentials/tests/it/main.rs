//! The crate against the fake AWS.



mod broker;
mod login;
mod process;
mod sso;
mod store;
mod world;
