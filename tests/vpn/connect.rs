//! The whole way as a person goes it: a server as nobody, `vpn setup` with a pinned certificate, `users add`, and
//! `connect NAME`, straight and where the network lets nothing out but a proxy. wg-quick and wireguard-go are real.

use std::{
    fs,
    io::Write as _,
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    process::{Command, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use bowline_rig::{Held, Rig, Service, Tap, is_of_port, missing};
use serde_json::Value;

use super::{
    laptop::Laptop,
    stage::{PAGE, PATIENCE, Server, publish, reaches_the_page, resolver},
};
use crate::harness::{skip, until};

const ENDPOINT: &str = "10.99.1.1:51820";
const API: &str = "https://10.99.1.1:8000";

/// A server with every door, and a laptop that has been set up by alice with her own key.
#[track_caller]
pub(super) fn stage(name: &str) -> (Laptop, Server) {
    let laptop = Laptop::new(name);
    let doors = [
        "--api",
        "0.0.0.0:8000",
        "--proxy",
        "0.0.0.0:3128",
        "--proxy-endpoint",
        "10.99.1.1:3128",
        "--dns",
        "127.0.0.1:5353",
    ];
    let server = Server::start(&laptop.rig, &format!("{name}-server"), ENDPOINT, &doors);
    publish(&laptop.rig);
    (laptop, server)
}

/// As the administrator: a user is made. Then as that user: the server is set up anew, with the user's own key.
#[track_caller]
pub(super) fn set_up(laptop: &Laptop, server: &Server) -> String {
    laptop.world.write("master", &format!("{}\n", server.master));
    laptop.run_well(&["setup", API, "--pin", &server.pin(), "--key-file", &laptop.path("master")]);
    let made: Value = serde_json::from_str(&laptop.run_well(&["users", "add", "alice"]).stdout).unwrap();
    let key = made["api_key"].as_str().unwrap().to_owned();
    laptop.world.write("key", &key);
    laptop.run_well(&["setup", API, "--pin", &server.pin(), "--key-file", &laptop.path("key")]);
    key
}

#[test]
fn a_user_connects_by_name_and_no_dns_leaves_outside_of_the_link() {
    if let Some(why) = missing() {
        skip!("vpn connect: {why}");
    }
    let (laptop, server) = stage("vpn-connect");
    let mut protect = laptop.world.foreign("ssh-keygen");
    fs::create_dir_all(laptop.world.path(".ssh")).unwrap();
    protect.args(["-q", "-t", "ed25519", "-N", "a passphrase", "-f"]).arg(laptop.world.path(".ssh/id_ed25519"));
    assert!(protect.status().unwrap().success());
    let refused = laptop.run(&["setup", API, "--pin", &format!("sha256:{:064x}", 7), "--key-file", "/dev/null"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let key = set_up(&laptop, &server);
    let kept = fs::read_to_string(laptop.world.path(".local/state/bowline/vpn-client/key")).unwrap();
    assert!(!kept.contains(&key), "the key is sealed with the protected SSH key");

    let dns = Tap::start(&laptop.rig.server, |packet| is_of_port(packet, 53)).unwrap();
    let asked = resolver(&laptop.rig);
    ask_everywhere(&laptop);
    until(PATIENCE, "the tap sees a question that leaves in the clear", || dns.wanted() > 0);
    drop(dns);
    let before = laptop.everything();
    let said = laptop.run_well(&["connect", "alice"]).stderr;
    assert!(said.contains("connected: alice"), "{said}");
    let client = &laptop.rig.clients[0];
    until(PATIENCE, "the page is reached", || reaches_the_page(client));
    let dns = Tap::start(&laptop.rig.server, |packet| is_of_port(packet, 53)).unwrap();
    let by_name = ["-sS", "--max-time", "5", "http://page.example:8080/"];
    assert!(client.namespace.run("curl", &by_name).unwrap().contains("through it"));
    ask_everywhere(&laptop);
    let shown = laptop.run_well(&["status", "--exit-from", "", "--output", "json"]).stdout;
    assert!(shown.contains("\"user\": \"active\""), "{shown}");
    assert!(shown.contains("\"state\": \"connected\"") && !shown.contains("\"last_handshake\": null"), "{shown}");
    let tried = laptop.run_well(&["test", "198.51.100.10", "8080"]).stdout;
    assert!(tried.contains("answers, from 10.77."), "{tried}");
    assert!(asked.load(Ordering::Relaxed) > 0, "names are found through the link");
    assert!(dns.all() > 0 && dns.wanted() == 0, "{} of {} packets were DNS in the clear", dns.wanted(), dns.all());
    laptop.run_well(&["disconnect", "alice"]);
    laptop.assert_unchanged(&before);
}

/// Questions to resolvers on the cable, past `/etc/resolv.conf`: UDP and TCP, both families.
fn ask_everywhere(laptop: &Laptop) {
    laptop.client().enter(|| {
        for resolver in ["10.99.1.1:53", "[fd99:1::1]:53"] {
            let here = if resolver.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(here).unwrap();
            for _ in 0..5 {
                socket.send_to(b"question", resolver).ok();
            }
            let resolver = resolver.to_socket_addrs().unwrap().next().unwrap();
            TcpStream::connect_timeout(&resolver, Duration::from_millis(200)).ok();
        }
    });
    // And from a program that is bound to the cable.
    let bound = ["-sS", "--connect-timeout", "0.3", "--interface", "if!outside", "http://10.99.1.1:53/"];
    laptop.client().run("curl", &bound).ok();
}

/// No UDP gets out, and then nothing at all but to somebody else's proxy.
#[test]
fn where_udp_is_blocked_the_whole_session_goes_through_a_proxy() {
    if let Some(why) = missing() {
        skip!("vpn connect --proxy: {why}");
    }
    let (mut laptop, server) = stage("vpn-connect-proxy");
    set_up(&laptop, &server);
    laptop.client().ip("rule add pref 10 ipproto 17 to 10.99.1.1 blackhole").unwrap();
    let sent = laptop.client().enter(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", ENDPOINT));
    assert!(sent.is_err(), "UDP is blocked");
    there_and_back(&laptop, &server, &["http://10.99.1.1:3128"]);

    let Some(_tinyproxy) = tinyproxy(&laptop) else { skip!("vpn connect through tinyproxy: there is none") };
    for port in [3128, 8000] {
        laptop.client().ip(&format!("rule add pref 11 ipproto 6 dport {port} to 10.99.1.1 blackhole")).unwrap();
    }
    laptop.variables.push(("HTTPS_PROXY", "http://10.99.1.1:8888".to_owned()));
    // The server says where its proxy is.
    there_and_back(&laptop, &server, &[]);
}

/// Connects, gets TCP and ICMP through, disconnects.
#[track_caller]
fn there_and_back(laptop: &Laptop, server: &Server, proxy: &[&str]) {
    let (before, client) = (laptop.everything(), &laptop.rig.clients[0]);
    laptop.run_well(&[&["connect", "alice", "--proxy"], proxy].concat());
    until(PATIENCE, "the page is reached", || reaches_the_page(client));
    client.namespace.run("ping", &["-c", "1", "-W", "5", "10.77.0.1"]).unwrap();
    until(PATIENCE, "it comes by the proxy", || server.record(&laptop.rig, "alice")["source"] == "127.0.0.1");
    let tried = laptop.run_well(&["test", "198.51.100.10", "8080"]).stdout;
    assert!(tried.contains("answers, from 10.77."), "{tried}");
    laptop.run_well(&["disconnect"]);
    laptop.assert_unchanged(&before);
}

/// Debian's, in the server's namespace, open to the client's network.
fn tinyproxy(laptop: &Laptop) -> Option<Held> {
    let missing = Command::new("tinyproxy").arg("-v").output().is_err();
    if missing {
        return None;
    }
    laptop.world.write(
        "tinyproxy.conf",
        "Port 8888\nListen 10.99.1.1\nTimeout 600\nMaxClients 20\nAllow 10.99.0.0/16\nConnectPort 8000\nConnectPort 3128\n",
    );
    let mut command = laptop.rig.server.command("tinyproxy");
    command.args(["-d", "-c", &laptop.path("tinyproxy.conf")]).stdout(Stdio::null()).stderr(Stdio::null());
    let held = Held::new(command.spawn().unwrap());
    let answers = || laptop.rig.server.enter(|| TcpStream::connect("10.99.1.1:8888")).is_ok();
    until(PATIENCE, "tinyproxy listens", answers);
    Some(held)
}

/// The proxy for programs: real curl by TLS and without, right and wrong keys, and an end with the user.
#[test]
fn the_proxy_lets_users_out_until_they_are_deleted() {
    if let Some(why) = missing() {
        skip!("vpn proxy: {why}");
    }
    let laptop = Laptop::new("vpn-proxy");
    let doors = ["--proxy", "0.0.0.0:3128", "--proxy-port", "8080", "--proxy-port", "8081"];
    let server = Server::start(&laptop.rig, "vpn-proxy-server", ENDPOINT, &doors);
    publish(&laptop.rig);
    let key = server.add(&laptop.rig, "alice");
    let shown = fs::read_to_string(laptop.rig.path("state/bowline/vpn/api/certificate")).unwrap();
    laptop.world.write("server.pem", &shown);
    let (user, pem) = (format!("alice:{key}"), laptop.path("server.pem"));
    let curl = |words: &[&str]| {
        let all = [&["-sS", "--max-time", "10", "--proxytunnel", "--proxy-cacert", pem.as_str()], words].concat();
        laptop.client().run("curl", &all).map_err(|error| error.to_string())
    };
    for proxy in ["https://10.99.1.1:3128", "http://10.99.1.1:3128"] {
        let got = curl(&["--proxy", proxy, "--proxy-user", &user, PAGE]).unwrap();
        assert!(got.contains("through it"), "{proxy}: {got}");
        let bearer = format!("Proxy-Authorization: Bearer {key}");
        assert!(curl(&["--proxy", proxy, "--proxy-header", &bearer, PAGE]).unwrap().contains("through it"));
        assert!(curl(&["--proxy", proxy, "--proxy-user", "alice:wrong", PAGE]).unwrap_err().contains("407"));
        assert!(curl(&["--proxy", proxy, "--proxy-user", &user, "http://169.254.169.254:8080/"]).is_err());
        assert!(curl(&["--proxy", proxy, "--proxy-user", &user, "http://198.51.100.10:22/"]).is_err());
    }
    let endless = Service::start(&laptop.rig.server, (Rig::TARGET, 8081).into(), |mut stream| {
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let endless = endless.unwrap();
    let url = format!("http://{}/", endless.address());
    let mut download = laptop.client().command("curl");
    download.args(["-sS", "--http0.9", "--proxytunnel", "--proxy-cacert", &pem, "--proxy-user", &user]);
    download.args(["--limit-rate", "8M", "--proxy", "https://10.99.1.1:3128", "--output", "/dev/null", &url]);
    let mut download = laptop.world.start("download", &mut download);
    let moved = || server.record(&laptop.rig, "alice")["sent_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000);
    until(PATIENCE, "it is under way and counted", moved);
    assert!(download.runs(), "{}", download.stderr());
    server.ask(&laptop.rig, &["/users/alice", "-X", "DELETE"]);
    until(PATIENCE, "it is cut", || !download.runs());
    assert!(curl(&["--proxy", "http://10.99.1.1:3128", "--proxy-user", &user, PAGE]).unwrap_err().contains("407"));
}
