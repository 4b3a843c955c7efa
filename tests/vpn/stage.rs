//! `bowline vpn serve` in a rig's server namespace: as nobody, without a capability, with its doors open to the clients.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bowline_rig::{Client, Held, NOBODY, Rig, start_wireguard};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Finished, Running, run, start, until};

pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// The API for the server's own machine.
const API: &str = "http://127.0.0.1:8000";
/// What clients reach through the tunnel.
pub(super) const PAGE: &str = "http://198.51.100.10:8080/";

/// A running server and its state, which outlives it.
pub(super) struct Server {
    process: Option<Running>,
    output: PathBuf,
    pub(super) master: String,
}

impl Server {
    /// Serves clients that are told `endpoint`; returns when the API answers.
    #[track_caller]
    pub(super) fn start(rig: &Rig, name: &str, endpoint: &str, more: &[&str]) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let output = target.join("test-output").join(name);
        fs::create_dir_all(&output).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_bowline"), rig.path("bowline")).unwrap();
        fs::create_dir_all(rig.path("state")).unwrap();
        chown(rig.path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
        let mut server = Self { process: None, output, master: String::new() };
        server.serve(rig, endpoint, more);
        server.master = server.process().stdout().trim().to_owned();
        assert!(server.master.starts_with("bvm_"), "{}", server.process().stderr());
        server
    }

    /// The same once more, after it was stopped.
    #[track_caller]
    pub(super) fn serve(&mut self, rig: &Rig, endpoint: &str, more: &[&str]) {
        let mut command = command(rig, &["vpn", "serve", "--endpoint", endpoint, "--egress-allow", "198.51.100.10"]);
        let process = start(command.args(more), &self.output.join("serve"));
        until(PATIENCE, "the server is up", || {
            ask(rig, "", &["/health"]).contains("\"tunnel\":\"ok\"") && process.stderr().contains("sha256:")
        });
        self.process = Some(process);
    }

    /// `bowline vpn …` beside it, with its state.
    #[track_caller]
    pub(super) fn run(&self, rig: &Rig, arguments: &[&str]) -> Finished {
        let done = run(&mut command(rig, &[&["vpn"], arguments].concat()), &self.output.join("beside"), PATIENCE);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}{}", done.stdout, done.stderr);
        done
    }

    pub(super) fn process(&self) -> &Running {
        self.process.as_ref().expect("it was started")
    }

    /// What clients pin.
    pub(super) fn pin(&self) -> String {
        let said = self.process().stderr();
        said.split("sha256:").nth(1).map(|rest| format!("sha256:{}", &rest[..64])).expect("the pin is in the log")
    }

    #[track_caller]
    pub(super) fn stop(&mut self) {
        let process = self.process.take().expect("it was started");
        process.signal(Signal::TERM);
        assert_eq!(process.finish(PATIENCE).code, Some(0));
    }

    /// What the administrator gets.
    pub(super) fn ask(&self, rig: &Rig, words: &[&str]) -> String {
        ask(rig, &self.master, words)
    }

    /// Makes a user and gives its key.
    #[track_caller]
    pub(super) fn add(&self, rig: &Rig, name: &str) -> String {
        let made = self.ask(rig, &["/users", "-d", &format!(r#"{{"client_id":"{name}"}}"#)]);
        let made: Value = serde_json::from_str(&made).unwrap_or_else(|_| panic!("{made}"));
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// What is known of a user.
    pub(super) fn record(&self, rig: &Rig, name: &str) -> Value {
        serde_json::from_str(&self.ask(rig, &[&format!("/users/{name}")])).unwrap_or_default()
    }
}

/// The program as nobody, in the server's namespace.
fn command(rig: &Rig, arguments: &[&str]) -> Command {
    let state = rig.path("state");
    let mut command = rig.server.command_as_nobody(rig.path("bowline"));
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    command.env("HOME", &state).env("XDG_RUNTIME_DIR", &state).env("XDG_STATE_HOME", &state);
    command
}

/// What curl gets in the server's namespace.
pub(super) fn ask(rig: &Rig, key: &str, words: &[&str]) -> String {
    let (url, header) = (format!("{API}{}", words[0]), format!("Authorization: Bearer {key}"));
    let all = [&["-sS", "--max-time", "5", url.as_str(), "-H", header.as_str()], &words[1..]].concat();
    rig.server.run("curl", &all).unwrap_or_default()
}

/// Answers every connection at [`PAGE`] with a line, for as long as the process lives.
pub(super) fn publish(rig: &Rig) {
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

/// A resolver at 127.0.0.1:5353 of the server's namespace, to which every name is the page's; how many questions came.
pub(super) fn resolver(rig: &Rig) -> Arc<AtomicU64> {
    let socket = rig.server.enter(|| UdpSocket::bind("127.0.0.1:5353")).unwrap();
    let asked: Arc<AtomicU64> = Arc::default();
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            count.fetch_add(1, Ordering::Relaxed);
            socket.send_to(&answer(&question[..length]), from).ok();
        }
    });
    asked
}

/// An address to who asks for one of IPv4, and no answer to the rest.
fn answer(question: &[u8]) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).map_or(0, |length| 12 + length + 1);
    let wants_v4 = question.get(name..name + 2) == Some(&[0, 1]);
    let mut answer = question[..(name + 4).min(question.len())].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(wants_v4), 0, 0, 0, 0]);
    if wants_v4 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Rig::TARGET.octets());
    }
    answer
}

/// A real WireGuard client with a file of the API's, routed into it.
#[track_caller]
pub(super) fn bring_up(rig: &Rig, client: &Client, conf: &str) -> Held {
    let wireguard = start_wireguard(&client.namespace, "wg0", &rig.wireguard_go).unwrap();
    let addresses = configure(rig, client, conf);
    for address in addresses {
        client.namespace.ip(&format!("addr add {address} dev wg0")).unwrap();
    }
    client.namespace.ip("link set wg0 mtu 1420 up").unwrap();
    client.namespace.ip("route add default dev wg0").unwrap();
    wireguard
}

/// Gives a running client another file; gives the addresses in it.
#[track_caller]
pub(super) fn configure(rig: &Rig, client: &Client, conf: &str) -> Vec<String> {
    let (plain, addresses) = split(conf);
    let file = rig.path(&format!("{}.conf", client.outer()));
    bowline_base::atomic::write_private(&file, plain.as_bytes()).unwrap();
    client.wg(&["setconf", "wg0", &file.to_string_lossy()]).unwrap();
    addresses
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

/// Whether a client sees the page.
pub(super) fn reaches_the_page(client: &Client) -> bool {
    client.namespace.run("curl", &["-sS", "--max-time", "3", PAGE]).is_ok_and(|text| text.contains("through"))
}
