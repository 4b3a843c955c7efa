//! `vpn …`.

use std::{net::SocketAddr, path::PathBuf};

use bowline_tunnel::Prefix;
use clap::{Args, Subcommand};

use super::size;

/// `vpn …`
#[derive(Debug, Subcommand)]
pub(crate) enum Vpn {
    /// Serve WireGuard clients without TUN, root or a capability
    #[command(
        after_help = "FILE is in the format of wg(8): [Interface] with PrivateKey, a [Peer] with PublicKey and AllowedIPs for each client.\nOf wg-quick's keys Address, MTU and ListenPort are used. SIGHUP reads the peers again: who stays is not disturbed,\nwho is gone is cut at once. SIGTERM ends it at once; clients recover by themselves when it is back.\n\nClients reach public addresses. Private ranges open by --egress-allow; this machine, its neighbours' link-local\naddresses and the credentials of its role stay shut.\n\nExamples:\n  bowline vpn serve --peers wg.conf\n  bowline vpn serve --peers wg.conf --listen 0.0.0.0:51820 --listen '[::]:51820' --status 127.0.0.1:9920\n  bowline vpn serve --peers wg.conf --egress-allow 10.20.0.0/16 --quota '50 GiB' --usage /var/lib/bowline/usage"
    )]
    Serve(VpnServe),
}

/// `vpn serve`
#[derive(Clone, Debug, Args)]
pub(crate) struct VpnServe {
    /// The server's key and its peers, in the format of wg(8)
    #[arg(long, value_name = "FILE")]
    pub(crate) peers: PathBuf,
    /// Where clients send to; can be given more than once [default: 0.0.0.0 with the file's ListenPort, else 51820]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Readiness, metrics and a page for people
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) status: Option<SocketAddr>,
    /// The largest packet inside the tunnel [default: the file's MTU, else 1420]
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<u16>,
    #[command(flatten)]
    pub(crate) egress: EgressFlags,
    #[command(flatten)]
    pub(crate) dns: DnsFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// Who may be reached through us.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What clients reach")]
pub(crate) struct EgressFlags {
    /// Open this range, though it is private; can be given more than once
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
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    pub(crate) dns: Vec<SocketAddr>,
    /// Answer no DNS
    #[arg(long, conflicts_with = "dns")]
    pub(crate) no_dns: bool,
}

/// What one client may use.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What one client may use")]
pub(crate) struct LimitFlags {
    /// Bytes a second to a client
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) download_limit: Option<u64>,
    /// Bytes a second from a client
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) upload_limit: Option<u64>,
    /// Bytes in both directions together, ever; goes on over restarts with --usage
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) quota: Option<u64>,
    /// Where to keep what each client has used
    #[arg(long, value_name = "FILE")]
    pub(crate) usage: Option<PathBuf>,
    /// Connections and mappings at once [default: 2048]
    #[arg(long, value_name = "COUNT")]
    pub(crate) flows: Option<usize>,
    /// Connections that are being dialled at once [default: 64]
    #[arg(long, value_name = "COUNT")]
    pub(crate) dials: Option<usize>,
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| "write an address, or an address and a port like 10.0.0.2:53".to_owned())
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
        assert!(serve.egress.dangerously_expose_credential_addresses && !serve.dns.no_dns);
    }
}
