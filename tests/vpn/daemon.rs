//! `[vpn]` in the daemon: what the doctor says of it, a reload that ends it, moves it and leaves its users, and the daemon's
//! other doors, which users do not reach.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use bowline_tunnel::{visitor::Visitor, wg_conf::Conf};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::curl;
use crate::{
    doctor::doctor,
    harness::{World, ask, fetch, free_address, until},
    peers::static_keys,
};

const LONG: Duration = Duration::from_secs(15);

fn configuration(world: &World, status: SocketAddr, vpn: &str) -> String {
    format!(
        "[daemon]\nlisten = \"{status}\"\n[vpn]\nendpoint = \"vpn.example.net:51820\"\nstore = \"file:{}\"\n{vpn}",
        world.path("store").display()
    )
}

#[test]
fn a_reload_moves_the_vpn_and_nothing_else_and_its_users_stay() {
    let world = World::new("vpn-reload", |_| {});
    let (status, api, one, two, proxy) =
        (free_address(), free_address(), free_address(), free_address(), free_address());
    let write = |vpn: &str| world.write("bowline.toml", &configuration(&world, status, vpn));
    write(&format!("api = \"{api}\"\nlisten = \"{one}\"\n"));
    let file = world.path("bowline.toml").display().to_string();
    let daemon = world.start("daemon", &mut world.bowline(&["run", "--config", &file]));
    let job = || -> Value {
        let answer = fetch(status, "/status.json").map(|answer| answer.text()).unwrap_or_default();
        serde_json::from_str::<Value>(&answer).unwrap_or_default()["jobs"]["vpn"].clone()
    };
    until(LONG, "it serves", || job()["listening"] == json!([one.to_string()]));
    let master = daemon.stdout().trim().to_owned();
    let made = curl(&world, api, &master, &["/users", "-d", r#"{"client_id":"alice"}"#]).unwrap();
    assert!(made.contains("bvu_"), "{made}");
    let pin = job()["pin"].clone();
    doctor(&world, &["vpn", "--config", &file], &[]).is("vpn.ports", "ok");

    write(&format!("api = \"{api}\"\nlisten = \"{two}\"\nproxy = \"{proxy}\"\n"));
    daemon.signal(Signal::HUP);
    until(LONG, "it listens elsewhere", || job()["listening"] == json!([two.to_string()]));
    assert_eq!((job()["pin"].clone(), job()["users"].clone()), (pin, json!(1)));
    assert!(TcpStream::connect(proxy).is_ok(), "the proxy is new");
    assert_eq!(curl(&world, api, &master, &["/users"]).unwrap().trim(), r#"["alice"]"#);

    // The port that it wants is somebody else's: the old one goes on.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    write(&format!("api = \"{api}\"\nlisten = \"{}\"\n", taken.local_addr().unwrap()));
    daemon.signal(Signal::HUP);
    until(LONG, "that is told", || daemon.stderr().contains("the old one goes on"));
    until(LONG, "and the old one serves", || job()["listening"] == json!([two.to_string()]));

    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    daemon.signal(Signal::HUP);
    until(LONG, "it is gone", || job().is_null() && TcpStream::connect(api).is_err());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.finish(LONG).code, Some(0));
}

const TTL: (&str, &str) = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
const TOKEN: &str = "/latest/api/token";

/// A user, as the server of `api` and `proxy` knows it.
struct Alice<'a> {
    world: &'a World,
    conf: Conf,
    proxy: SocketAddr,
    key: String,
}

impl<'a> Alice<'a> {
    fn join(world: &'a World, api: SocketAddr, proxy: SocketAddr, master: &str) -> Self {
        let made = curl(world, api, master, &["/users", "-d", r#"{"client_id":"alice"}"#]).unwrap();
        let key = serde_json::from_str::<Value>(&made).unwrap()["api_key"].as_str().unwrap().to_owned();
        let conf = curl(world, api, &key, &["/users/alice/config"]).unwrap();
        Self { world, conf: Conf::parse(&bowline_base::Secret::new(conf)).unwrap(), proxy, key }
    }

    /// What comes through the tunnel from `to`; nothing within `limit` where it is shut.
    fn visit(&self, to: SocketAddr, limit: Duration) -> Option<String> {
        let random = u64::from(to.port()) << 50 | u64::from(to.port());
        let request = format!(
            "PUT {TOKEN} HTTP/1.1\r\nhost: {to}\r\n{}: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            TTL.0, TTL.1
        );
        let answer = Visitor::new(&self.conf, random).unwrap().exchange(to, request.as_bytes(), 1 << 16, limit);
        answer.ok().map(|answer| String::from_utf8_lossy(&answer).into_owned())
    }

    /// What the proxy says to CONNECT, and what is behind it.
    fn through_the_proxy(&self, to: SocketAddr) -> String {
        let mut curl = self.world.foreign("curl");
        curl.args(["-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_connect} %{http_code}", "-X", "PUT"]);
        curl.args(["-H", &format!("{}: {}", TTL.0, TTL.1), "--proxytunnel", "--proxy", &self.proxy.to_string()]);
        curl.args(["--proxy-user", &format!("alice:{}", self.key), &format!("http://{to}{TOKEN}")]);
        String::from_utf8_lossy(&curl.output().unwrap().stdout).into_owned()
    }
}

/// Answers every request with 200.
fn neighbour() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
            }
        }
    });
    address
}

/// Instance metadata asks nobody for a secret, and takes whoever dials for the user whose socket it is: the daemon's own,
/// where its VPN dials. An operator who opens loopback means what else listens there.
#[test]
fn users_get_no_credentials_of_the_daemon_however_wide_loopback_is_open() {
    let world = World::new("vpn-own-doors", |_| {});
    let [status, api, listen, proxy, endpoint, imds, moved] = std::array::from_fn(|_| free_address());
    let open = neighbour();
    let write = |imds: SocketAddr| {
        let ports = [open, status, endpoint, imds, moved].map(|door| door.port().to_string());
        let vpn = format!(
            "api = \"{api}\"\nlisten = \"{listen}\"\nendpoint = \"{listen}\"\nproxy = \"{proxy}\"\nproxy-ports = {ports:?}\n\
             egress-allow = \"127.0.0.0/8\"\n[endpoint]\nlisten = \"{endpoint}\"\nimds = \"{imds}\"\nserve = \"build\"\n"
        );
        let text = configuration(&world, status, &vpn).replace("endpoint = \"vpn.example.net:51820\"\n", "");
        world.write("bowline.toml", &text);
    };
    write(imds);
    let file = world.path("bowline.toml").display().to_string();
    let daemon = world.start("daemon", &mut world.bowline(&["run", "--config", &file]));
    until(LONG, "instance metadata is served", || {
        TcpStream::connect(imds).is_ok() && TcpStream::connect(proxy).is_ok() && daemon.stdout().contains("bvm_")
    });
    let master = daemon.stdout().trim().to_owned();
    let alice = Alice::join(&world, api, proxy, &master);
    let denied = || {
        let text = fetch(status, "/metrics").unwrap().text();
        let line = text.lines().find_map(|line| line.strip_prefix("bowline_vpn_denied_total{reason=\"own_port\"} "));
        line.map_or(0.0, |count| count.parse::<f64>().unwrap())
    };
    let is_shut = |to: SocketAddr, what: &str| {
        assert_eq!(alice.through_the_proxy(to), "403 000", "{what}");
        let before = denied();
        until(LONG, "the tunnel has refused it", || {
            assert_eq!(alice.visit(to, Duration::from_millis(300)), None, "{what}");
            denied() > before
        });
    };
    assert_eq!(alice.through_the_proxy(open), "200 200");
    assert!(alice.visit(open, LONG).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")), "loopback is open");
    assert_eq!(ask(imds, "PUT", TOKEN, &[TTL]).0, 200, "its own user gets a token there");
    for (to, what) in [(imds, "imds"), (endpoint, "endpoint"), (status, "status page")] {
        is_shut(to, what);
    }

    write(moved);
    daemon.signal(Signal::HUP);
    until(LONG, "it is served elsewhere", || TcpStream::connect(moved).is_ok() && TcpStream::connect(imds).is_err());
    assert_eq!(ask(moved, "PUT", TOKEN, &[TTL]).0, 200);
    is_shut(moved, "imds after a reload that left the VPN alone");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.finish(LONG).code, Some(0));
}

#[test]
fn the_doctor_judges_doors_keys_egress_and_rights() {
    let world = World::new("vpn-doctor", |_| {});
    let (status, api, listen) = (free_address(), free_address(), free_address());
    world.write("master", "a-long-master-key");
    let doors = format!(
        "api = \"{api}\"\nlisten = \"{listen}\"\nmaster-key = {{ file = \"{}\" }}\n",
        world.path("master").display()
    );
    let write = |more: &str| world.write("bowline.toml", &configuration(&world, status, &format!("{doors}{more}")));
    let file = world.path("bowline.toml").display().to_string();
    let look = || doctor(&world, &["vpn", "--config", &file], &[]);
    write("");
    let good = look();
    for id in ["vpn.ports", "vpn.endpoint", "vpn.egress", "vpn.master-key", "vpn.store"] {
        good.is(id, "ok");
    }
    assert!(!world.path("store").exists(), "looking makes nothing");
    world.bowline(&["check", "--config", &file]).output().map(|done| assert!(done.status.success())).unwrap();

    write("dangerously-expose-credential-addresses = true\n");
    fs::set_permissions(world.path("master"), fs::Permissions::from_mode(0o644)).unwrap();
    let _held = TcpListener::bind(api).unwrap();
    let bad = look();
    bad.is("vpn.egress", "failed");
    bad.is("vpn.master-key", "failed");
    assert!(bad.words("vpn.ports").contains("held by"), "{}", bad.said);
    assert_eq!(bad.code, Some(1));

    write(&format!("proxy = \"{api}\"\n"));
    let checked = world.run(&["check", "--config", &file]);
    assert!(
        checked.code == Some(2) && checked.stderr.contains("`vpn.api` and `vpn.proxy` both want"),
        "{}",
        checked.stderr
    );
}

#[test]
fn the_doctor_finds_what_a_role_may_not_do_with_the_store() {
    let world = World::new("vpn-doctor-ssm", |_| {});
    world.cloud().add_parameter("/ephem-vpn/master-api-key", "a-long-master-key", true);
    let allow = |actions: &[&str]| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
    let (read, write) = (["ssm:GetParametersByPath", "ssm:GetParameter", "kms:Decrypt"], ["ssm:*", "kms:*"]);
    for (name, actions) in [("reader", &read[..]), ("writer", &write[..])] {
        let keys = world.cloud().add_limited_user(name, &[allow(actions)]).unwrap();
        static_keys(&world, name, &keys.key_id.to_string(), keys.secret_key.expose());
    }
    let prefix = [("SSM_PREFIX", "ephem-vpn"), ("AWS_REGION", "us-east-1")];
    let reader = doctor(&world, &["vpn", "reader"], &prefix);
    reader.is("vpn.store", "failed");
    assert!(reader.words("vpn.store").contains("bowline policy vpn --store ssm:/ephem-vpn"), "{}", reader.said);
    reader.is("vpn.master-key", "ok");
    let before = world.cloud().counts().sum("ssm.");
    let writer = doctor(&world, &["vpn", "writer"], &prefix);
    writer.is("vpn.store", "ok");
    assert!(world.cloud().counts().sum("ssm.") > before);
    assert_eq!(world.cloud().parameters().len(), 1, "nothing was made and nothing is gone");
}
