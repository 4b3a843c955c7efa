//! The VPN server as its operator and its users meet it: the real program, real clients of its API, real WireGuard.

mod api;
mod connect;
mod daemon;
mod laptop;
mod page;
mod predecessor;
mod quota;
mod resolved;
mod stage;
mod traveller;
mod tunnel;
mod users;

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

pub(crate) use self::{
    laptop::{LONG, Laptop},
    traveller::tell as traveller,
};
use crate::harness::{Running, World, free_address, until};

/// A running `bowline vpn serve` with the embedded store.
pub(super) struct Vpn {
    pub(super) process: Running,
    pub(super) api: SocketAddr,
    pub(super) master: String,
    pub(super) store: PathBuf,
}

impl Vpn {
    /// Serves; returns when the API answers.
    #[track_caller]
    pub(super) fn serve(world: &World, more: &[&str]) -> Self {
        let (api, listen, store) = (free_address(), free_address(), world.path("vpn-store"));
        let mut command = world.bowline(&["vpn", "serve", "--api", &api.to_string(), "--listen", &listen.to_string()]);
        command.args(["--endpoint", &listen.to_string(), "--store", &format!("file:{}", store.display())]).args(more);
        let mut process = world.start("vpn", &mut command);
        until(Duration::from_secs(15), "the API answers", || {
            assert!(process.runs(), "the server ended: {}", process.stderr());
            curl(world, api, "", &["/health"]).is_some()
        });
        let master = process.stdout().lines().find(|line| line.starts_with("bvm_")).unwrap_or_default().to_owned();
        world.note_files();
        if !master.is_empty() {
            // Printed on stdout, once, which is what the first start is for.
            world.note_secret("master", &master);
            world.forget_output("vpn");
        }
        Self { process, api, master, store }
    }

    /// What curl gets with the master key.
    #[track_caller]
    pub(super) fn ask(&self, world: &World, words: &[&str]) -> String {
        curl(world, self.api, &self.master, words).expect("the API answers")
    }

    /// Ends it as systemd does.
    pub(super) fn stop(self) {
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.finish(Duration::from_secs(10)).code, Some(0));
    }

    #[track_caller]
    pub(super) fn json(&self, world: &World, words: &[&str]) -> Value {
        let text = self.ask(world, words);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }
}

/// The body that curl prints; the path is the first word.
pub(crate) fn curl(world: &World, api: SocketAddr, key: &str, words: &[&str]) -> Option<String> {
    let mut curl: Command = world.foreign("curl");
    curl.args(["-sS", "--max-time", "10", &format!("http://{api}{}", words[0])]).args(&words[1..]);
    if !key.is_empty() {
        curl.args(["-H", &format!("Authorization: Bearer {key}")]);
    }
    let done = curl.output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
