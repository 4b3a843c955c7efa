//! Servers without the daemon, as containers start them: their health check finds each, and Landlock binds each.

use std::{fs, process::Command, time::Duration};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use rustix::process::Signal;

use crate::harness::{Finished, Running, World, free_address, until};

const PATIENCE: Duration = Duration::from_secs(15);
const PEERS: &str = "[Interface]\nPrivateKey = 6Kb0pvvUzDg3QvHtVhfj5vh1s0Td5ZxxJCSV4xJXvl4=\nAddress = 10.66.0.1/24\n";

/// Where the four listen, and whatever else a check would ask: nothing here is at a usual port, which may be taken.
struct Container {
    world: World,
    repository: String,
    config: String,
}

impl Container {
    fn new(name: &str) -> Self {
        let world = World::new(name, |_| {});
        world.sign_in();
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        world.cloud().put_object(clock::now(), "maven", "a.jar", "jar");
        world.write("wg/peers.conf", PEERS);
        let [page, repository, api] = [(); 3].map(|()| free_address().to_string());
        let text = format!(
            "[daemon]\nlisten = \"{page}\"\n[vpn]\napi = \"{api}\"\n[artifacts]\nlisten = \"{repository}\"\n\
             [[artifacts.repository]]\nfrom = \"s3://maven\"\n"
        );
        world.write("beside/bowline.toml", &text);
        let config = world.path("beside/bowline.toml").display().to_string();
        Self { world, repository, config }
    }

    /// The servers, with what the door of each is called.
    fn servers(&self) -> Vec<(&'static str, Command)> {
        let free = || free_address().to_string();
        let line = |words: &str| self.world.bowline(&words.split(' ').collect::<Vec<_>>());
        vec![
            (
                "artifacts",
                line(&format!("artifacts serve --profile build --from s3://maven --listen {}", self.repository)),
            ),
            ("endpoint", line(&format!("serve build --listen {}", free()))),
            ("vpn", line(&format!("vpn serve --listen {} --api {} --no-proxy", free(), free()))),
            ("vpn", line(&format!("vpn serve --peers wg/peers.conf --usage wg/kept/usage --listen {}", free()))),
        ]
    }

    fn check(&self, more: &[&str]) -> Finished {
        self.world.run(&[&["healthcheck"], more].concat())
    }

    /// Waits until the check finds `server` behind its door.
    #[track_caller]
    fn is_well(&self, server: &str, process: &mut Running) {
        let door = format!("health/{server}.sock/servez answers 200");
        until(PATIENCE, "the check finds it", || {
            assert!(process.runs(), "it ended: {}", process.stderr());
            let said = self.check(&["--config", &self.config]);
            said.code == Some(0) && said.stdout.contains(&door)
        });
    }
}

#[test]
fn whatever_a_container_serves_its_check_finds_and_misses_when_it_has_ended() {
    let container = Container::new("healthcheck-each");
    container.world.write("wrong.toml", "[demon\n");
    for (server, mut command) in container.servers() {
        let mut process = container.world.start(server, &mut command);
        container.is_well(server, &mut process);
        // What it was started with is nobody's business: a file with mistakes is not even read.
        assert_eq!(container.check(&["--config", "wrong.toml"]).code, Some(0));
        process.signal(Signal::KILL);
        process.finish(PATIENCE);
        let gone = container.check(&["--config", &container.config]);
        assert_eq!(gone.code, Some(1), "{server}: {}", gone.stdout);
        for place in [&format!("health/{server}.sock/servez: "), "/livez: ", "/healthz: ", "/health: "] {
            assert!(gone.stderr.contains(place), "{place}: {}", gone.stderr);
        }
    }
    let wrong = container.check(&["--config", "wrong.toml"]);
    assert!(matches!(wrong.code, Some(0 | 1)), "2 is Docker's own: {}", wrong.stderr);
    assert_eq!(container.check(&["--url", "https://127.0.0.1:1/"]).code, Some(1));
}

#[test]
fn a_gateway_that_cannot_do_its_work_is_not_well() {
    let container = Container::new("healthcheck-gateway");
    let line = ["gateway", "run", "--profile", "nobody", "--ip-provider", "http://127.0.0.1:1/"];
    let mut process = container.world.start("gateway", &mut container.world.bowline(&line));
    until(PATIENCE, "the check finds it, unready", || {
        assert!(process.runs(), "it ended: {}", process.stderr());
        let said = container.check(&["--config", &container.config]);
        said.code == Some(1) && said.stderr.contains("health/gateway.sock/readyz answers 503")
    });
}

#[test]
fn every_server_is_bound_as_the_daemon_is_and_does_its_work() {
    let container = Container::new("foreground-landlock");
    fs::create_dir_all(container.world.path("wg/kept")).unwrap();
    for (server, mut command) in container.servers() {
        let mut process = container.world.start(server, command.env("BOWLINE_LANDLOCK", "on"));
        container.is_well(server, &mut process);
        let said = process.stderr();
        if said.contains("Landlock is of version") || said.contains("has no Landlock") {
            crate::harness::skip!("servers in the foreground under Landlock: {said}");
        }
        assert!(said.contains("confined by Landlock"), "{server}: {said}");
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{server}: {status}");
        if command.get_args().any(|word| word == "--peers") {
            process.signal(Signal::HUP);
            until(PATIENCE, "the peers are read again", || process.stderr().contains("the peers were read again"));
        }
        if server == "artifacts" {
            let address = container.repository.parse().unwrap();
            until(PATIENCE, "the bucket is read", || {
                crate::harness::fetch(address, "/a.jar").is_ok_and(|answer| answer.body == b"jar")
            });
        }
        process.signal(Signal::TERM);
        let end = process.finish(PATIENCE);
        assert_eq!(end.code, Some(0), "{server}");
        assert!(!end.stderr.contains("Permission denied"), "{server}: {}", end.stderr);
    }
    container.world.forget_output("endpoint");
}
