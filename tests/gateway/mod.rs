//! The real program keeps a VPN at the site's address, on a fake EC2 with its manners and providers that may lie.

mod commands;
mod daemon;
mod device;
mod moto;
mod oracle;
mod predecessor;
mod rights;
mod running;
mod schedules;
pub(crate) mod site;
mod strongswan;
mod trouble;
mod window;
