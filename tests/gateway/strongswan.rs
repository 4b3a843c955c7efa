//! Debian's strongSwan at both ends, each in a network namespace of its own, with IPsec in user space (the kernel need
//! have none): what is rendered loads, the tunnel comes up, and after a change of address the hook brings it up again.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use super::{
    device::keys,
    site::{A, B, Site, quick},
};
use crate::harness::{Finished, Running, World, skip, until};

const PATIENCE: Duration = Duration::from_secs(40);
const AWS: [&str; 2] = ["192.0.2.11", "192.0.2.12"];
/// One a tunnel, so that both proposals of the rendered file are used.
const PROPOSALS: [&str; 2] = ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048"];
const NAME: &str = "gateway-strongswan";

/// One end: a network namespace with a charon in it.
struct End {
    folder: PathBuf,
    namespace: Running,
    _charon: Option<Running>,
}

impl End {
    fn new(world: &World, name: &str) -> Self {
        let folder = world.path(name);
        for sub in ["", "conf.d"] {
            bowline_base::atomic::private_directory(&folder.join(sub)).unwrap();
        }
        // It ends by itself, should nobody be there any more to end it.
        let namespace = world.start("namespace", Command::new("unshare").args(["--net", "sleep", "300"]));
        let end = Self { folder, namespace, _charon: None };
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let its = format!("/proc/{}/ns/net", end.namespace.id());
        until(PATIENCE, "the namespace is there", || fs::read_link(&its).is_ok_and(|its| its != own));
        end.ip("link set lo up");
        end
    }

    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.namespace.id().to_string(), "--net", program]);
        command
    }

    #[track_caller]
    fn ip(&self, line: &str) {
        let output = self.inside("ip").args(line.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, name: &str, text: &str) {
        bowline_base::atomic::write_private(&self.folder.join(name), text.as_bytes()).unwrap();
    }

    fn start_charon(&mut self, world: &World) {
        let folder = self.folder.display();
        self.write(
            "strongswan.conf",
            &format!(
                "charon-systemd {{\n load_modular = no\n load = random nonce drbg kdf aes sha1 sha2 hmac gcm gmp openssl \
                 kernel-libipsec kernel-netlink socket-default vici\n retransmit_base = 1.2\n retransmit_timeout = 1\n \
                 journal {{ default = -1 }}\n filelog {{ log {{ path = {folder}/log\n default = 1\n flush_line = yes }} }}\n \
                 plugins {{ vici {{ socket = unix://{folder}/vici }} }}\n}}\nswanctl {{ load = pem pkcs1 x509 openssl }}\n"
            ),
        );
        self.write("swanctl.conf", "include conf.d/*.conf\n");
        let mut charon = self.inside("/usr/sbin/charon-systemd");
        self._charon = Some(world.start("charon", charon.env("STRONGSWAN_CONF", self.folder.join("strongswan.conf"))));
        until(PATIENCE, "charon answers", || self.swanctl("--stats").status.success());
    }

    fn swanctl(&self, what: &str) -> Output {
        let (folder, mut command) = (&self.folder, Command::new("/usr/sbin/swanctl"));
        command.env("STRONGSWAN_CONF", folder.join("strongswan.conf")).env("SWANCTL_DIR", folder);
        command.args([what, "--uri", &format!("unix://{}/vici", folder.display())]).output().unwrap()
    }

    /// A program that loads everything, for a hook.
    fn loader(&self) -> PathBuf {
        let folder = self.folder.display();
        let text = format!(
            "#!/bin/sh\nexport STRONGSWAN_CONF={folder}/strongswan.conf SWANCTL_DIR={folder}\n\
             exec /usr/sbin/swanctl --load-all --uri unix://{folder}/vici\n"
        );
        self.write("load", &text);
        let path = self.folder.join("load");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Tunnels that are up with the site at `address`.
    fn up(&self, address: Ipv4Addr) -> usize {
        let list = self.swanctl("--list-sas");
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        let blocks = text.split("\nvpn-").map(|block| block.trim_start_matches("vpn-"));
        let is_up = |block: &&str| {
            block.contains("ESTABLISHED")
                && block.contains("INSTALLED")
                && block.contains(&format!("local  '{address}'"))
        };
        blocks.filter(is_up).count()
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let ping = self.inside("ping").args(["-c1", "-W1", "-I", from, to]).output().unwrap();
        ping.status.success()
    }

    /// What its charon says, for a failed test; a key is in none of its lines.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        text.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }
}

/// AWS's two ends, which know the site by its address.
fn aws_side(site: Ipv4Addr) -> String {
    let (keys, mut text) = (keys(NAME), String::new());
    for (n, ((aws, proposal), key)) in AWS.iter().zip(PROPOSALS).zip(&keys).enumerate() {
        text += &format!(
            "connections {{ t{n} {{\n version = 2\n mobike = no\n local_addrs = {aws}\n remote_addrs = {site}\n proposals = {proposal}\n \
             local {{ auth = psk\n id = {aws} }}\n remote {{ auth = psk\n id = {site} }}\n children {{ net {{\n \
             local_ts = 10.2.0.0/16\n remote_ts = 10.1.0.0/16\n esp_proposals = aes256gcm16-ecp384, aes128-sha256-modp2048\n }} }} }} }}\n\
             secrets {{ ike-{n} {{\n id-1 = {aws}\n id-2 = {site}\n secret = \"{key}\" }} }}\n"
        );
    }
    text
}

/// The line between the two ends.
fn connect(site: &End, aws: &End) {
    let (here, there) = (site.namespace.id().to_string(), aws.namespace.id().to_string());
    let line = ["link", "add", "s0", "netns", &here, "type", "veth", "peer", "name", "a0", "netns", &there];
    let output = Command::new("ip").args(line).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in
        ["address add 192.0.2.11/24 dev a0", "address add 192.0.2.12/24 dev a0", "address add 10.2.0.1/16 dev lo"]
    {
        aws.ip(line);
    }
    site.ip("address add 10.1.0.1/16 dev lo");
    aws.ip("link set a0 up");
    site.ip("link set s0 up");
    aws.ip("route add 198.51.100.0/24 dev a0");
}

fn at(site: &End, address: Ipv4Addr) {
    site.ip("address flush dev s0");
    site.ip(&format!("address add {address}/32 dev s0"));
    site.ip(&format!("route add 192.0.2.0/24 dev s0 src {address}"));
}

#[track_caller]
fn load(end: &End) {
    let loaded = end.swanctl("--load-all");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
}

fn missing() -> Option<&'static str> {
    let is_there = |path: &str| Path::new(path).exists();
    match () {
        () if !rustix::process::geteuid().is_root() => Some("needs root, for network namespaces"),
        () if !is_there("/usr/sbin/charon-systemd") || !is_there("/usr/sbin/swanctl") => {
            Some("Debian's strongSwan is not installed")
        }
        () if !is_there("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so") => {
            Some("there is no kernel-libipsec")
        }
        () if !is_there("/dev/net/tun") => Some("there is no /dev/net/tun"),
        () if !Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|end| end.success()) => {
            Some("no network namespace may be made")
        }
        () => None,
    }
}

fn device(site: &Site, path: &Path, hook: &Path, more: &[&str]) -> Finished {
    let mut command = site.bare("device-config");
    command.arg("--output").arg(path).arg("--hook").arg(hook).args(more);
    site.world.run_foreign("device-config", &mut command)
}

#[test]
fn strongswan_comes_up_with_what_is_rendered_and_again_after_a_change_of_address() {
    if let Some(why) = missing() {
        skip!("a real strongSwan: {why}");
    }
    let site = Site::new(NAME, quick());
    let (mut here, mut aws) = (End::new(&site.world, "here"), End::new(&site.world, "aws"));
    connect(&here, &aws);
    at(&here, A);
    here.start_charon(&site.world);
    aws.start_charon(&site.world);
    aws.write("conf.d/site.conf", &aws_side(A));
    load(&aws);

    let (path, hook) = (here.folder.join("conf.d/aws.conf"), here.loader());
    let networks = ["--local-network", "10.1.0.0/16", "--remote-network", "10.2.0.0/16"];
    let first = device(&site, &path, &hook, &networks);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    until(PATIENCE, &format!("both tunnels are up\n{}", here.log()), || here.up(A) == 2);
    until(PATIENCE, "AWS is reached", || here.reaches("10.1.0.1", "10.2.0.1"));

    // The line comes back with another address, and the connection is pointed at it.
    at(&here, B);
    site.moves_to(B);
    let moved = site.run("once", &["--settle-poll", "100ms"]);
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    aws.write("conf.d/site.conf", &aws_side(B));
    load(&aws);
    assert!(!here.reaches("10.1.0.1", "10.2.0.1"), "it came up without the device having been told");
    let second = device(&site, &path, &hook, &networks);
    assert!(second.code == Some(0) && second.stderr.contains("written"), "{}", second.stderr);
    until(PATIENCE, &format!("both tunnels are up again\n{}", here.log()), || here.up(B) == 2);
    until(PATIENCE, "AWS is reached again", || here.reaches("10.1.0.1", "10.2.0.1"));
    let third = device(&site, &path, &hook, &networks);
    assert!(third.stderr.contains("nothing has changed"), "{}", third.stderr);
    assert_eq!(here.up(B), 2);

    // With interfaces it is for the kernel to do; strongSwan takes the file all the same.
    let routed = device(&site, &path, &hook, &[]);
    assert!(routed.code == Some(0) && routed.stderr.contains("written"), "{}", routed.stderr);
    let connections = here.swanctl("--list-conns");
    assert!(String::from_utf8_lossy(&connections.stdout).contains("remote: 0.0.0.0/0"), "{connections:?}");
}
