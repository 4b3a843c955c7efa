//! A daemon with every door open, and beside it what hands credentials out without it; one read through each.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use bowline_host::clock;
use serde_json::Value;

use super::judge::{Read, Set};
use crate::harness::{Running, World, ask, ask_unix, document, fetch, free_address, until};

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// `bowline creds` beside the daemon.
    Creds,
    /// `bowline creds` where no daemon answers.
    CredsAlone,
    Env,
    Ecs,
    EcsUnix,
    Imds,
    /// The endpoint of `bowline exec`'s child.
    Exec,
    /// A section of `~/.aws/credentials`, kept by `bowline write --watch`.
    Section,
    /// A file of its own, kept by `bowline write --file --watch`.
    File,
}

pub(super) const WAYS: [Way; 9] =
    [Way::Creds, Way::CredsAlone, Way::Env, Way::Ecs, Way::EcsUnix, Way::Imds, Way::Exec, Way::Section, Way::File];

impl Way {
    pub(super) fn starts_a_process(self) -> bool {
        matches!(self, Self::Creds | Self::CredsAlone | Self::Env)
    }

    pub(super) fn is_file(self) -> bool {
        matches!(self, Self::Section | Self::File)
    }
}

pub(super) struct Stage<'a> {
    world: &'a World,
    _daemon: Running,
    writers: [Running; 2],
    exec: Running,
    pub(super) endpoint: SocketAddr,
    pub(super) imds: SocketAddr,
    pub(super) token_file: PathBuf,
    token: String,
    exec_endpoint: SocketAddr,
    exec_token: String,
}

/// The child of `exec` ends with it also when a test fails.
impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.exec.runs() {
            self.exec.signal(rustix::process::Signal::TERM);
            until(Duration::from_secs(5), "exec has ended", || !self.exec.runs());
        }
    }
}

const EXEC_ENDPOINT: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://";
const EXEC_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=";

impl<'a> Stage<'a> {
    /// Starts everything; every way gives a set.
    #[track_caller]
    pub(super) fn new(world: &'a World) -> Self {
        world.sign_in();
        let (status, endpoint, imds) = (free_address(), free_address(), free_address());
        world.write(
            "bowline.toml",
            &format!(
                "[daemon]\nlisten = \"{status}\"\n\n[endpoint]\nlisten = \"{endpoint}\"\nimds = \"{imds}\"\n\
                 socket = \"{}\"\nserve = [\"build\"]\n",
                world.path("run/http").display()
            ),
        );
        let config = world.path("bowline.toml");
        let daemon = world.start("run", &mut world.bowline(&["run", "--config", config.to_str().unwrap()]));
        let ready = || fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200);
        until(Duration::from_secs(10), "the daemon is ready", ready);
        fs::create_dir(world.path("secret")).unwrap();
        let file = world.path("secret/aws");
        let section = ["write", "build", "--as", "legacy", "--watch"];
        let writers = [&section[..], &["write", "build", "--watch", "--file", file.to_str().unwrap()]]
            .map(|arguments| world.start("write", &mut world.bowline(arguments)));
        let script = "env | grep ^AWS_CONTAINER; trap 'exit 0' TERM; while sleep 0.2; do :; done";
        let exec = world.start("exec", &mut world.bowline(&["exec", "build", "--", "sh", "-c", script]));
        let told = |name: &str| exec.stdout().lines().find_map(|line| line.strip_prefix(name).map(ToOwned::to_owned));
        until(Duration::from_secs(10), "exec serves", || told(EXEC_ENDPOINT).is_some() && told(EXEC_TOKEN).is_some());
        let exec_endpoint = told(EXEC_ENDPOINT).unwrap().split('/').next().unwrap().parse().unwrap();
        let exec_token = fs::read_to_string(told(EXEC_TOKEN).unwrap()).unwrap();
        let token_file = world.path("run/bowline/endpoint/token");
        let token = fs::read_to_string(&token_file).unwrap();
        let stage = Self {
            world,
            _daemon: daemon,
            writers,
            exec,
            endpoint,
            imds,
            token_file,
            token,
            exec_endpoint,
            exec_token,
        };
        for way in WAYS {
            until(Duration::from_secs(10), &format!("{way:?} gives a set"), || matches!(stage.read(way), Read::Set(_)));
        }
        stage
    }

    /// What `way` gives now.
    pub(super) fn read(&self, way: Way) -> Read {
        match way {
            Way::Creds => self.creds(None),
            Way::CredsAlone => self.creds(Some("nobody")),
            Way::Env => self.env(),
            Way::Ecs => self.http(|| ask(self.endpoint, "GET", "/v1/role/build", &[("authorization", &self.token)])),
            Way::EcsUnix => self
                .http(|| ask_unix(&self.world.path("run/http"), "/v1/role/build", &[("authorization", &self.token)])),
            Way::Exec => {
                self.http(|| ask(self.exec_endpoint, "GET", "/v1/role/build", &[("authorization", &self.exec_token)]))
            }
            Way::Imds => self.imds(),
            Way::Section => self.file(".aws/credentials", "[legacy]"),
            Way::File => self.file("secret/aws", "[default]"),
        }
    }

    /// Whether both processes that keep files have said so.
    pub(super) fn writers_say(&self, words: &str) -> bool {
        self.writers.iter().all(|writer| writer.stderr().contains(words))
    }

    fn creds(&self, socket: Option<&str>) -> Read {
        let mut command = self.world.bowline(&["creds", "build"]);
        if let Some(socket) = socket {
            command.env("BOWLINE_SOCKET", self.world.path(socket));
        }
        json_of(&mut command, ["AccessKeyId", "SecretAccessKey", "SessionToken"])
    }

    fn env(&self) -> Read {
        let mut command = self.world.bowline(&["env", "build", "--shell", "json"]);
        json_of(&mut command, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
    }

    fn imds(&self) -> Read {
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let (status, answer) = ask(self.imds, "PUT", "/latest/api/token", &[ttl]);
        let Some((_, token)) = answer.split_once("\r\n\r\n").filter(|_| status == 200) else {
            return Read::No(format!("no IMDS token: {status} {answer}"));
        };
        let path = "/latest/meta-data/iam/security-credentials/build";
        self.http(|| ask(self.imds, "GET", path, &[("x-aws-ec2-metadata-token", token)]))
    }

    fn http(&self, ask: impl FnOnce() -> (u16, String)) -> Read {
        let asked_at = clock::now().wall;
        match ask() {
            (200, answer) => set(asked_at, &document(&answer), ["AccessKeyId", "SecretAccessKey", "Token"]),
            (status, answer) => Read::No(format!("{status} {answer}")),
        }
    }

    /// As an SDK parses it: the section's lines.
    fn file(&self, path: &str, section: &str) -> Read {
        let asked_at = clock::now().wall;
        let text = fs::read_to_string(self.world.path(path)).unwrap_or_default();
        let of_section = text.split_once(section).map_or("", |(_, rest)| rest.split("\n[").next().unwrap_or(rest));
        let lines = of_section.lines().filter_map(|line| line.split_once(" = "));
        let values: serde_json::Map<String, Value> =
            lines.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        set(asked_at, &values.into(), ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"])
    }
}

/// Runs `command`, whose output stays in memory, since it is credentials.
fn json_of(command: &mut Command, names: [&str; 3]) -> Read {
    let asked_at = clock::now().wall;
    let output = command.stdin(Stdio::null()).output().unwrap();
    let code = output.status.code().unwrap_or(-1);
    if code != 0 {
        return Read::No(format!("exit {code}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(json) => set(asked_at, &json, names),
        Err(error) => Read::No(format!("not JSON: {error}")),
    }
}

fn set(asked_at: bowline_base::Timestamp, json: &Value, names: [&str; 3]) -> Read {
    let [Some(key_id), Some(secret), Some(token)] = names.map(|name| json[name].as_str().map(ToOwned::to_owned)) else {
        return Read::No("a blank where a set should be".to_owned());
    };
    Read::Set(Set { asked_at, key_id, secret, token })
}
