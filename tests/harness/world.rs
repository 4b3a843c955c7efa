//! One story's world: a home folder, a fake AWS, and the program started with nothing else in its environment.

use std::{
    ffi::OsStr,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bowline_base::{Timestamp, atomic, utc};
use bowline_fakeaws::{Cloud, FakeAws, Settings, SsoTokens};
use bowline_host::clock;
use rustix::process::Signal;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Finished, Running, fetch, free_address, made_below, run, start, until};

/// Longest that a command which asks somebody may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Profiles of a developer who signs in through SSO, and what the stories add to them.
const CONFIG: &str = "\
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access

[profile build]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = build
region = us-east-1

[profile deploy]
source_profile = build
role_arn = arn:aws:iam::111122223333:role/admin
region = us-east-1

[profile build-via-bowline]
credential_process = BOWLINE creds build
region = us-east-1
";

/// A world; when it is dropped, its AWS and its files are gone.
pub(crate) struct World {
    home: TempDir,
    fake: FakeAws,
    runtime: Runtime,
    output: PathBuf,
    endpoint: String,
    processes: AtomicU32,
}

/// `bowline run` with a configuration of its own.
pub(crate) struct Daemon {
    pub(crate) process: Running,
    /// Status page.
    pub(crate) status: SocketAddr,
    /// The repository's port.
    pub(crate) artifacts: SocketAddr,
    /// `bowline.toml`
    pub(crate) config: PathBuf,
}

impl Drop for World {
    /// Whatever lies in its files at the end is looked for in everything that was said.
    fn drop(&mut self) {
        let listed = self.list("made", &made_below(self.home.path()));
        // A second panic would take every other test of the process along.
        if !std::thread::panicking() {
            listed.unwrap();
        }
    }
}

impl World {
    /// A world called `name`, with a fake AWS as `change` wants it. Nobody is signed in.
    pub(crate) fn new(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let (output, secrets) = (target.join("test-output").join(name), target.join("test-secrets"));
        fs::create_dir_all(&output).unwrap();
        fs::create_dir_all(&secrets).unwrap();
        let mut settings = Settings { secret_ledger: Some(secrets.join(format!("{name}.txt"))), ..Settings::default() };
        change(&mut settings);
        let runtime = Runtime::new().unwrap();
        let fake = runtime.block_on(FakeAws::start(settings)).unwrap();
        let home = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let endpoint = fake.endpoint();
        let world = Self { home, fake, runtime, output, endpoint, processes: AtomicU32::new(0) };
        world.write(".aws/config", &CONFIG.replace("BOWLINE", env!("CARGO_BIN_EXE_bowline")));
        fs::DirBuilder::new().mode(0o700).create(world.path("run")).unwrap();
        world
    }

    /// The fake behind its socket.
    pub(crate) fn cloud(&self) -> &Arc<Cloud> {
        self.fake.cloud()
    }

    /// Lets async code run, for peers that need it.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Where the program finds AWS.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on the program finds AWS at `endpoint`.
    pub(crate) fn use_endpoint(&mut self, endpoint: String) {
        self.endpoint = endpoint;
    }

    /// Adds secrets that another fake issued to those that the scan looks for.
    pub(crate) fn note_secrets(&self, secrets: &[String]) {
        self.list("inside", secrets).unwrap();
    }

    /// Adds what the program has made, printed once and kept as a hash: `what` it is.
    pub(crate) fn note_secret(&self, what: &str, secret: &str) {
        self.list(what, &[secret.to_owned()]).unwrap();
    }

    /// Adds the keys and tokens that lie in the files of the home folder now.
    pub(crate) fn note_files(&self) {
        self.list("made", &made_below(self.home.path())).unwrap();
    }

    fn list(&self, what: &str, secrets: &[String]) -> io::Result<()> {
        let text: String = secrets.iter().map(|secret| format!("{secret}\n")).collect();
        let name = format!("{}-{what}.txt", self.output.file_name().unwrap().to_string_lossy());
        let list = self.output.join("../../test-secrets").join(name);
        atomic::write_private(&list, text.as_bytes())
    }

    /// A path below the home folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.home.path().join(relative)
    }

    /// Writes a file below the home folder, for the owner only.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        atomic::private_directory(path.parent().unwrap()).unwrap();
        atomic::write_private(&path, text.as_bytes()).unwrap();
    }

    /// Adds to `~/.aws/config`.
    pub(crate) fn configure(&self, text: &str) {
        let config = fs::read_to_string(self.path(".aws/config")).unwrap();
        self.write(".aws/config", &format!("{config}\n{text}"));
    }

    /// Leaves the tokens of a finished login where the AWS CLI would.
    pub(crate) fn sign_in(&self) -> SsoTokens {
        let tokens = self.cloud().sign_in(clock::now());
        self.leave_tokens(&tokens, tokens.expires_at);
        tokens
    }

    /// The same with an access token that has ended; the refresh token is good.
    pub(crate) fn sign_in_long_ago(&self) {
        let tokens = self.cloud().sign_in(clock::now());
        self.cloud().expire_access_tokens(clock::now());
        self.leave_tokens(&tokens, clock::now().wall - Duration::from_secs(60));
    }

    /// `~/.aws/sso/cache/….json` of the sso-session `corp`.
    pub(crate) fn token_file(&self) -> PathBuf {
        let name: String = Sha1::digest("corp").iter().map(|byte| format!("{byte:02x}")).collect();
        self.path(&format!(".aws/sso/cache/{name}.json"))
    }

    /// What stands in the token file.
    pub(crate) fn token(&self) -> Value {
        serde_json::from_slice(&fs::read(self.token_file()).unwrap()).unwrap()
    }

    /// The program with `arguments`.
    pub(crate) fn bowline(&self, arguments: &[&str]) -> Command {
        let mut command = self.foreign(env!("CARGO_BIN_EXE_bowline"));
        command.args(arguments);
        command
    }

    /// Another program in the same environment.
    pub(crate) fn foreign(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let kept = std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "LLVM_PROFILE_FILE");
        command.env_clear().envs(kept).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", self.path("run"));
        // A program that counts which of its lines were reached writes that down at its end, where the daemon may not.
        if std::env::vars_os().any(|(name, _)| name == "LLVM_PROFILE_FILE") {
            command.env("BOWLINE_LANDLOCK", "off");
        }
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Runs the program to its end. What it prints is kept for the secret scan, unless credentials are what it prints.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        let output = self.output(arguments.first().unwrap_or(&"bowline"));
        let finished = run(&mut self.bowline(arguments), &output, LIMIT);
        if matches!(arguments.first(), Some(&("console" | "creds" | "env"))) {
            fs::remove_file(output.with_extension("stdout")).unwrap();
        }
        finished
    }

    /// Runs another program to its end.
    #[track_caller]
    pub(crate) fn run_foreign(&self, name: &str, command: &mut Command) -> Finished {
        run(command, &self.output(name), LIMIT)
    }

    /// Starts a program and leaves it running.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Running {
        start(command, &self.output(name))
    }

    /// Keeps what was shown by other ways than a process's output, for the secret scan.
    pub(crate) fn keep(&self, name: &str, shown: &[u8]) {
        atomic::write_private(&self.output(name).with_extension("shown"), shown).unwrap();
    }

    /// Removes what processes called `name` printed on stdout: credentials, where that is what they are for.
    pub(crate) fn forget_output(&self, name: &str) {
        for entry in fs::read_dir(&self.output).unwrap().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&format!("-{name}.stdout")) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// `bowline run` with `[daemon]`, `[artifacts]` for profile `build`, and the repositories of `more`.
    #[track_caller]
    pub(crate) fn daemon(&self, more: &str) -> Daemon {
        let (status, artifacts) = (free_address(), free_address());
        let cache = self.path("cache");
        let text = format!(
            "[daemon]\nlisten = \"{status}\"\nkeep-fresh = [\"build\"]\n\n\
             [artifacts]\nidentity = \"build\"\nlisten = \"{artifacts}\"\nnegative-ttl = \"1s\"\n\
             cache = {{ path = \"{}\", max-size = \"2 GiB\" }}\n{more}",
            cache.display()
        );
        self.write("bowline.toml", &text);
        let config = self.path("bowline.toml");
        let mut daemon = Daemon { process: self.start_daemon(&config), status, artifacts, config };
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the same daemon again, after its end.
    #[track_caller]
    pub(crate) fn restart(&self, daemon: &mut Daemon) {
        until(Duration::from_secs(5), "the old process has ended", || !daemon.process.runs());
        daemon.process = self.start_daemon(&daemon.config);
        daemon.wait_until_ready();
    }

    fn start_daemon(&self, config: &Path) -> Running {
        self.start("run", &mut self.bowline(&["run", "--config", config.to_str().unwrap()]))
    }

    fn leave_tokens(&self, tokens: &SsoTokens, expires_at: Timestamp) {
        let file = json!({
            "startUrl": "https://corp.awsapps.com/start",
            "region": "us-east-1",
            "accessToken": tokens.access_token.expose(),
            "expiresAt": utc(expires_at),
            "clientId": tokens.client_id,
            "clientSecret": tokens.client_secret.expose(),
            "registrationExpiresAt": utc(tokens.registration_expires_at),
            "refreshToken": tokens.refresh_token.as_ref().map(|token| token.expose().to_owned()),
        });
        let path = self.token_file();
        atomic::private_directory(path.parent().unwrap()).unwrap();
        atomic::write_private(&path, file.to_string().as_bytes()).unwrap();
    }

    /// A new place for the output of a process.
    fn output(&self, name: &str) -> PathBuf {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        self.output.join(format!("{number:02}-{name}.out"))
    }
}

impl Daemon {
    /// Asks `/readyz` until it says yes.
    #[track_caller]
    pub(crate) fn wait_until_ready(&mut self) {
        let (status, process) = (self.status, &mut self.process);
        until(Duration::from_secs(10), "the daemon is ready", || {
            assert!(process.runs(), "the daemon ended: {}", process.stderr());
            fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
    }

    /// SIGTERM; the exit code and how long it took.
    #[track_caller]
    pub(crate) fn stop(self) -> (Finished, Duration) {
        self.process.signal(Signal::TERM);
        let start = clock::now().boot;
        let finished = self.process.finish(Duration::from_secs(10));
        (finished, clock::now().boot - start)
    }
}

/// Whether only the owner may read `path`.
pub(crate) fn is_private(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode().trailing_zeros() >= 6)
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
