//! The VPN's client in a namespace of its own: a link by wg-quick and a real wireguard-go to another one, and everything
//! put back byte by byte, also after kill -9.

use bowline_rig::{Namespace, PORT, Rig, Service, missing, start_wireguard};
use rustix::process::Signal;

use crate::{
    harness::{Running, skip, until},
    vpn::{LONG, Laptop},
};

/// A server made of wireguard-go, and a client that is not connected.
struct Stage {
    laptop: Laptop,
    _server: bowline_rig::Held,
}

impl Stage {
    fn new(name: &str) -> Self {
        let laptop = Laptop::new(name);
        let rig = &laptop.rig;
        let server = start_wireguard(&rig.server, "wg0", "wireguard-go").unwrap();
        laptop.world.write("server.conf", &rig.configuration(|_| true));
        rig.server.run("wg", &["setconf", "wg0", &laptop.path("server.conf")]).unwrap();
        rig.server.ip("addr add 10.77.0.1/16 dev wg0").unwrap();
        rig.server.ip("link set wg0 up").unwrap();
        let client = &rig.clients[0];
        laptop.world.write(
            "alice.conf",
            &format!(
                "[Interface]\nPrivateKey = {}\nAddress = {}/32\nDNS = 10.77.0.1\nMTU = 1380\n[Peer]\nPublicKey = {}\n\
                 PresharedKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 10.99.1.1:{PORT}\nPersistentKeepalive = 25\n",
                client.keys.private,
                client.inner(),
                rig.keys.public,
                client.preshared_key
            ),
        );
        Self { laptop, _server: server }
    }

    fn client(&self) -> &Namespace {
        self.laptop.client()
    }

    /// A client that stays, connected.
    #[track_caller]
    fn held(&self, more: &[&str]) -> Running {
        let conf = self.conf();
        let arguments = [&["connect", "--conf", &conf, "--foreground"], more].concat();
        let mut held = self.laptop.world.start("vpn", &mut self.laptop.vpn(&arguments));
        until(LONG, "the link is up", || {
            assert!(held.runs(), "{}", held.stderr());
            held.stderr().contains("connected:")
        });
        held
    }

    fn conf(&self) -> String {
        self.laptop.path("alice.conf")
    }
}

#[test]
fn a_link_carries_everything_and_what_was_there_is_back_afterwards() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client");
    let (before, conf) = (stage.laptop.everything(), stage.conf());
    stage.laptop.run_well(&["connect", "--conf", &conf]);
    stage.client().run("ping", &["-c", "1", "-W", "5", &Rig::TARGET.to_string()]).unwrap();
    let handshakes = stage.laptop.rig.server.run("wg", &["show", "wg0", "latest-handshakes"]).unwrap();
    assert!(!handshakes.trim_end().ends_with("\t0"), "{handshakes}");
    assert_eq!(stage.client().run("cat", &["/etc/resolv.conf"]).unwrap().lines().last(), Some("nameserver 10.77.0.1"));
    let twice = stage.laptop.run(&["connect", "--conf", &conf]);
    assert!(twice.code == Some(1) && twice.stderr.contains("connected already"), "{}", twice.stderr);
    let shown = stage.laptop.run_well(&["status", "--exit-from", "", "--output", "json"]).stdout;
    assert!(shown.contains("\"state\": \"connected\"") && !shown.contains("\"last_handshake\": null"), "{shown}");
    stage.laptop.run_well(&["disconnect"]);
    stage.laptop.assert_unchanged(&before);
    let none = stage.laptop.run(&["disconnect"]);
    assert!(none.code == Some(1) && none.stderr.contains("nothing is connected"), "{}", none.stderr);
}

/// Nobody would find a name if the ways to other resolvers were shut: programs that are bound to a device, as systemd-resolved
/// is, and all others.
#[test]
fn a_link_without_a_resolver_leaves_names_as_they_are_and_says_so() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-no-dns");
    let (before, conf) = (stage.laptop.everything(), stage.laptop.path("no-dns.conf"));
    let text = std::fs::read_to_string(stage.conf()).unwrap();
    stage.laptop.world.write("no-dns.conf", &text.replace("DNS = 10.77.0.1\n", ""));
    let resolver = Service::start(&stage.laptop.rig.server, ([10, 99, 1, 1], 53).into(), drop).unwrap();
    let said = stage.laptop.run_well(&["connect", "--conf", &conf]).stderr;
    assert!(said.contains("this link brings no resolver"), "{said}");
    stage.client().run("ping", &["-c", "1", "-W", "5", &Rig::TARGET.to_string()]).unwrap();
    for (number, device) in [&[][..], &["--interface", "if!outside"]].iter().enumerate() {
        let ask = [&["-sS", "--max-time", "10", "http://10.99.1.1:53/"], *device].concat();
        // It hangs up.
        stage.client().run("curl", &ask).ok();
        until(LONG, "the resolver outside is asked", || resolver.accepted() == number + 1);
    }
    assert_eq!(stage.laptop.everything().last(), before.last(), "the resolver's file is left alone");
    stage.laptop.run_well(&["disconnect"]);
    stage.laptop.assert_unchanged(&before);
}

#[test]
fn ctrl_c_and_sigterm_put_everything_back() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-signals");
    let before = stage.laptop.everything();
    for signal in [Signal::INT, Signal::TERM] {
        let held = stage.held(&[]);
        held.signal(signal);
        assert_eq!(held.finish(LONG).code, Some(0));
        stage.laptop.assert_unchanged(&before);
    }
}

#[test]
fn restore_puts_everything_back_after_kill_9() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-killed");
    let before = stage.laptop.everything();
    let held = stage.held(&[]);
    held.signal(Signal::KILL);
    held.finish(LONG);
    assert!(stage.laptop.everything() != before, "nobody has put anything back");
    stage.laptop.run_well(&["restore"]);
    stage.laptop.assert_unchanged(&before);
    assert!(stage.laptop.run_well(&["restore"]).stderr.contains("nothing was left"));
}

#[test]
fn a_second_client_takes_the_link_from_the_first_only_by_ending_it() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-lock");
    let before = stage.laptop.everything();
    let held = stage.held(&["--split", "198.51.100.0/24"]);
    let second = stage.laptop.run(&["connect", "--conf", &stage.conf()]);
    assert!(second.code == Some(1) && second.stderr.contains("is at work on a link"), "{}", second.stderr);
    stage.client().run("ping", &["-c", "1", "-W", "5", &Rig::TARGET.to_string()]).unwrap();
    stage.laptop.run_well(&["disconnect"]);
    assert_eq!(held.finish(LONG).code, Some(0));
    stage.laptop.assert_unchanged(&before);
}
