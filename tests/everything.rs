//! One daemon with every job on, and some traffic for each: the stage of `metrics`, `protection` and `soak`.

use std::{fs, net::SocketAddr, time::Duration};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use rustix::process::Signal;

use crate::{
    gateway::site::{Site, quick},
    harness::{Running, World, ask, fetch, free_address, until},
};

const PATIENCE: Duration = Duration::from_secs(15);

/// `bowline run` with credentials, audit, artifacts, endpoint, gateway and VPN; no secret is in its environment.
pub(crate) struct Everything {
    pub(crate) site: Site,
    pub(crate) daemon: Running,
    pub(crate) status: SocketAddr,
    pub(crate) artifacts: SocketAddr,
    pub(crate) endpoint: SocketAddr,
    /// The VPN's.
    pub(crate) api: SocketAddr,
    /// The VPN's administrator's key.
    pub(crate) master: String,
    config: String,
}

impl Everything {
    /// Starts it; returns when it is ready and each job has done something.
    #[track_caller]
    pub(crate) fn start(name: &str) -> Self {
        let site = Site::new(name, quick());
        site.keys_in_file("vpn-manager");
        let world = &site.world;
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        world.cloud().put_object(clock::now(), "maven", "a.jar", "jar");
        world.sign_in();
        let [status, artifacts, endpoint, api, tunnel] = [(); 5].map(|()| free_address());
        let (cache, users) = (world.path("cache"), world.path("vpn-users"));
        let config = site.configured_at(
            status,
            &format!(
                "identity = \"vpn-manager\"\nregion = \"us-east-1\"\n\
                 [artifacts]\nidentity = \"build\"\nlisten = \"{artifacts}\"\ncache = {{ path = \"{}\" }}\nupstream-timeout = \"3s\"\n\
                 [[artifacts.repository]]\nfrom = \"s3://maven\"\n\
                 [endpoint]\nlisten = \"{endpoint}\"\nserve = [\"build\"]\n\
                 [vpn]\nlisten = \"{tunnel}\"\napi = \"{api}\"\nendpoint = \"{tunnel}\"\nstore = \"file:{}\"\n",
                cache.display(),
                users.display()
            ),
        );
        let daemon = run(world, &config, status);
        use_each(world, artifacts, endpoint);
        site.looks(2);
        let master = daemon.stdout().lines().find(|line| line.starts_with("bvm_")).unwrap_or_default().to_owned();
        world.note_files();
        world.note_secret("master", &master);
        world.forget_output("run");
        Self { site, daemon, status, artifacts, endpoint, api, master, config }
    }

    /// `kill -9`, and the same daemon anew.
    #[track_caller]
    pub(crate) fn kill_and_start(&mut self) {
        self.daemon.signal(Signal::KILL);
        until(PATIENCE, "the killed daemon is gone", || !self.daemon.runs());
        self.daemon = run(&self.site.world, &self.config, self.status);
    }

    pub(crate) fn world(&self) -> &World {
        &self.site.world
    }
}

/// Returns when it is ready.
#[track_caller]
fn run(world: &World, config: &str, status: SocketAddr) -> Running {
    let mut daemon = world.start("run", &mut world.bowline(&["run", "--config", config]));
    until(PATIENCE, "the daemon is ready", || {
        assert!(daemon.runs(), "the daemon ended: {}", daemon.stderr());
        fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    daemon
}

fn use_each(world: &World, artifacts: SocketAddr, endpoint: SocketAddr) {
    for path in ["/a.jar", "/a.jar", "/missing.jar"] {
        fetch(artifacts, path).unwrap();
    }
    let token = fs::read_to_string(world.path("run/bowline/endpoint/token")).unwrap();
    until(PATIENCE, "the endpoint hands out", || {
        ask(endpoint, "GET", "/v1/role/build", &[("authorization", &token)]).0 == 200
    });
}
