//! Who is between: nobody, the release build, tinyproxy and squid, each asked to go on to one address.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bowline_base::atomic;
use bowline_rig::{Held, cpu_seconds};

use crate::{Outcome, Tools, credentials::wait_until};

const TINYPROXY: &str = "/usr/bin/tinyproxy";
const SQUID: &str = "/usr/sbin/squid";
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy, or none.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// Whether it is ours.
    pub(super) has_targets: bool,
    proxy: Option<Proxy>,
}

struct Proxy {
    address: SocketAddr,
    /// A header line with the key, where one is wanted.
    authorization: String,
    process: Held,
}

/// Nobody first, then ours; then the others that are there, and the names of those that are not.
pub(super) fn all(tools: &Tools, home: &Path, to: SocketAddr) -> Outcome<(Vec<Contestant>, Vec<&'static str>)> {
    let one = |name, has_targets, proxy| Contestant { name, has_targets, proxy };
    let mut all = vec![one("no proxy", false, None), one("bowline", true, Some(bowline(tools, home, to)?))];
    let mut missing = Vec::new();
    type Start = fn(&Path, SocketAddr) -> Outcome<Proxy>;
    let others: [(&str, &str, Start); 2] = [("tinyproxy", TINYPROXY, tinyproxy), ("squid", SQUID, squid)];
    for (name, program, start) in others {
        if Path::new(program).exists() {
            all.push(one(name, false, Some(start(home, to)?)));
        } else {
            missing.push(name);
        }
    }
    Ok((all, missing))
}

impl Contestant {
    /// A connection to `to`, through the proxy where there is one.
    pub(super) fn connect(&self, to: SocketAddr) -> Outcome<TcpStream> {
        let Some(proxy) = &self.proxy else { return Ok(TcpStream::connect(to)?) };
        let mut stream = TcpStream::connect(proxy.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let authorization = &proxy.authorization;
        stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n").as_bytes())?;
        // Byte by byte: what follows is the target's.
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        if head.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(format!("{}: {head}", self.name).into()) }
    }

    /// User and system time so far, in seconds.
    pub(super) fn cpu(&self) -> Outcome<f64> {
        self.id().map_or(Ok(0.0), cpu_seconds)
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.proxy.as_ref().map(|proxy| proxy.process.id())
    }
}

/// The whole server, with one user.
fn bowline(tools: &Tools, home: &Path, to: SocketAddr) -> Outcome<Proxy> {
    let (api, listen, address) = (free_address()?, free_address()?, free_address()?);
    atomic::write_private(&home.join("master"), b"the-master-key-of-this-bench")?;
    let ours = |words: &[&str]| {
        let mut command = Command::new(&tools.bowline);
        command.env_clear().env("HOME", home).env("XDG_RUNTIME_DIR", home).env("LOG_LEVEL", "warn");
        command.arg("vpn").args(words).stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let (master, store) = (home.join("master").display().to_string(), format!("file:{}", home.join("store").display()));
    let places = [api, listen, address].map(|place| place.to_string());
    let (port, [api, listen, proxy]) = (to.port().to_string(), &places);
    let mut serve = ours(&["serve", "--api", api, "--listen", listen, "--endpoint", listen, "--proxy", proxy]);
    serve.args([
        "--proxy-port",
        &port,
        "--egress-allow",
        "127.0.0.0/8",
        "--store",
        &store,
        "--master-key-file",
        &master,
    ]);
    let process = Held::new(serve.stdout(Stdio::null()).spawn()?);
    wait_until(PATIENCE, "bowline", || TcpStream::connect(address).is_ok())?;
    let set_up = ours(&["setup", &format!("http://{api}"), "--key-file", &master]).status()?;
    let made = ours(&["users", "add", "bench"]).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let key = made["api_key"].as_str().filter(|_| set_up.success()).ok_or("bowline makes no user")?;
    Ok(Proxy { address, authorization: format!("Proxy-Authorization: Bearer {key}\r\n"), process })
}

fn tinyproxy(home: &Path, to: SocketAddr) -> Outcome<Proxy> {
    let address = free_address()?;
    let config = home.join("tinyproxy.conf");
    let text = format!(
        "Port {}\nListen {}\nTimeout 600\nMaxClients 200\nAllow 127.0.0.1\nConnectPort {}\nLogLevel Error\n",
        address.port(),
        address.ip(),
        to.port()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(TINYPROXY);
    command.arg("-d").arg("-c").arg(config);
    started("tinyproxy", command, home, address)
}

fn squid(home: &Path, to: SocketAddr) -> Outcome<Proxy> {
    let address = free_address()?;
    let config = home.join("squid.conf");
    let text = format!(
        "http_port {address}\nacl target port {}\nhttp_access allow target\nhttp_access deny all\ncache deny all\ncache_mem 8 MB\n\
         access_log none\ncache_log /dev/null\ncache_store_log none\npid_filename none\npinger_enable off\nshutdown_lifetime 0 seconds\n",
        to.port()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(SQUID);
    command.arg("-N").arg("-f").arg(config);
    started("squid", command, home, address)
}

fn started(name: &str, mut command: Command, home: &Path, address: SocketAddr) -> Outcome<Proxy> {
    let log = File::create(home.join(format!("{name}.log")))?;
    let process = Held::new(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
    wait_until(PATIENCE, name, || TcpStream::connect(address).is_ok())?;
    Ok(Proxy { address, authorization: String::new(), process })
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
