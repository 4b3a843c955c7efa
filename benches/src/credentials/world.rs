//! A home folder, a fake AWS in this process, and Bowline with nothing else in its environment.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bowline_base::atomic;
use bowline_fakeaws::{Cloud, FakeAws, Settings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{Outcome, Tools};

pub(super) struct World {
    home: TempDir,
    fake: FakeAws,
    _runtime: Runtime,
    bowline: PathBuf,
    pub(super) endpoint: SocketAddr,
}

/// A running daemon; dropped, it is ended.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl World {
    /// A user `me` with keys, and the role `build` whose sessions last for `lifetime`.
    pub(super) fn new(tools: &Tools, lifetime: Duration) -> Outcome<Self> {
        let runtime = Runtime::new()?;
        let settings = Settings { sts_lifetime: Some(lifetime), ..Settings::default() };
        let fake = runtime.block_on(FakeAws::start(settings))?;
        let key = fake.cloud().add_user("me");
        let home = tempfile::tempdir()?;
        let endpoint = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let world = Self { home, fake, _runtime: runtime, bowline: tools.bowline.clone(), endpoint };
        world.write_config(
            ".aws/config",
            &format!(
                "[profile me]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = us-east-1\n\n\
                 [profile build]\nrole_arn = arn:aws:iam::111122223333:role/build\nsource_profile = me\nregion = us-east-1\n",
                key.key_id,
                key.secret_key.expose()
            ),
        )?;
        world.write_config(
            "bowline.toml",
            &format!(
                "[daemon]\nlisten = \"127.0.0.1:0\"\nkeep-fresh = [\"build\"]\n[endpoint]\nlisten = \"{endpoint}\"\nserve = [\"build\"]\n"
            ),
        )?;
        Ok(world)
    }

    pub(super) fn cloud(&self) -> &Arc<Cloud> {
        self.fake.cloud()
    }

    /// A path below the home folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `program` in this world.
    pub(super) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(self.home.path());
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"));
        command.env("AWS_ENDPOINT_URL", self.fake.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Bowline in this world.
    pub(super) fn bowline(&self, arguments: &[&str]) -> Command {
        self.command(&self.bowline, arguments)
    }

    /// `bowline run`, with credentials in memory.
    pub(super) fn daemon(&self) -> Outcome<Daemon> {
        self.daemon_with(&self.path("bowline.toml"))
    }

    /// The same by another file.
    pub(super) fn daemon_with(&self, config: &Path) -> Outcome<Daemon> {
        let mut command = self.bowline(&["run", "--config"]);
        command.arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Daemon(command.spawn()?);
        let socket = self.home.path().join("run/bowline/sock");
        let answers = || TcpStream::connect(self.endpoint).is_ok() && socket.exists();
        wait_until(Duration::from_secs(10), "the daemon answers", answers)?;
        wait_until(Duration::from_secs(10), "credentials are in memory", || {
            super::endpoint::Asker::connect(self).is_ok_and(|mut asker| asker.ask().is_ok_and(|status| status == 200))
        })?;
        Ok(daemon)
    }

    /// The endpoint's token.
    pub(super) fn token(&self) -> Outcome<String> {
        Ok(fs::read_to_string(self.home.path().join("run/bowline/endpoint/token"))?)
    }

    /// A file of this home; gives its path.
    pub(super) fn write_config(&self, relative: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.home.path().join(relative);
        atomic::private_directory(path.parent().ok_or("a file has a folder")?)?;
        atomic::write_private(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// Polls `condition` until it holds.
pub(crate) fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Outcome<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return Err(format!("waited {limit:?} in vain: {what}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
