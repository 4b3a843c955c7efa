//! `gateway device-config`.

use std::path::PathBuf;

use bowline_gateway::{Managed, device::Network};
use clap::{Args, ValueEnum};

use super::GatewaySettings;
use crate::config::gateway::{command, connection, owner, tag};

/// `gateway device-config`
#[derive(Debug, Args)]
pub(crate) struct GatewayDevice {
    /// What the device reads
    #[arg(long, value_enum, default_value_t = DeviceFormat::Strongswan)]
    pub(crate) format: DeviceFormat,
    /// Write it to this file (0600, replaced whole, only if different), the pre-shared keys beside it with the ending `.secrets`
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Change nothing; exit 3 when `--output` is not what it would be
    #[arg(long, requires = "output")]
    pub(crate) check: bool,
    /// Run this when something was written, and again until it succeeds (BOWLINE_DEVICE_CONFIG is the file); no shell
    #[arg(long, value_name = "COMMAND", requires = "output", conflicts_with = "check", value_parser = hook)]
    pub(crate) hook: Option<DeviceHook>,
    /// Print the pre-shared keys as well
    #[arg(long, conflicts_with = "output")]
    pub(crate) reveal: bool,
    /// Leave the pre-shared keys out, and the line that includes them
    #[arg(long, conflicts_with = "reveal")]
    pub(crate) no_keys: bool,
    /// Network of the site that goes through the tunnels; repeat for several. Without it: whatever is routed into their interfaces
    #[arg(long = "local-network", value_name = "CIDR", requires = "remote", value_parser = network)]
    pub(crate) local: Vec<Network>,
    /// Network at AWS that is reached through the tunnels; repeat for several
    #[arg(long = "remote-network", value_name = "CIDR", id = "remote", requires = "local", value_parser = network)]
    pub(crate) remote: Vec<Network>,
    /// Number (XFRM interface id) of the first tunnel's interface; the others count up [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) if_id: Option<u32>,
    /// Profile that may look at the VPN
    #[arg(long, visible_alias = "identity", value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Region of the connections [default: $AWS_REGION, then the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Connection to render; repeat for several [default: the ones with the owner's tag, then the only one of the region]
    #[arg(long = "vpn-connection", value_name = "ID", conflicts_with = "tag", value_parser = connection)]
    pub(crate) connections: Vec<String>,
    /// Render the connections with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Option<Managed>,
    /// Render the connections of this owner (tag `bowline:owner`)
    #[arg(long, value_name = "ID", value_parser = owner)]
    pub(crate) owner: Option<String>,
}

/// Formats of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceFormat {
    /// strongSwan's swanctl.conf
    Strongswan,
}

/// A command that was given as one text.
#[derive(Clone, Debug)]
pub(crate) struct DeviceHook(pub(crate) Vec<String>);

impl GatewayDevice {
    /// Which connections, and who asks.
    pub(crate) fn settings(&self) -> GatewaySettings {
        GatewaySettings {
            profile: self.profile.clone(),
            region: self.region.clone(),
            connections: self.connections.clone(),
            tag: self.tag.clone(),
            owner: self.owner.clone(),
            ..GatewaySettings::default()
        }
    }
}

fn hook(text: &str) -> Result<DeviceHook, String> {
    command(text).map(DeviceHook)
}

fn network(text: &str) -> Result<Network, String> {
    text.parse()
}
