//! A client: a namespace of its own with a real `wireguard-go` in it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::{Held, Keys, Namespace, Outcome};

/// Longest that the interface may take to be there.
const PATIENCE: Duration = Duration::from_secs(15);
/// The tunnel's interface in the client's namespace.
const DEVICE: &str = "wg0";

/// How a client is connected.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where the server is.
    pub endpoint: SocketAddr,
    /// Of the tunnel's interface.
    pub mtu: u16,
    /// Seconds between keepalives; 0 is none.
    pub keepalive: u16,
}

impl Link {
    /// To `endpoint`, as `wg-quick` would.
    #[must_use]
    pub fn to(endpoint: SocketAddr) -> Self {
        Self { endpoint, mtu: 1420, keepalive: 0 }
    }
}

/// A client of the rig.
pub struct Client {
    /// Where its programs run.
    pub namespace: Namespace,
    /// Its keys.
    pub keys: Keys,
    /// What it shares with the server beforehand.
    pub preshared_key: String,
    number: u8,
    folder: PathBuf,
    wireguard: Option<Held>,
}

impl Client {
    /// The client `number` (from 1), which writes its configuration into `folder`.
    pub(crate) fn new(number: u8, folder: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(&folder)?;
        let (keys, preshared_key) = (Keys::new()?, crate::preshared_key()?);
        Ok(Self { namespace: Namespace::new()?, keys, preshared_key, number, folder, wireguard: None })
    }

    /// Its address inside the tunnel.
    #[must_use]
    pub fn inner(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number + 1)
    }

    /// The same of the other family.
    #[must_use]
    pub fn inner6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(self.number) + 1)
    }

    /// Its address outside of the tunnel.
    #[must_use]
    pub fn outer(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 2)
    }

    /// Where it sees the server, outside of the tunnel.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 1)
    }

    /// Brings the tunnel up, with everything routed into it.
    ///
    /// # Errors
    /// `wireguard-go`, `wg` or `ip` failed.
    pub fn connect(&mut self, wireguard_go: &str, server_key: &str, link: &Link) -> Outcome<()> {
        self.wireguard = Some(start_wireguard(&self.namespace, DEVICE, wireguard_go)?);
        self.configure(server_key, link)?;
        self.namespace.ip(&format!("addr add {}/32 dev {DEVICE}", self.inner()))?;
        self.namespace.ip(&format!("addr add {}/128 dev {DEVICE} nodad", self.inner6()))?;
        self.namespace.ip(&format!("link set {DEVICE} mtu {} up", link.mtu))?;
        self.namespace.ip(&format!("route add default dev {DEVICE}"))?;
        self.namespace.ip(&format!("-6 route add default dev {DEVICE}"))
    }

    /// Gives the running tunnel another server or another way to it.
    ///
    /// # Errors
    /// `wg` failed.
    pub fn configure(&self, server_key: &str, link: &Link) -> Outcome<()> {
        let keepalive = if link.keepalive == 0 { "off".to_owned() } else { link.keepalive.to_string() };
        let text = format!(
            "[Interface]\nPrivateKey = {}\n[Peer]\nPublicKey = {server_key}\nPresharedKey = {}\nEndpoint = {}\n\
             AllowedIPs = 0.0.0.0/0, ::/0\nPersistentKeepalive = {keepalive}\n",
            self.keys.private, self.preshared_key, link.endpoint
        );
        let path = self.folder.join("client.conf");
        fs::write(&path, text)?;
        self.wg(&["setconf", DEVICE, &path.to_string_lossy()]).map(drop)
    }

    /// Runs `wg` on the client's side.
    ///
    /// # Errors
    /// What it says.
    pub fn wg(&self, arguments: &[&str]) -> Outcome<String> {
        self.namespace.run("wg", arguments)
    }

    /// Seconds since 1970 at the last handshake, 0 before the first.
    ///
    /// # Errors
    /// `wg` failed.
    pub fn last_handshake(&self) -> Outcome<u64> {
        let text = self.wg(&["show", DEVICE, "latest-handshakes"])?;
        Ok(text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0))
    }

    /// An address of a family, inside the tunnel.
    #[must_use]
    pub fn inner_of(&self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.inner().into() } else { self.inner6().into() }
    }

    /// The process of its `wireguard-go`.
    #[must_use]
    pub fn wireguard(&self) -> Option<u32> {
        self.wireguard.as_ref().map(Held::id)
    }
}

/// The program `wireguard_go` with an interface in `namespace`, without keys or peers as yet.
///
/// # Errors
/// It does not come up.
pub fn start_wireguard(namespace: &Namespace, device: &str, wireguard_go: &str) -> Outcome<Held> {
    let mut command = namespace.command(wireguard_go);
    command.args(["-f", device]).env("LOG_LEVEL", "error");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut held = Held::new(command.spawn()?);
    let start = Instant::now();
    while namespace.run("wg", &["show", device]).is_err() {
        if held.ended()?.is_some() || start.elapsed() > PATIENCE {
            return Err(format!("`{wireguard_go}` does not come up").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(held)
}

/// Debian's, or the one that the environment names.
pub(crate) fn program() -> String {
    std::env::var("BOWLINE_TEST_WIREGUARD_GO").unwrap_or_else(|_| "wireguard-go".to_owned())
}
