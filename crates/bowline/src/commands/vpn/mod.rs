//! `bowline vpn …`: WireGuard without TUN, root or a capability.

mod job;
mod keygen;
mod peers_file;
mod serve;
mod server;
mod settings;

use bowline_base::Fault;

use std::path::PathBuf;

use super::vpn_client;
use crate::{cli::Vpn, environment::Environment};

pub(crate) use self::{
    job::checks as tunnel_checks,
    serve::this_machine,
    server::section as served,
    settings::{Machine, nameservers},
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, command: &Vpn) -> Result<(), Fault> {
    match command {
        Vpn::Serve(arguments) => match &arguments.peers {
            Some(peers) => serve::run(&environment, arguments, peers),
            None => server::run(environment, file, arguments),
        },
        Vpn::Keygen(arguments) => keygen::run(environment, arguments.config.clone().or(file), arguments),
        Vpn::Client(command) => vpn_client::run(&environment, command),
    }
}
