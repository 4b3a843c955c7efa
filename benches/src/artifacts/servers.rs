//! One origin, and before it: nginx's cache, Bowline with and without its memory, and nginx that serves the files
//! themselves, which is as cheap as it gets.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bowline_base::atomic;
use tempfile::TempDir;

use super::client::{Look, get};
use crate::{Outcome, Tools, credentials::wait_until, programs::memory};

pub(super) const NGINX: &str = "/usr/sbin/nginx";
/// Bytes that Bowline may hold in memory here: its default.
pub(super) const MEMORY_MIB: f64 = 64.0;
const TICKS_A_SECOND: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with the origin's files, and the origin.
pub(super) struct Stage {
    home: TempDir,
    bowline: PathBuf,
    pub(super) origin: Server,
}

/// A server, its children included; dropped, it is ended.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// What stands before a key in a path.
    pub(super) prefix: &'static str,
    /// The header that says how a request was served, and what it says of a hit.
    pub(super) hit: Option<(&'static str, &'static str)>,
    process: Child,
}

impl Stage {
    pub(super) fn new(tools: &Tools) -> Outcome<Self> {
        let home = tempfile::Builder::new().prefix("bowline-bench-").tempdir_in(scratch(tools))?;
        fs::create_dir_all(home.path().join("files/bucket"))?;
        fs::create_dir_all(home.path().join("home/.aws"))?;
        atomic::write_private(
            &home.path().join("home/.aws/config"),
            b"[profile me]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = bench\nregion = us-east-1\n",
        )?;
        let files = home.path().join("files");
        let serve = format!("root {};\n    add_header x-amz-request-id bench;", files.display());
        let origin = nginx(home.path(), "origin", "", &serve)?;
        Ok(Self { home, bowline: tools.bowline.clone(), origin })
    }

    /// Puts a file into the origin; `length` beyond the bytes is a hole.
    pub(super) fn put(&self, key: &str, bytes: &[u8], length: u64) -> Outcome<()> {
        let path = self.home.path().join("files/bucket").join(key);
        fs::create_dir_all(path.parent().ok_or("a file has a folder")?)?;
        atomic::write(&path, bytes, 0o644)?;
        Ok(File::options().write(true).open(&path)?.set_len(length)?)
    }

    /// nginx with a cache, its configuration printed.
    pub(super) fn proxy_cache(&self) -> Outcome<Server> {
        let zone = format!(
            "proxy_cache_path {} levels=1:2 keys_zone=z:10m max_size=10g inactive=60m use_temp_path=off;",
            self.path("nginx-cache").display()
        );
        let serve = format!(
            "proxy_pass http://{};\n    proxy_cache z;\n    proxy_cache_valid 200 1h;\n    add_header X-Cache $upstream_cache_status;",
            self.origin.address
        );
        let mut server = nginx(self.home.path(), "nginx proxy_cache", &zone, &serve)?;
        server.hit = Some(("x-cache", "HIT"));
        println!("{}", fs::read_to_string(self.path("nginx proxy_cache.conf"))?);
        Ok(server)
    }

    /// nginx over the files.
    pub(super) fn statics(&self) -> Outcome<Server> {
        let serve = format!("root {};", self.path("files").display());
        nginx(self.home.path(), "nginx static", "", &serve)
    }

    /// Bowline with a cache at `cache` and so much memory.
    pub(super) fn bowline(&self, name: &'static str, cache: &str, memory: &str) -> Outcome<Server> {
        let server = self.starting(name, cache, memory)?;
        wait_until(PATIENCE, name, || TcpStream::connect(server.address).is_ok())?;
        Ok(server)
    }

    /// The same, just begun.
    pub(super) fn starting(&self, name: &'static str, cache: &str, memory: &str) -> Outcome<Server> {
        let address = free_address()?;
        let mut command = Command::new(&self.bowline);
        command.env_clear().env("HOME", self.path("home")).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ENDPOINT_URL_S3", format!("http://{}", self.origin.address)).env("LOG_LEVEL", "warn");
        command.args(["artifacts", "serve", "--profile", "me", "--from", "s3://bucket", "--memory", memory]);
        command.arg("--listen").arg(address.to_string()).arg("--cache").arg(self.path(cache));
        let process = quiet(command, &self.path(&format!("{name}.log")))?;
        let hit = Some(("x-bowline-cache", "hit"));
        Ok(Server { name, address, prefix: "/", hit, process })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

impl Server {
    /// The path of `key` here.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// User and system time so far of the server and its children, in seconds.
    pub(super) fn cpu(&self) -> Outcome<f64> {
        self.family()?.into_iter().map(cpu_of).sum()
    }

    /// Resident memory of all its processes, in MiB.
    pub(super) fn memory(&self) -> Outcome<f64> {
        self.family()?.into_iter().map(|id| memory(id, "VmRSS")).sum()
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks until `key` comes from the cache, and holds the bytes against their sum.
    pub(super) fn prove(&self, key: &str, sha256: &str) -> Outcome<()> {
        let mut last = String::new();
        for _ in 0..50 {
            let answer = get(self.address, &self.path(key), Look::Closely)?;
            if !answer.is_ok() || answer.sha256 != sha256 {
                return Err(format!("{} serves something else as {key}: {}", self.name, answer.head).into());
            }
            if self.hit.is_none_or(|(name, value)| answer.header(name) == value) {
                return Ok(());
            }
            last = answer.head;
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{}: {key} does not become a hit: {last}", self.name).into())
    }

    /// The process and its children, which is what nginx's workers are.
    fn family(&self) -> Outcome<Vec<u32>> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        Ok(std::iter::once(id).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's master ends its workers when it is asked to end, not when it is killed.
        if let Some(id) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
        self.process.wait().ok();
    }
}

/// Where there is room for gigabytes: beside the program, which is on a disk.
fn scratch(tools: &Tools) -> &Path {
    tools.bowline.parent().unwrap_or(Path::new("/tmp"))
}

fn nginx(home: &Path, name: &'static str, http: &str, location: &str) -> Outcome<Server> {
    let address = free_address()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Its workers have to be able to read our folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let (pid, log) = (home.join(format!("{name}.pid")), home.join(format!("{name}.log")));
    let text = format!(
        "{user}worker_processes {cores};\ndaemon off;\npid \"{}\";\nerror_log \"{}\";\nevents {{ worker_connections 1024; }}\nhttp {{\n  \
         access_log off;\n  default_type application/octet-stream;\n  sendfile on;\n  tcp_nopush off;\n  keepalive_requests 1000000000;\n  {http}\n  \
         server {{ listen {address} backlog=1024; location / {{\n    {location}\n  }} }}\n}}\n",
        pid.display(),
        log.display()
    );
    let config = home.join(format!("{name}.conf"));
    atomic::write_private(&config, text.as_bytes())?;
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(home).arg("-e").arg(&log).arg("-c").arg(&config);
    let process = quiet(command, &home.join(format!("{name}.out")))?;
    let server = Server { name, address, prefix: "/bucket/", hit: None, process };
    wait_until(PATIENCE, name, || TcpStream::connect(address).is_ok())?;
    Ok(server)
}

fn quiet(mut command: Command, log: &Path) -> Outcome<Child> {
    let log = File::create(log)?;
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn cpu_of(id: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |number: usize| fields.get(number).and_then(|text| text.parse::<f64>().ok());
    // The 14th and the 15th field; the first two stand before the parenthesis.
    let both = ticks(11).zip(ticks(12)).ok_or("a `stat` in /proc cannot be read")?;
    Ok((both.0 + both.1) / TICKS_A_SECOND)
}
