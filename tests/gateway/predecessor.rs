//! The predecessor's environment, unchanged: its five variables of Roles Anywhere, its names, its hand-made connection.

use std::{process::Command, time::Duration};

use rustix::process::Signal;

use super::site::{A, B, C, Site, quick};
use crate::{
    harness::until,
    signing_helper::openssl::{Ca, LEAF, P256},
};

const D: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 4);
const LONG: Duration = Duration::from_secs(15);
const SESSION: &str = "rolesanywhere.CreateSession";
/// What a test has to say, since the real providers cannot be reached here, and five minutes are long.
const QUICK: [&str; 6] = ["--interval", "400ms", "--settle-poll", "100ms", "--min-change-interval", "0s"];

#[test]
fn the_stack_for_a_swarm_has_the_predecessors_variables_and_secrets() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/swarm/gateway.yaml");
    let stack = std::fs::read_to_string(path).unwrap();
    for (name, value) in [
        ("CERTIFICATE_PATH", "/certs/app-cert.pem"),
        ("PRIVATE_KEY_PATH", "/certs/app-key.pem"),
        ("TRUST_ANCHOR_ARN", "arn:aws:rolesanywhere:"),
        ("PROFILE_ARN", "arn:aws:rolesanywhere:"),
        ("ROLE_ARN", "arn:aws:iam::"),
    ] {
        assert!(stack.contains(&format!("      ROLESANYWHERE_{name}: {value}")), "{name}");
    }
    for mounted in ["app-cert", "app-key"] {
        assert!(stack.contains(&format!("{{ source: {mounted}, target: /certs/{mounted}.pem,")), "{mounted}");
    }
}

/// A site as the predecessor left it: nothing is tagged with an owner. And a certificate of a CA that AWS trusts.
struct Old {
    site: Site,
    ca: Ca,
    connection: String,
}

impl Old {
    fn new(name: &str) -> Self {
        let ca = Ca::new();
        ca.issue("app-cert", P256, LEAF);
        let anchor = ca.text("ca.pem");
        let site = Site::untagged(name, |settings| {
            settings.vpn = quick();
            settings.trust_anchors = vec![anchor];
        });
        let connection = site.connection.clone();
        Self { site, ca, connection }
    }

    /// The five variables, by the rest of their names.
    fn variables(&self) -> [(&'static str, String); 5] {
        let arn = |kind: &str| format!("arn:aws:rolesanywhere:eu-central-1:111122223333:{kind}");
        [
            ("CERTIFICATE_PATH", self.ca.path("app-cert.pem").display().to_string()),
            ("PRIVATE_KEY_PATH", self.ca.path("app-cert.key").display().to_string()),
            ("TRUST_ANCHOR_ARN", arn("trust-anchor/t")),
            ("PROFILE_ARN", arn("profile/p")),
            ("ROLE_ARN", "arn:aws:iam::111122223333:role/cgw-updater".to_owned()),
        ]
    }

    /// `bowline gateway COMMAND` with the predecessor's environment, as far as `given` lets it through.
    fn command(&self, command: &str, given: impl Fn(&str) -> bool) -> Command {
        let mut line = self.site.unsigned(command, &QUICK);
        line.env("CGW_NAME", "Branch office").env("AWS_DEFAULT_REGION", "eu-central-1");
        for (name, value) in self.variables().into_iter().filter(|(name, _)| given(name)) {
            line.env(format!("ROLESANYWHERE_{name}"), value);
        }
        line
    }

    fn sessions(&self) -> u64 {
        self.site.world.cloud().counts().sum(SESSION)
    }

    /// Where the connection points.
    fn address(&self) -> Option<std::net::Ipv4Addr> {
        self.site.address_of(&self.connection)
    }
}

#[test]
fn the_predecessors_environment_moves_its_connection_and_leaves_nothing_behind() {
    let old = Old::new("gateway-predecessor");
    // Keys of somebody else lie about: the certificate wins.
    let mut command = old.command("run", |_| true);
    command.env("AWS_ACCESS_KEY_ID", "AKIANOBODY").env("AWS_SECRET_ACCESS_KEY", "nothing").env("AWS_PROFILE", "build");
    // As in the image: its certificate is one of the few files that it may open.
    command.env("BOWLINE_LANDLOCK", "on");
    let process = old.site.world.start("run", &mut command);
    until(LONG, "the address is known", || process.stderr().contains("the site's address"));
    old.site.moves_to(B);
    until(LONG, "the connection follows", || old.address() == Some(B));
    until(LONG, "the change is over", || process.stderr().contains("the change is done"));
    old.site.looks(4);
    assert_eq!((old.site.changes(), old.sessions()), ([1, 1, 0], 1), "{}", process.stderr());
    let well = old.site.world.run(&["healthcheck"]);
    assert!(well.code == Some(0) && well.stdout.contains("gateway.sock/readyz answers 200"), "{}", well.stderr);
    let gateways = old.site.world.cloud().customer_gateways();
    let made = gateways.iter().find(|one| one.address == Some(B.into())).unwrap();
    assert!(made.tags.contains(&("Name".to_owned(), "Branch office".to_owned())), "CGW_NAME: {:?}", made.tags);
    assert!(gateways.iter().any(|one| one.address == Some(A.into())), "the hand-made one is not ours to delete");
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(5)).code, Some(0));
}

#[test]
fn once_takes_the_same_environment_and_goes_on_where_it_was() {
    let old = Old::new("gateway-predecessor-once");
    for (address, changes) in [(B, [1, 1, 0]), (B, [1, 1, 0]), (C, [2, 2, 1])] {
        old.site.moves_to(address);
        let ended = old.site.world.run_foreign("once", &mut old.command("once", |_| true));
        assert_eq!(
            (ended.code, old.address(), old.site.changes()),
            (Some(0), Some(address), changes),
            "{}",
            ended.stderr
        );
    }
    // Without a name none is invented: that of the gateway before is carried over. And the hand-made gateway is there
    // still when the first address comes back.
    for (address, changes) in [(D, [3, 3, 2]), (A, [3, 4, 3])] {
        old.site.moves_to(address);
        let mut nameless = old.command("once", |_| true);
        let ended = old.site.world.run_foreign("once", nameless.env_remove("CGW_NAME"));
        assert_eq!(
            (ended.code, old.address(), old.site.changes()),
            (Some(0), Some(address), changes),
            "{}",
            ended.stderr
        );
        let gateways = old.site.world.cloud().customer_gateways();
        let here = gateways.iter().find(|one| one.address == Some(address.into())).unwrap();
        let name = if address == D { "Branch office" } else { "Office" };
        assert!(here.tags.contains(&("Name".to_owned(), name.to_owned())), "{:?}", here.tags);
    }
    assert_eq!(old.site.gateways(), 1);
}

#[test]
fn all_five_variables_or_none_and_the_missing_ones_are_named() {
    let old = Old::new("gateway-predecessor-some");
    let names: Vec<&str> = old.variables().iter().map(|(name, _)| *name).collect();
    for command in ["run", "once"] {
        for missing in &names {
            let mut line = old.command(command, |name| name != *missing);
            let ended = old.site.world.run_foreign(command, &mut line);
            assert_eq!(ended.code, Some(2), "{command} without {missing}: {}", ended.stderr);
            assert!(ended.stderr.contains(&format!("not `ROLESANYWHERE_{missing}`")), "{}", ended.stderr);
        }
    }
    let one = old.site.world.run_foreign("once", &mut old.command("once", |name| name == "ROLE_ARN"));
    let others = names.iter().filter(|name| **name != "ROLE_ARN");
    assert!(one.code == Some(2) && others.clone().all(|name| one.stderr.contains(name)), "{}", one.stderr);
    assert_eq!((old.site.calls(""), old.sessions()), (0, 0), "nobody was asked anything");

    // None: the default chain, here the environment's keys.
    let mut none = old.command("once", |_| false);
    old.site.sign(&mut none);
    let ended = old.site.world.run_foreign("once", &mut none);
    assert_eq!((ended.code, old.sessions()), (Some(0), 0), "{}", ended.stderr);
    assert!(old.site.calls("Describe") > 0);
    // And with nothing at all it says what it has looked for.
    let nothing = old.site.world.run_foreign("once", &mut old.command("once", |_| false));
    assert!(matches!(nothing.code, Some(2 | 5)) && nothing.stderr.contains("hint:"), "{nothing:?}");
}
