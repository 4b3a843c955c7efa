//! The VPN's client in a namespace of its own: a link by wg-quick and a real wireguard-go to another one, and everything
//! put back byte by byte, also after kill -9. What leaves outside of the link is counted on the cable.

use std::{
    net::{SocketAddr, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bowline_rig::{Namespace, PORT, Rig, missing, start_wireguard};
use rustix::process::Signal;

use crate::harness::{Finished, Running, World, skip, until};

const LONG: Duration = Duration::from_secs(15);
/// Where the client's network has its resolver: on the cable, outside of the link.
const RESOLVER: &str = "nameserver 10.99.1.1\n# not ours\n";

/// A server made of wireguard-go, and a client that is not connected.
struct Stage {
    world: World,
    rig: Rig,
    _server: bowline_rig::Held,
}

impl Stage {
    fn new(name: &str) -> Self {
        let (world, rig) = (World::new(name, |_| {}), Rig::new(1).unwrap());
        let server = start_wireguard(&rig.server, "wg0", "wireguard-go").unwrap();
        world.write("server.conf", &rig.configuration(|_| true));
        let path = world.path("server.conf").display().to_string();
        rig.server.run("wg", &["setconf", "wg0", &path]).unwrap();
        rig.server.ip("addr add 10.77.0.1/16 dev wg0").unwrap();
        rig.server.ip("link set wg0 up").unwrap();
        let client = &rig.clients[0];
        client.namespace.ip("route add default via 10.99.1.1").unwrap();
        world.write("resolv.conf", RESOLVER);
        // In this namespace's own view of the files alone.
        let resolver = world.path("resolv.conf").display().to_string();
        client.namespace.run("mount", &["--bind", &resolver, "/etc/resolv.conf"]).unwrap();
        world.write(
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
        // The cable's own address of IPv6 is asked for on the cable before it counts.
        until(LONG, "the cable has its address", || {
            let local = client.namespace.run("ip", &["-6", "route", "show", "table", "local"]).unwrap();
            local.contains("local fe80::")
        });
        Self { world, rig, _server: server }
    }

    fn client(&self) -> &Namespace {
        &self.rig.clients[0].namespace
    }

    /// `bowline vpn …` in the client's namespace.
    fn vpn(&self, arguments: &[&str]) -> Command {
        let ours = self.world.bowline(&[&["vpn"], arguments].concat());
        let mut command = self.client().command(ours.get_program());
        command.args(ours.get_args()).env_clear();
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("WG_QUICK_USERSPACE_IMPLEMENTATION", "wireguard-go");
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        self.world.start("vpn", &mut self.vpn(arguments)).finish(LONG)
    }

    #[track_caller]
    fn run_well(&self, arguments: &[&str]) -> Finished {
        let end = self.run(arguments);
        assert_eq!(end.code, Some(0), "{arguments:?}: {}{}", end.stdout, end.stderr);
        end
    }

    /// A client that stays, connected.
    #[track_caller]
    fn held(&self, more: &[&str]) -> Running {
        let conf = self.conf();
        let arguments = [&["connect", "--conf", &conf, "--foreground"], more].concat();
        let mut held = self.world.start("vpn", &mut self.vpn(&arguments));
        until(LONG, "the link is up", || {
            assert!(held.runs(), "{}", held.stderr());
            held.stderr().contains("connected:")
        });
        held
    }

    fn conf(&self) -> String {
        self.world.path("alice.conf").display().to_string()
    }

    /// All that a link could change: rules, routes of every table, links, the resolver's file.
    fn everything(&self) -> Vec<String> {
        let ip = |words: &str| self.client().run("ip", &words.split(' ').collect::<Vec<_>>()).unwrap();
        let shown = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all", "-o -br link"].map(ip);
        let resolver = self.client().run("cat", &["/etc/resolv.conf"]).unwrap();
        shown.into_iter().chain([resolver]).collect()
    }

    #[track_caller]
    fn assert_unchanged(&self, before: &[String]) {
        for (before, now) in before.iter().zip(self.everything()) {
            assert_eq!(*before, now);
        }
    }
}

#[test]
fn a_link_carries_everything_and_what_was_there_is_back_afterwards() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client");
    let (before, conf) = (stage.everything(), stage.conf());
    stage.run_well(&["connect", "--conf", &conf]);
    stage.client().run("ping", &["-c", "1", "-W", "5", &Rig::TARGET.to_string()]).unwrap();
    let handshakes = stage.rig.server.run("wg", &["show", "wg0", "latest-handshakes"]).unwrap();
    assert!(!handshakes.trim_end().ends_with("\t0"), "{handshakes}");
    assert_eq!(stage.client().run("cat", &["/etc/resolv.conf"]).unwrap().lines().last(), Some("nameserver 10.77.0.1"));
    let twice = stage.run(&["connect", "--conf", &conf]);
    assert!(twice.code == Some(1) && twice.stderr.contains("connected already"), "{}", twice.stderr);
    let shown = stage.run_well(&["status", "--exit-from", "", "--output", "json"]).stdout;
    assert!(shown.contains("\"state\": \"connected\"") && !shown.contains("\"last_handshake\": null"), "{shown}");
    stage.run_well(&["disconnect"]);
    stage.assert_unchanged(&before);
    let none = stage.run(&["disconnect"]);
    assert!(none.code == Some(1) && none.stderr.contains("nothing is connected"), "{}", none.stderr);
}

#[test]
fn ctrl_c_and_sigterm_put_everything_back() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-signals");
    let before = stage.everything();
    for signal in [Signal::INT, Signal::TERM] {
        let held = stage.held(&[]);
        held.signal(signal);
        assert_eq!(held.finish(LONG).code, Some(0));
        stage.assert_unchanged(&before);
    }
}

#[test]
fn restore_puts_everything_back_after_kill_9() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-killed");
    let before = stage.everything();
    let held = stage.held(&[]);
    held.signal(Signal::KILL);
    held.finish(LONG);
    assert!(stage.everything() != before, "nobody has put anything back");
    stage.run_well(&["restore"]);
    stage.assert_unchanged(&before);
    assert!(stage.run_well(&["restore"]).stderr.contains("nothing was left"));
}

#[test]
fn a_second_client_takes_the_link_from_the_first_only_by_ending_it() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-lock");
    let before = stage.everything();
    let held = stage.held(&["--split", "198.51.100.0/24"]);
    let second = stage.run(&["connect", "--conf", &stage.conf()]);
    assert!(second.code == Some(1) && second.stderr.contains("is at work on a link"), "{}", second.stderr);
    stage.client().run("ping", &["-c", "1", "-W", "5", &Rig::TARGET.to_string()]).unwrap();
    stage.run_well(&["disconnect"]);
    assert_eq!(held.finish(LONG).code, Some(0));
    stage.assert_unchanged(&before);
}

/// A program that asks the network's own resolver by its address does not get past the link either.
#[test]
fn no_dns_query_leaves_outside_of_the_link() {
    if let Some(why) = missing() {
        skip!("the VPN's client: {why}");
    }
    let stage = Stage::new("vpn-client-dns");
    let outside = Queries::on(&stage.rig.server, "10.99.1.1:53");
    let inside = Queries::on(&stage.rig.server, "10.77.0.1:53");
    let ask = |resolver: &str| {
        stage.client().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(b"query", resolver).unwrap();
        });
    };
    ask("10.99.1.1:53");
    until(LONG, "the cable carries queries", || outside.seen());
    let held = stage.held(&[]);
    outside.forget();
    for _ in 0..20 {
        ask("10.99.1.1:53");
        ask("10.77.0.1:53");
    }
    until(LONG, "the link carries queries", || inside.seen());
    let counted = stage.rig.server.run("wg", &["show", "wg0", "transfer"]).unwrap();
    assert!(!outside.is_seen_on_the_cable(), "a query came by the cable");
    assert!(!counted.trim_end().ends_with("\t0\t0"), "{counted}");
    held.signal(Signal::TERM);
    held.finish(LONG);
}

/// Counts what comes to a resolver, and by which way.
struct Queries {
    seen: Arc<AtomicBool>,
    cable: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
}

impl Queries {
    fn on(namespace: &Namespace, address: &str) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (seen, cable, end) = (Arc::default(), Arc::default(), Arc::default());
        let queries = Self { seen: Arc::clone(&seen), cable: Arc::clone(&cable), end: Arc::clone(&end) };
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while !end.load(Ordering::Relaxed) {
                if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let from: SocketAddr = from;
                    seen.store(true, Ordering::Relaxed);
                    // Through the link it comes from the link's address.
                    cable.fetch_or(from.ip().to_string().starts_with("10.99."), Ordering::Relaxed);
                }
            }
        });
        queries
    }

    fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    fn is_seen_on_the_cable(&self) -> bool {
        self.cable.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        self.seen.store(false, Ordering::Relaxed);
        self.cable.store(false, Ordering::Relaxed);
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
