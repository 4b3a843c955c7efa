//! `gateway …`.

use std::time::Duration;

use bowline_gateway::{Healthcheck, Managed, Window, address::Provider};
use clap::{Arg, Args, Subcommand};

use super::{GatewayDevice, Output, duration};
use crate::config::gateway::{command, connection, owner, provider, tag, webhook_url};

/// `gateway …`
#[derive(Debug, Subcommand)]
pub(crate) enum Gateway {
    /// Follow the site's address, without a configuration file if need be
    #[command(
        after_help = "Environment: AWS_REGION, AWS_DEFAULT_REGION, CGW_NAME (`Name` of new gateways), ROLESANYWHERE_CERTIFICATE_PATH and its four companions.\nWith exactly one VPN connection in the region no flag is needed. SIGUSR1 looks at once; SIGTERM ends within 5 s, and the next start goes on.\n\nExamples:\n  AWS_REGION=eu-central-1 bowline gateway run\n  bowline gateway run --vpn-connection vpn-0a1b2c3d --owner site-1 --on-change ./restart-ipsec\n  bowline gateway run --tag site=berlin --interval 1m --window 02:00-05:00"
    )]
    Run(GatewaySettings),
    /// Bring everything to where it belongs, once, and end
    #[command(
        after_help = "Exit codes: 0 all is well, 1 not everything is in its place, 2 no such connection, 4 the address is not known or EC2 does not answer.\nA change takes three to six minutes.\n\nExamples:\n  bowline gateway once\n  bowline gateway once --vpn-connection vpn-0a1b2c3d --wait 10m"
    )]
    Once(GatewayOnce),
    /// Say what would be done; change nothing
    #[command(
        after_help = "Examples:\n  bowline gateway plan\n  bowline gateway plan --exit-code || echo there is something to do\n  bowline gateway plan --output json"
    )]
    Plan(GatewayPlan),
    /// Print the one tagging call that takes over a connection and a gateway that were made by hand
    #[command(
        mut_args(hide_what_only_following_needs),
        after_help = "The least-privilege policy does not allow this call: run it once as an administrator.\n\nExamples:\n  bowline gateway adopt --vpn-connection vpn-0a1b2c3d --owner site-1\n  bowline gateway adopt --vpn-connection vpn-0a1b2c3d --owner site-1 --run --profile admin"
    )]
    Adopt(GatewayAdopt),
    /// Print or write the configuration of the site's own VPN device, from what AWS says of the connection
    #[command(
        after_help = "Pre-shared keys go into a file of their own, and to stdout with --reveal only.\nTunnels get interfaces (route-based: the output says how to make them), or --local-network and --remote-network.\nAfter a change of address: `device-config` in [gateway] lets the daemon do this. `swanctl -q` is `swanctl --load-all`.\nExit codes: 0 done or nothing changed, 1 cannot be rendered or the hook failed, 3 (--check) would be written, 4 the connection is being changed.\n\nExamples:\n  bowline gateway device-config\n  bowline gateway device-config --output /etc/swanctl/conf.d/aws.conf --hook 'swanctl -q'\n  bowline gateway device-config --output /etc/swanctl/conf.d/aws.conf --check\n  bowline gateway device-config --local-network 192.168.1.0/24 --remote-network 10.2.0.0/16"
    )]
    DeviceConfig(GatewayDevice),
}

/// `gateway once`
#[derive(Debug, Args)]
pub(crate) struct GatewayOnce {
    #[command(flatten)]
    pub(crate) settings: GatewaySettings,
    /// How long to wait for everything to be in its place
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) form: Output,
}

/// `gateway plan`
#[derive(Debug, Args)]
pub(crate) struct GatewayPlan {
    #[command(flatten)]
    pub(crate) settings: GatewaySettings,
    /// Exit with 3 when there is something to do
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) form: Output,
}

/// `gateway adopt`
#[derive(Debug, Args)]
pub(crate) struct GatewayAdopt {
    #[command(flatten)]
    pub(crate) settings: GatewaySettings,
    /// Make the call instead of printing it
    #[arg(long)]
    pub(crate) run: bool,
}

/// What every command of `gateway` takes.
#[derive(Debug, Default, Args)]
pub(crate) struct GatewaySettings {
    /// Profile that may change the VPN
    #[arg(long, visible_alias = "identity", value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Region of the connections [default: $AWS_REGION, then the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Connection to look after; repeat for several [default: the ones with the owner's tag, then the only one of the region]
    #[arg(long = "vpn-connection", value_name = "ID", conflicts_with = "tag", value_parser = connection)]
    pub(crate) connections: Vec<String>,
    /// Look after the connections with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Option<Managed>,
    /// Whose the gateways are (tag `bowline:owner`), unique for each site [default: the connection's own tag, then its id]
    #[arg(long, value_name = "ID", value_parser = owner)]
    pub(crate) owner: Option<String>,
    /// `Name` of new gateways [default: $CGW_NAME, then that of the gateway that is replaced]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Who is asked for the address; repeat for several: of three or more the majority counts, one or two must all agree
    #[arg(long = "ip-provider", value_name = "URL", value_parser = provider)]
    pub(crate) providers: Vec<Provider>,
    /// Time between two looks [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) interval: Option<Duration>,
    /// Time between two looks while EC2 is busy [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) settle_poll: Option<Duration>,
    /// Equal readings that a new address needs [default: 2]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) confirm: Option<u32>,
    /// Least time between two changes of a connection [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) min_change_interval: Option<Duration>,
    /// When a change may be made that can wait, local time: one that would take down a tunnel that is up
    #[arg(long, value_name = "FROM-TO", value_parser = Window::parse)]
    pub(crate) window: Option<Window>,
    /// Command to run at every step of a change (BOWLINE_PHASE, BOWLINE_NEW_ADDRESS, …); no shell
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    pub(crate) on_change: Option<OnChange>,
    /// Where messages about changes are sent as JSON
    #[arg(long, value_name = "URL", value_parser = webhook_url)]
    pub(crate) webhook: Option<String>,
    /// What is asked for (GET) after every look at which all was well
    #[arg(long, value_name = "URL", value_parser = Healthcheck::parse)]
    pub(crate) healthcheck: Option<Healthcheck>,
    /// Take addresses that are for documentation (192.0.2.0/24 and its like): for tests
    #[arg(long)]
    pub(crate) allow_test_addresses: bool,
}

/// `adopt` takes what the other commands take, so that a line is changed in one word; it looks once and changes tags.
fn hide_what_only_following_needs(flag: Arg) -> Arg {
    let of_following =
        ["interval", "settle_poll", "confirm", "min_change_interval", "window", "on_change", "webhook", "healthcheck"];
    let is_one = of_following.contains(&flag.get_id().as_str());
    flag.hide(is_one)
}

/// A command that was given as one text.
#[derive(Clone, Debug)]
pub(crate) struct OnChange(pub(crate) Vec<String>);

fn words(text: &str) -> Result<OnChange, String> {
    command(text).map(OnChange)
}

fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err(format!("`{text}` is no time at all")),
        time => Ok(time),
    }
}
