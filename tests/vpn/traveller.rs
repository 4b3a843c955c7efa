//! What the traveller's story needs (`tests/stories/traveller.sh`): a server elsewhere, and a laptop whose network ends at
//! the server's machine.

use std::{os::unix::fs::symlink, path::Path};

use super::{
    laptop::Laptop,
    stage::{PAGE, Server, publish},
};
use crate::harness::{Finished, start};

/// Runs the script in the laptop's namespace; with the job `off` nobody serves.
pub(crate) fn tell(job: &str) -> Finished {
    let laptop = Laptop::new(&format!("story-traveller-{job}"));
    let mut server =
        Server::start(&laptop.rig, &format!("traveller-{job}"), "10.99.1.1:51820", &["--api", "0.0.0.0:8000"]);
    publish(&laptop.rig);
    laptop.world.write("master", &server.master);
    let pin = server.pin();
    if job == "off" {
        server.stop();
    }
    symlink(env!("CARGO_BIN_EXE_bowline"), laptop.world.path("bowline")).unwrap();
    let mut script = laptop.client().command("sh");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stories/traveller.sh"));
    script.env_clear().current_dir(laptop.world.path(""));
    script.envs(laptop.vpn(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", laptop.path(""));
    script.env("PATH", path).env("JOB", job).env("API", "https://10.99.1.1:8000").env("PIN", pin);
    script.env("PAGE", PAGE).env("PAGE_HOST", PAGE.trim_start_matches("http://").trim_end_matches('/'));
    start(&mut script, &laptop.world.path("traveller")).finish(super::LONG)
}
