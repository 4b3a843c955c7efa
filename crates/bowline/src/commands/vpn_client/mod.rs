//! `bowline vpn setup|users|connect|…`: the laptop's side.

mod account;
mod link;
mod look;
mod users;

use bowline_base::Fault;

use crate::{cli::VpnClient, environment::Environment};

pub(crate) fn run(environment: &Environment, command: &VpnClient) -> Result<(), Fault> {
    match command {
        VpnClient::Setup(arguments) => account::setup(environment, arguments),
        VpnClient::Users(command) => users::run(environment, command),
        VpnClient::Create(arguments) => users::add(environment, arguments),
        VpnClient::Connect(arguments) => link::connect(environment, arguments),
        VpnClient::Disconnect(arguments) => link::disconnect(environment, arguments.name.as_deref()),
        VpnClient::Restore => link::restore(environment),
        VpnClient::Status(arguments) => look::status(environment, arguments),
        VpnClient::Test(arguments) => look::test(arguments),
    }
}
