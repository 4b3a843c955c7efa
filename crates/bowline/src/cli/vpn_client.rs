//! `vpn …` on the laptop: set up, users by the server's API, connect and put back.

use std::{path::PathBuf, time::Duration};

use bowline_base::units::UnitError;
use bowline_host::tls::Pin;
use bowline_tunnel::Prefix;
use clap::{Args, Subcommand};

use super::{Output, duration, size};

/// `vpn …` beside the server's commands.
#[derive(Debug, Subcommand)]
pub(crate) enum VpnClient {
    /// Remember a server, its certificate and a key for it
    #[command(
        after_help = "The key comes from --key-file, BOWLINE_VPN_KEY, a question at the terminal, or stdin. It is kept sealed with the bytes of ~/.ssh/id_ed25519 where that key is protected, else in a file that only its owner reads.\nA server with a certificate of its own making is pinned: it prints `sha256:…` when it starts.\n\nExamples:\n  bowline vpn setup https://vpn.example.net:8000 --pin sha256:…\n  bowline vpn setup https://vpn.example.net:8000 --key-file alice.key"
    )]
    Setup(VpnSetup),
    /// Manage users, with the administrator's key
    #[command(subcommand)]
    Users(VpnUsers),
    /// As `users add`
    #[command(hide = true)]
    Create(VpnUsersAdd),
    /// Bring a link up by wg-quick, and route into it
    #[command(
        after_help = "As root. Everything goes through the link, DNS without exception; networks that this machine is part of stay reachable. What was there is put back by `disconnect`, on Ctrl+C with --foreground, and after a crash by `restore`.\nWithout WireGuard in the kernel: WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go.\nWhere UDP is blocked: --proxy carries the session in one CONNECT stream to URL, else to $VPN_PROXY_HOST:$VPN_PROXY_PORT, else to where the server says, else to localhost:3128.\n\nExamples:\n  sudo -E bowline vpn connect alice\n  sudo -E bowline vpn connect alice --split 10.0.0.0/8 --foreground\n  sudo -E bowline vpn connect alice --proxy\n  sudo bowline vpn connect --conf alice.conf"
    )]
    Connect(VpnConnect),
    /// Take the link down and put everything back
    #[command(after_help = "Examples:\n  sudo -E bowline vpn disconnect\n  sudo -E bowline vpn disconnect alice")]
    Disconnect(VpnDisconnect),
    /// Show the link, and under which address the world sees this machine
    #[command(after_help = "Examples:\n  sudo -E bowline vpn status\n  sudo -E bowline vpn status --output json")]
    Status(VpnStatus),
    /// Try a TCP connection, by whatever way packets take now
    #[command(after_help = "Example:\n  bowline vpn test example.com 443")]
    Test(VpnTest),
    /// Put back routes and DNS after a crash; nothing where nothing is left
    #[command(after_help = "Example:\n  sudo -E bowline vpn restore")]
    Restore,
}

/// `vpn setup`
#[derive(Debug, Args)]
pub(crate) struct VpnSetup {
    /// https://HOST:PORT of the server's API
    pub(crate) url: String,
    /// The one certificate that the server may show: sha256:… as it printed it
    #[arg(long, value_name = "PIN")]
    pub(crate) pin: Option<Pin>,
    /// File with the key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// `vpn users …`
#[derive(Debug, Subcommand)]
pub(crate) enum VpnUsers {
    /// Make a user; its API key is shown once
    #[command(
        after_help = "Examples:\n  bowline vpn users add alice\n  bowline vpn users add guest --quota '5 GiB' --expires-in 24h"
    )]
    Add(VpnUsersAdd),
    /// List users
    #[command(after_help = "Examples:\n  bowline vpn users ls\n  bowline vpn users ls --output json")]
    Ls(Output),
    /// Change what a user may use, or shut it out for a while
    #[command(
        after_help = "Prints the user as it is then. What is not named stays as it is.\n\nExamples:\n  bowline vpn users set guest --quota '10 GiB' --expires-in 48h\n  bowline vpn users set guest --quota none --upload-limit '1 MiB' --reset-usage\n  bowline vpn users set guest --disable"
    )]
    Set(VpnUsersSet),
    /// Give a user new keys, WireGuard's and the API's; the old ones end
    #[command(after_help = "Example:\n  bowline vpn users rotate alice")]
    Rotate(VpnUser),
    /// Show one user: traffic, last handshake, source address
    #[command(after_help = "Example:\n  bowline vpn users show alice")]
    Show(VpnUser),
    /// Remove a user; its connections end within two seconds
    #[command(after_help = "Example:\n  bowline vpn users rm alice")]
    Rm(VpnUser),
    /// Print a user's configuration as a QR code
    #[command(
        after_help = "Examples:\n  bowline vpn users qr alice\n  umask 077; bowline vpn users qr alice --svg > alice.svg"
    )]
    Qr(VpnUsersQr),
    /// Make a link that sets the VPN up once, on the device that opens it
    #[command(after_help = "Example:\n  bowline vpn users invite bob --valid 48h")]
    Invite(VpnUsersInvite),
}

/// One user.
#[derive(Debug, Args)]
pub(crate) struct VpnUser {
    /// Name of the user
    pub(crate) name: String,
}

/// `vpn users add`
#[derive(Debug, Args)]
pub(crate) struct VpnUsersAdd {
    /// Name of the user
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) bounds: VpnBounds,
    /// The user's own WireGuard key: the server never sees the private half
    #[arg(long, value_name = "KEY")]
    pub(crate) public_key: Option<String>,
}

/// What a user may use.
#[derive(Debug, Args)]
pub(crate) struct VpnBounds {
    /// The user ends by itself after so long
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub(crate) expires_in: Option<Duration>,
    /// Bytes in both directions together
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) quota: Option<u64>,
    /// Bytes a second to the user
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) download_limit: Option<u64>,
    /// Bytes a second from the user
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) upload_limit: Option<u64>,
}

/// `vpn users set`
#[derive(Debug, Args)]
pub(crate) struct VpnUsersSet {
    /// Name of the user
    pub(crate) name: String,
    /// The user ends by itself after so long from now; `never` takes an end away
    #[arg(long, value_name = "DURATION|never", value_parser = end)]
    pub(crate) expires_in: Option<Bound<Duration>>,
    /// Bytes in both directions together; `none` takes the limit away
    #[arg(long, value_name = "SIZE|none", value_parser = bound)]
    pub(crate) quota: Option<Bound<u64>>,
    /// Bytes a second to the user
    #[arg(long, value_name = "SIZE|none", value_parser = bound)]
    pub(crate) download_limit: Option<Bound<u64>>,
    /// Bytes a second from the user
    #[arg(long, value_name = "SIZE|none", value_parser = bound)]
    pub(crate) upload_limit: Option<Bound<u64>>,
    /// Count its traffic from zero
    #[arg(long)]
    pub(crate) reset_usage: bool,
    /// Shut it out; its connections end within two seconds
    #[arg(long, conflicts_with = "enable")]
    pub(crate) disable: bool,
    /// Let it in again
    #[arg(long)]
    pub(crate) enable: bool,
}

/// A limit, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound<T> {
    /// Up to here.
    At(T),
    /// Without end.
    Free,
}

/// `vpn users qr`
#[derive(Debug, Args)]
pub(crate) struct VpnUsersQr {
    /// Name of the user
    pub(crate) name: String,
    /// As an image
    #[arg(long)]
    pub(crate) svg: bool,
}

/// `vpn users invite`
#[derive(Debug, Args)]
pub(crate) struct VpnUsersInvite {
    /// Name of the user that the link makes
    pub(crate) name: String,
    /// How long the link can be used [default: the server's]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) valid: Option<Duration>,
    #[command(flatten)]
    pub(crate) bounds: VpnBounds,
}

/// `vpn connect`
#[derive(Debug, Args)]
pub(crate) struct VpnConnect {
    /// User whose configuration the server is asked for
    #[arg(required_unless_present = "conf")]
    pub(crate) name: Option<String>,
    /// A configuration in a file instead, as wg-quick reads it
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) conf: Option<PathBuf>,
    /// Stay, and put everything back on Ctrl+C
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Route only this range; can be given more than once [default: what the configuration allows]
    #[arg(long, value_name = "CIDR")]
    pub(crate) split: Vec<Prefix>,
    /// Carry the session in one CONNECT stream of the VPN's proxy
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    pub(crate) proxy: Option<String>,
    /// Name of the interface
    #[arg(long, value_name = "NAME", default_value = "bowline0", value_parser = interface)]
    pub(crate) interface: String,
}

/// `vpn disconnect`
#[derive(Debug, Args)]
pub(crate) struct VpnDisconnect {
    /// Only if it is this user's link
    pub(crate) name: Option<String>,
}

/// `vpn status`
#[derive(Debug, Args)]
pub(crate) struct VpnStatus {
    /// Who is asked for the exit address; empty for nobody
    #[arg(long, value_name = "URL", default_value = "https://checkip.amazonaws.com/")]
    pub(crate) exit_from: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `vpn test`
#[derive(Debug, Args)]
pub(crate) struct VpnTest {
    /// Name or address
    pub(crate) host: String,
    /// TCP port
    pub(crate) port: u16,
}

fn bound(text: &str) -> Result<Bound<u64>, UnitError> {
    if text == "none" { Ok(Bound::Free) } else { size(text).map(Bound::At) }
}

fn end(text: &str) -> Result<Bound<Duration>, String> {
    if text == "never" { Ok(Bound::Free) } else { lifetime(text).map(Bound::At) }
}

/// Longer than this nobody means, and no calendar reaches.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 86400);

fn lifetime(text: &str) -> Result<Duration, String> {
    match duration(text).map_err(|error| error.to_string())? {
        time if time <= LONGEST_LIFE => Ok(time),
        _ => Err("longer than a hundred years: users without an end are the default".to_owned()),
    }
}

/// What Linux takes, without anything that a shell would.
fn interface(text: &str) -> Result<String, String> {
    let fits = (1..=15).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        && !text.starts_with('-');
    if fits { Ok(text.to_owned()) } else { Err("1 to 15 letters, digits, `_` and `-`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, Vpn};

    fn connect(words: &str) -> Option<VpnConnect> {
        let line = format!("bowline vpn connect {words}");
        match Cli::try_parse_from(line.split_whitespace()).ok()?.command {
            Command::Vpn(Vpn::Client(VpnClient::Connect(connect))) => Some(connect),
            _ => None,
        }
    }

    #[test]
    fn connect_takes_a_user_or_a_file_and_a_proxy_with_and_without_its_place() {
        assert_eq!(connect("alice --split 10.0.0.0/8 --split fd00::/8").unwrap().split.len(), 2);
        assert_eq!(connect("alice").unwrap().proxy, None);
        assert_eq!(connect("alice --proxy").unwrap().proxy.as_deref(), Some(""));
        assert_eq!(connect("--conf a.conf --proxy http://p:3128").unwrap().proxy.as_deref(), Some("http://p:3128"));
        assert!(connect("").is_none() && connect("alice --conf a.conf").is_none());
        assert!(connect("alice --interface -x;rm").is_none());
    }

    #[test]
    fn a_change_says_what_changes() {
        let set = |words: &str| {
            let line = format!("bowline vpn users set alice {words}");
            match Cli::try_parse_from(line.split_whitespace()).ok()?.command {
                Command::Vpn(Vpn::Client(VpnClient::Users(VpnUsers::Set(set)))) => Some(set),
                _ => None,
            }
        };
        let changed = set("--quota none --expires-in 2h --upload-limit 1MiB").unwrap();
        assert_eq!((changed.quota, changed.upload_limit), (Some(Bound::Free), Some(Bound::At(1 << 20))));
        assert_eq!(changed.expires_in, Some(Bound::At(Duration::from_secs(7200))));
        assert_eq!(set("--expires-in never").unwrap().expires_in, Some(Bound::Free));
        assert!(set("--enable --disable").is_none() && set("--quota much").is_none());
        assert!(set("--expires-in 9999999d").is_none() && set("--expires-in 36500d").is_some());
    }
}
