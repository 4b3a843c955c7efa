//! The machine of a VPN's user: the first client of a rig, with `bowline vpn …` in its namespace, and everything there
//! that a link could change.

use std::{path::Path, process::Command, time::Duration};

use bowline_rig::{Namespace, Rig};

use crate::harness::{Finished, World, until};

/// Longest for one command.
pub(crate) const LONG: Duration = Duration::from_secs(15);
/// Where the client's network has its resolver: on the cable, outside of the link.
const RESOLVER: &str = "nameserver 10.99.1.1\n# not ours\n";

pub(crate) struct Laptop {
    pub(crate) world: World,
    pub(crate) rig: Rig,
    /// Beside the usual ones, for `bowline vpn`.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Laptop {
    /// A machine that is not connected.
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        let (world, rig) = (World::new(name, |_| {}), Rig::new(1).unwrap());
        let laptop = Self { world, rig, variables: Vec::new() };
        laptop.client().ip("route add default via 10.99.1.1").unwrap();
        laptop.world.write("resolv.conf", RESOLVER);
        // In this namespace's own view of the files alone.
        let resolver = laptop.path("resolv.conf");
        laptop.client().run("mount", &["--bind", &resolver, "/etc/resolv.conf"]).unwrap();
        // The cable's own address of IPv6 is asked for on the cable before it counts.
        until(LONG, "the cable has its address", || {
            let local = laptop.client().run("ip", &["-6", "route", "show", "table", "local"]).unwrap();
            local.contains("local fe80::")
        });
        laptop
    }

    pub(crate) fn client(&self) -> &Namespace {
        &self.rig.clients[0].namespace
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.world.path(name).display().to_string()
    }

    /// `bowline vpn …` in the client's namespace.
    pub(crate) fn vpn(&self, arguments: &[&str]) -> Command {
        let ours = self.world.bowline(&[&["vpn"], arguments].concat());
        let mut command = self.client().command(ours.get_program());
        command.args(ours.get_args()).env_clear();
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("WG_QUICK_USERSPACE_IMPLEMENTATION", "wireguard-go");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.world.start("vpn", &mut self.vpn(arguments)).finish(LONG)
    }

    #[track_caller]
    pub(crate) fn run_well(&self, arguments: &[&str]) -> Finished {
        let end = self.run(arguments);
        assert_eq!(end.code, Some(0), "{arguments:?}: {}{}", end.stdout, end.stderr);
        end
    }

    /// All that a link could change: rules, routes of every table, links, the resolver's file.
    pub(crate) fn everything(&self) -> Vec<String> {
        let ip = |words: &str| self.client().run("ip", &words.split(' ').collect::<Vec<_>>()).unwrap();
        let shown = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all", "-o -br link"].map(ip);
        let resolver = self.client().run("cat", &["/etc/resolv.conf"]).unwrap();
        shown.into_iter().chain([resolver]).collect()
    }

    #[track_caller]
    pub(crate) fn assert_unchanged(&self, before: &[String]) {
        for (before, now) in before.iter().zip(self.everything()) {
            assert_eq!(*before, now);
        }
    }
}

impl Drop for Laptop {
    /// A carrier in the background outlives the command that started it; after a story that failed it is still there.
    fn drop(&mut self) {
        if Path::new(&self.path(".local/state/bowline/vpn-client/link.json")).exists() {
            self.vpn(&["restore"]).output().ok();
        }
    }
}
