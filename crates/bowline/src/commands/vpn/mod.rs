//! `bowline vpn …`: WireGuard without TUN, root or a capability.

mod job;
mod peers_file;
mod serve;
mod settings;

use bowline_base::Fault;

use crate::{cli::Vpn, environment::Environment};

pub(crate) fn run(environment: &Environment, command: &Vpn) -> Result<(), Fault> {
    match command {
        Vpn::Serve(arguments) => serve::run(environment, arguments),
    }
}
