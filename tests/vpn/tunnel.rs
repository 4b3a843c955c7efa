//! From the guide alone to a working tunnel: a file from the API brings a real WireGuard client up in a namespace of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
    time::Duration,
};

use bowline_rig::{NOBODY, Relay, Rig, missing, start_wireguard};
use serde_json::Value;

use crate::harness::{Running, start, until};

const PATIENCE: Duration = Duration::from_secs(15);
const API: &str = "http://127.0.0.1:8000";
/// What the client reaches through the tunnel.
const PAGE: &str = "http://198.51.100.10:8080/";

/// The program as nobody, without a capability, in the rig's server namespace.
fn serve(rig: &Rig, endpoint: SocketAddr, output: &Path) -> Running {
    let (program, state) = (rig.path("bowline"), rig.path("state"));
    fs::copy(env!("CARGO_BIN_EXE_bowline"), &program).unwrap();
    fs::create_dir_all(&state).unwrap();
    chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = rig.server.command_as_nobody(&program);
    command.args(["vpn", "serve", "--endpoint", &endpoint.to_string(), "--egress-allow", "198.51.100.10"]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    command.env("HOME", &state).env("XDG_RUNTIME_DIR", &state).env("XDG_STATE_HOME", &state);
    start(&mut command, output)
}

/// What curl gets in the server's namespace.
fn ask(rig: &Rig, key: &str, words: &[&str]) -> String {
    let (url, header) = (format!("{API}{}", words[0]), format!("Authorization: Bearer {key}"));
    let all = [&["-sS", "--max-time", "5", url.as_str(), "-H", header.as_str()], &words[1..]].concat();
    rig.server.run("curl", &all).unwrap_or_default()
}

/// Answers every connection with a line, for as long as the process lives.
fn publish(rig: &Rig) {
    let address: SocketAddr = (Rig::TARGET, 8080).into();
    let listener = rig.server.enter(move || TcpListener::bind(address)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 1024];
            if stream.read(&mut head).is_ok_and(|count| count > 0) {
                stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 12\r\n\r\nthrough it\r\n").ok();
            }
        }
    });
}

/// What of the file `wg` reads, and the addresses that `wg-quick` would give the interface.
fn split(conf: &str) -> (String, Vec<String>) {
    let quick = |line: &&str| ["Address", "DNS", "MTU"].iter().any(|key| line.starts_with(key));
    let addresses = conf.lines().filter(|line| line.starts_with("Address")).flat_map(|line| {
        line.split_once('=').map(|(_, rest)| rest.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
    });
    let plain: Vec<&str> = conf.lines().filter(|line| !quick(line)).collect();
    (plain.join("\n") + "\n", addresses.flatten().collect())
}

#[test]
fn a_file_from_the_api_brings_a_client_up_and_its_deletion_ends_it() {
    if let Some(why) = missing() {
        eprintln!("skipped: vpn tunnel: {why}");
        return;
    }
    let rig = Rig::new(1).unwrap();
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-output/vpn-tunnel/vpn");
    fs::create_dir_all(output.parent().unwrap()).unwrap();
    // The client's way out has two addresses.
    let client = &rig.clients[0];
    client.namespace.ip("addr add 10.99.1.7/24 dev outside").unwrap();
    let relay = Relay::start(&client.namespace, rig.endpoint(0), Default::default(), Default::default()).unwrap();
    let server = serve(&rig, relay.address(), &output);
    let ready = || server.stdout().starts_with("bvm_") && ask(&rig, "", &["/health"]).contains("\"tunnel\":\"ok\"");
    until(PATIENCE, "the server is up", ready);
    let master = server.stdout().trim().to_owned();
    publish(&rig);
    let made: Value = serde_json::from_str(&ask(&rig, &master, &["/users", "-d", r#"{"client_id":"alice"}"#])).unwrap();
    let key = made["api_key"].as_str().unwrap();
    let (conf, addresses) = split(&ask(&rig, key, &["/users/alice/config"]));
    let file = rig.path("alice.conf");
    fs::File::create(&file).and_then(|mut file| file.write_all(conf.as_bytes())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let _wireguard = start_wireguard(&client.namespace, "wg0", "wireguard-go").unwrap();
    client.wg(&["setconf", "wg0", &file.to_string_lossy()]).unwrap();
    for address in &addresses {
        client.namespace.ip(&format!("addr add {address} dev wg0")).unwrap();
    }
    client.namespace.ip("link set wg0 mtu 1420 up").unwrap();
    client.namespace.ip("route add default dev wg0").unwrap();
    let through =
        || client.namespace.run("curl", &["-sS", "--max-time", "3", PAGE]).is_ok_and(|text| text.contains("through"));
    until(PATIENCE, "alice reaches the page", through);
    let record = || serde_json::from_str::<Value>(&ask(&rig, key, &["/users/alice"])).unwrap_or_default();
    until(PATIENCE, "the API shows who is there", || record()["source"] == client.outer().to_string());
    until(PATIENCE, "and what went through", || record()["received_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    relay.roam(&client.namespace, [10, 99, 1, 7].into()).unwrap();
    until(PATIENCE, "alice goes on from another address", through);
    until(PATIENCE, "which is shown", || record()["source"] == "10.99.1.7");
    ask(&rig, &master, &["/users/alice", "-X", "DELETE"]);
    until(PATIENCE, "a removed user gets nothing through", || !through());
    assert!(ask(&rig, &master, &["/events"]).contains("client.connected"));
    let mut stopping = Command::new("kill");
    stopping.arg(server.id().to_string()).status().unwrap();
    assert_eq!(server.finish(PATIENCE).code, Some(0));
}
