//! `vpn …`.

use std::{net::SocketAddr, path::PathBuf};

use bowline_tunnel::Prefix;
use clap::{Args, Subcommand};

use super::{VpnClient, duration, size};
use crate::config::{StorePlace, subnet, vpn_endpoint};

/// `vpn …`
#[derive(Debug, Subcommand)]
pub(crate) enum Vpn {
    /// Serve WireGuard clients without TUN, root or a capability: users with an API and a page, or the peers of a file
    #[command(
        after_help = "Users are kept in --store and managed by the API and the page at its address. The API speaks TLS; clients pin its certificate, whose fingerprint is in the log. On this machine plain HTTP works as well.\nWith the embedded store the master key is printed once, at the first start.\n\nVariables: BOWLINE_VPN_MASTER_KEY, SSM_PREFIX (the store ssm:/PREFIX), API_PORT (the API on 0.0.0.0), PROXY_PORT (the proxy on 0.0.0.0), VPN_PROXY_HOST and VPN_PROXY_PORT (what clients are told of the proxy), AWS_REGION.\n\nWith --peers no users are kept. FILE is in the format of wg(8): [Interface] with PrivateKey, a [Peer] with PublicKey and AllowedIPs for each client.\nOf wg-quick's keys Address, MTU and ListenPort are used. SIGHUP reads the peers again: who stays is not disturbed, who is gone is cut at once. SIGTERM ends it at once; clients recover by themselves when it is back.\n\nClients reach public addresses. Private ranges open by --egress-allow, which opens an address of this machine only where it is exactly that address, and loopback and link-local addresses only where the range lies within those.\nThe server's own ports and the credentials of its role stay shut.\n\nExamples:\n  bowline vpn serve --endpoint vpn.example.net:51820\n  bowline vpn serve --store ssm:/ephem-vpn --api 0.0.0.0:8000 --stop-when-idle 30m\n  bowline vpn serve --peers wg.conf\n  bowline vpn serve --peers wg.conf --listen 0.0.0.0:51820 --listen '[::]:51820'\n  bowline vpn serve --peers wg.conf --egress-allow 10.20.0.0/16 --status 127.0.0.1:9920\n  bowline vpn serve --peers wg.conf --quota '50 GiB' --usage /var/lib/bowline/usage"
    )]
    Serve(Box<VpnServe>),
    /// Make the server's key, once; or another one, once for each configuration that asks for it
    #[command(
        after_help = "Prints `made`, `kept` or `regenerated` and the public key. Servers honour the key before a regeneration beside the new one, so that clients move when they like; `GET /users/ID` says `former_server_key` of who has not, and --forget-previous ends it.\nFILE has the keys ssm_prefix, key_algorithm (curve25519), key_purpose (wireguard-server) and regenerate_keys; any other key in it makes it another configuration.\n\nExamples:\n  bowline vpn keygen --store ssm:/ephem-vpn\n  bowline vpn keygen --config keygen-config.json\n  bowline vpn keygen --store ssm:/ephem-vpn --forget-previous"
    )]
    Keygen(VpnKeygen),
    /// What runs on the laptop.
    #[command(flatten)]
    Client(VpnClient),
}

/// `vpn keygen`
#[derive(Clone, Debug, Args)]
pub(crate) struct VpnKeygen {
    /// The task's own file, JSON with the keys below, or a bowline.toml [default of the latter: as everywhere]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// file:DIR or ssm:/PREFIX [default: ssm_prefix of --config, then as for `vpn serve`]
    #[arg(long, value_name = "STORE", value_parser = store)]
    pub(crate) store: Option<StorePlace>,
    /// Region of the store [default: $AWS_REGION, the profile's, us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Profile that may write to the store
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Make nothing: remove the key before the last regeneration, once clients have moved
    #[arg(long)]
    pub(crate) forget_previous: bool,
    #[command(flatten)]
    pub(crate) output: super::Output,
}

/// `vpn serve`
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct VpnServe {
    /// The server's key and its peers, in the format of wg(8), instead of a store with users
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "api", "proxy", "no_proxy", "endpoint", "proxy_endpoint", "subnet", "stop_when_idle"])]
    pub(crate) peers: Option<PathBuf>,
    /// Where clients send to; can be given more than once [default: 0.0.0.0 with the file's ListenPort, else 51820]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Readiness, metrics and a page for people
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) status: Option<SocketAddr>,
    /// The largest packet inside the tunnel [default: the file's MTU, else 1420]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1280..=9000))]
    pub(crate) mtu: Option<u16>,
    #[command(flatten)]
    pub(crate) users: UserFlags,
    #[command(flatten)]
    pub(crate) egress: EgressFlags,
    #[command(flatten)]
    pub(crate) dns: DnsFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// Users, and who manages them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Users, the API and its page")]
pub(crate) struct UserFlags {
    /// file:DIR or ssm:/PREFIX [default: ssm:/$SSM_PREFIX, else `vpn` in the state directory]
    #[arg(long, value_name = "STORE", value_parser = store)]
    pub(crate) store: Option<StorePlace>,
    /// Where the API and the page listen [default: 127.0.0.1:8000; another address by $BOWLINE_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) api: Option<SocketAddr>,
    /// Let users out by CONNECT as well, here [default: 127.0.0.1:3128, if it is free; another address by $BOWLINE_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) proxy: Option<SocketAddr>,
    /// Let nobody out by CONNECT
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_proxy: bool,
    /// Port that the proxy dials; can be given more than once [default: 80 and 443]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) proxy_port: Vec<u16>,
    /// What clients are told [default: an address of this machine]
    #[arg(long, value_name = "HOST:PORT", value_parser = vpn_endpoint)]
    pub(crate) endpoint: Option<String>,
    /// What clients are told of the proxy [default: $VPN_PROXY_HOST and $VPN_PROXY_PORT, else localhost and its port]
    #[arg(long, value_name = "HOST:PORT", value_parser = vpn_endpoint)]
    pub(crate) proxy_endpoint: Option<String>,
    /// How links of invitations begin [default: as the API was asked]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Addresses of users [default: 10.77.0.0/16]
    #[arg(long, value_name = "CIDR", value_parser = subnet)]
    pub(crate) subnet: Option<bowline_vpn::server::addresses::Subnet>,
    /// File with the administrator's key [default: $BOWLINE_VPN_MASTER_KEY, else the store's]
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Certificate of the API, PEM [default: one of its own making]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// End when nothing was sent or changed for so long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) stop_when_idle: Option<std::time::Duration>,
    /// Region of the store [default: $AWS_REGION, the profile's, us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Profile that may read and write the store
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
}

/// Who may be reached through us.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What clients reach")]
pub(crate) struct EgressFlags {
    /// Open this range, though it is private; an address of this machine opens only by itself; can be given more than once
    #[arg(long, value_name = "CIDR")]
    pub(crate) egress_allow: Vec<Prefix>,
    /// Let every client become the role of this machine: opens 169.254.169.254, 169.254.170.2 and their like
    #[arg(long)]
    pub(crate) dangerously_expose_credential_addresses: bool,
    /// Let clients send mail: opens port 25
    #[arg(long)]
    pub(crate) allow_smtp: bool,
    /// Let clients reach each other
    #[arg(long)]
    pub(crate) client_to_client: bool,
}

/// Names for clients.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "DNS on the server's address inside the tunnel")]
pub(crate) struct DnsFlags {
    /// Ask this resolver; can be given more than once [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = crate::config::resolver)]
    pub(crate) dns: Vec<SocketAddr>,
    /// Answer no DNS
    #[arg(long, conflicts_with = "dns")]
    pub(crate) no_dns: bool,
}

/// What one client may use.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What one client may use (with --peers; users have limits of their own)")]
pub(crate) struct LimitFlags {
    /// Bytes a second to a client
    #[arg(long, requires = "peers", value_name = "SIZE", value_parser = size)]
    pub(crate) download_limit: Option<u64>,
    /// Bytes a second from a client
    #[arg(long, requires = "peers", value_name = "SIZE", value_parser = size)]
    pub(crate) upload_limit: Option<u64>,
    /// Bytes in both directions together, ever; goes on over restarts with --usage
    #[arg(long, requires = "peers", value_name = "SIZE", value_parser = size)]
    pub(crate) quota: Option<u64>,
    /// Where to keep what each client has used
    #[arg(long, requires = "peers", value_name = "FILE")]
    pub(crate) usage: Option<PathBuf>,
    /// Connections and mappings at once [default: 2048]
    #[arg(long, requires = "peers", value_name = "COUNT")]
    pub(crate) flows: Option<usize>,
    /// Connections that are being dialled at once [default: 64]
    #[arg(long, requires = "peers", value_name = "COUNT")]
    pub(crate) dials: Option<usize>,
}

/// A directory on the command line may be relative to where the user is.
fn store(text: &str) -> Result<StorePlace, String> {
    let Some(path) = text.strip_prefix("file:") else { return StorePlace::parse(text) };
    std::path::absolute(path).map(StorePlace::File).map_err(|error| format!("`{path}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    #[test]
    fn every_flag_of_serve_is_understood() {
        let words = "bowline vpn serve --peers p --listen 0.0.0.0:51820 --listen [::]:51820 --egress-allow 10.0.0.0/8 \
                     --egress-allow fd00::1 --allow-smtp --client-to-client --mtu 1280 --dns 10.0.0.2 --dns [::1]:5353 \
                     --status 127.0.0.1:0 --quota 5GiB --flows 9 --dangerously-expose-credential-addresses";
        let cli = Cli::parse_from(words.split_whitespace());
        let Command::Vpn(Vpn::Serve(serve)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(serve.dns.dns, ["10.0.0.2:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
        assert_eq!((serve.listen.len(), serve.egress.egress_allow.len()), (2, 2));
        assert_eq!((serve.limits.quota, serve.limits.flows), (Some(5 << 30), Some(9)));
        assert!(Cli::try_parse_from("bowline vpn serve --mtu 1279".split_whitespace()).is_err());
        assert!(serve.egress.dangerously_expose_credential_addresses && !serve.dns.no_dns);
    }
}
