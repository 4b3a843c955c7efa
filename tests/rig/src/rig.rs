//! A server's namespace and those of its clients, each at the end of a cable of its own.
//!
//! ```text
//! client 1   10.99.1.2 ─── 10.99.1.1 ┐                    inside the tunnel: 10.77.0.2, fd77::2
//! client 2   10.99.2.2 ─── 10.99.2.1 ┤ server, with       inside the tunnel: 10.77.0.3, fd77::3
//! …                                  ┘ the targets        itself: 10.77.0.1, fd77::1
//! ```
//!
//! The targets, 198.51.100.10 and 2001:db8:51::10, are addresses of the server's namespace.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{Client, Keys, Link, NOBODY, Namespace, Outcome, client};

/// Where the server listens. The namespace is its own: nobody else can have the port.
pub const PORT: u16 = 51_820;

/// A server's namespace with clients around it.
pub struct Rig {
    /// Where the server and its targets are.
    pub server: Namespace,
    /// Its keys.
    pub keys: Keys,
    /// In order of their numbers.
    pub clients: Vec<Client>,
    /// What clients run: Debian's `wireguard-go`, or what `BOWLINE_TEST_WIREGUARD_GO` names.
    pub wireguard_go: String,
    folder: TempDir,
}

impl Rig {
    /// What clients reach through the tunnel.
    pub const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
    /// The same of the other family.
    pub const TARGET6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x10);
    /// The server inside the tunnel.
    pub const INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    /// The same of the other family.
    pub const INNER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
    /// What a server has to allow, so that the targets can be reached: they are addresses of its own machine, which open
    /// by nothing wider than themselves.
    pub const ALLOW: [&'static str; 2] = ["198.51.100.10", "2001:db8:51::10"];

    /// A server's namespace and `clients` of them, not connected as yet.
    ///
    /// # Errors
    /// This machine does not let us; see [`missing`].
    pub fn new(clients: u8) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("bowline-rig-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let server = Namespace::new()?;
        server.ip(&format!("addr add {}/32 dev lo", Self::TARGET))?;
        server.ip(&format!("addr add {}/128 dev lo nodad", Self::TARGET6))?;
        let clients = (1..=clients)
            .map(|number| {
                let client = Client::new(number, folder.path().join(format!("client-{number}")))?;
                cable(&server, &client, number)?;
                Ok(client)
            })
            .collect::<Outcome<_>>()?;
        Ok(Self { server, keys: Keys::new()?, clients, wireguard_go: client::program(), folder })
    }

    /// Gives the server's namespace another target.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn add_target(&self, address: IpAddr) -> Outcome<()> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let nodad = if address.is_ipv4() { "" } else { "nodad" };
        self.server.ip(&format!("addr add {address}/{bits} dev lo {nodad}"))
    }

    /// What `bowline vpn serve --peers` reads: the server's key and every client that `admitted` names.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn peers_file(&self, admitted: impl Fn(&Client) -> bool) -> Outcome<PathBuf> {
        let path = self.path("peers.conf");
        let beside = self.path("peers.new");
        fs::write(&beside, self.configuration(admitted))?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        chown(&beside, Some(NOBODY), Some(NOBODY))?;
        fs::rename(&beside, &path)?;
        Ok(path)
    }

    /// The server's side in the format of wg(8).
    pub fn configuration(&self, admitted: impl Fn(&Client) -> bool) -> String {
        let mut text = format!("[Interface]\nPrivateKey = {}\nListenPort = {PORT}\n", self.keys.private);
        for client in self.clients.iter().filter(|client| admitted(client)) {
            let (inner, inner6) = (client.inner(), client.inner6());
            let (key, preshared) = (&client.keys.public, &client.preshared_key);
            write!(
                text,
                "\n[Peer]\nPublicKey = {key}\nPresharedKey = {preshared}\nAllowedIPs = {inner}/32, {inner6}/128\n"
            )
            .expect("a string takes everything");
        }
        text
    }

    /// Connects the client `index` straight.
    ///
    /// # Errors
    /// `wireguard-go`, `wg` or `ip` failed.
    pub fn connect(&mut self, index: usize) -> Outcome<()> {
        let link = Link::to(self.endpoint(index));
        self.connect_by(index, &link)
    }

    /// Connects the client `index` as `link` says.
    ///
    /// # Errors
    /// `wireguard-go`, `wg` or `ip` failed.
    pub fn connect_by(&mut self, index: usize, link: &Link) -> Outcome<()> {
        self.clients[index].connect(&self.wireguard_go, &self.keys.public, link)
    }

    /// Where the client `index` finds the server.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> SocketAddr {
        (self.clients[index].server(), PORT).into()
    }

    /// A path in the rig's own folder, where [`crate::NOBODY`] may read what is his.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The cable between the server and the client `number`.
fn cable(server: &Namespace, client: &Client, number: u8) -> Outcome<()> {
    let far = client.namespace.id();
    server.ip(&format!("link add client{number} type veth peer name outside netns {far}"))?;
    server.ip(&format!("addr add {}/24 dev client{number}", client.server()))?;
    server.ip(&format!("addr add fd99:{number}::1/64 dev client{number} nodad"))?;
    server.ip(&format!("link set client{number} up"))?;
    client.namespace.ip(&format!("addr add {}/24 dev outside", client.outer()))?;
    client.namespace.ip(&format!("addr add fd99:{number}::2/64 dev outside nodad"))?;
    client.namespace.ip("link set outside up")
}

/// What this machine lacks for a rig, if anything.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces: only root can make them".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("a WireGuard client: there is no /dev/net/tun".to_owned());
    }
    let wireguard = client::program();
    for program in [wireguard.as_str(), "wg", "ip", "nsenter", "unshare", "setpriv"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Some(format!("a WireGuard client: there is no `{program}`"));
        }
    }
    Namespace::new().err().map(|why| why.to_string())
}
