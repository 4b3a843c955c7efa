//! What runs on the laptop: brings a link up by `wg-quick`, routes into it, and puts everything back.
//!
//! The main routing table is never touched. The link's routes stand in a table of their own, and rules lead there
//! ([`routing`]). What was there before is written down before anything changes ([`record`]); putting back is the difference
//! between what is there and what was ([`restore`]), so that it works as well after `kill -9` as after a good end.
//!
//! It knows no argv and no environment; which programs there are and where state lies is told to it.

mod api;
mod carrier;
mod name_service;
mod quick;
mod record;
mod restore;
mod routing;
mod session;
mod shell;

pub use self::{
    api::{Account, Api, Owner},
    carrier::Via,
    record::Record,
    routing::Routing,
    session::{Client, Wanted},
    shell::Surroundings,
};
