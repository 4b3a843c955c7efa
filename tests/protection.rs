//! What the daemon keeps from others and takes from itself: core files, swap, files outside, and what `/proc` shows.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    everything::Everything,
    harness::{World, fetch, free_address, pause, skip, until},
};

const PATIENCE: Duration = Duration::from_secs(15);

/// A line of `/proc/PID/FILE`, after its name.
fn proc_line(pid: u32, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim_start_matches(':').trim().to_owned()
}

/// Whether the process can be bound on this machine, which is what it says when it is.
fn is_bound(pid: u32) -> bool {
    proc_line(pid, "status", "NoNewPrivs") == "1"
}

/// Runs `program` from a shell that allows core files, ends it by SIGABRT once it is `ready`: whether it dumped core.
fn dumps_core(mut shell: Command, program: &str, ready: impl Fn() -> bool) -> bool {
    shell.args(["-c", &format!("ulimit -c unlimited; exec {program}")]);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    until(PATIENCE, "it runs", || ready() || child.try_wait().unwrap().is_some());
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    child.wait().unwrap().core_dumped()
}

#[test]
fn a_daemon_that_crashes_leaves_no_core_file() {
    let world = World::new("core-file", |_| {});
    let sleeps = || {
        pause(Duration::from_millis(200));
        true
    };
    if !dumps_core(world.foreign("sh"), "sleep 60", sleeps) {
        skip!("this machine writes no core file of any program");
    }
    let status = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    let program = format!("{} run --config bowline.toml", env!("CARGO_BIN_EXE_bowline"));
    let answers = || fetch(status, "/livez").is_ok_and(|answer| answer.status == 200);
    assert!(!dumps_core(world.foreign("sh"), &program, answers));
}

#[test]
fn a_program_that_is_run_with_credentials_dumps_core_as_it_would_without_us() {
    let world = World::new("core-limit", |_| {});
    world.sign_in();
    let limit = |command: &mut Command| world.run_foreign("limit", command).stdout;
    let shown = limit(world.foreign("sh").args(["-c", "ulimit -c"]));
    for form in ["--env", "--"] {
        let words = ["exec", "build", form, "sh", "-c", "ulimit -c"];
        let words: Vec<&str> =
            words.into_iter().flat_map(|word| if word == "--env" { vec![word, "--"] } else { vec![word] }).collect();
        assert_eq!(limit(&mut world.bowline(&words)), shown, "{form}");
    }
}

#[test]
fn secrets_are_locked_in_memory() {
    let world = World::new("locked", |_| {});
    world.sign_in();
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    let pid = daemon.process.id();
    let most = proc_line(pid, "limits", "Max locked memory");
    if most.starts_with("0 ") {
        skip!("no process may lock memory here");
    }
    let locked = || proc_line(pid, "status", "VmLck").trim_end_matches(" kB").trim().parse::<u64>().unwrap();
    until(PATIENCE, "pages are locked", || locked() > 0);
    assert!(locked() < 4096, "{} KiB are far more than secrets need", locked());
    assert!(proc_line(pid, "limits", "Max core file size").starts_with("0 "));
}

/// A daemon that knows no program of others, and a folder that its configuration does not name.
struct Bound {
    world: World,
    daemon: crate::harness::Running,
    status: SocketAddr,
    artifacts: SocketAddr,
    outside: tempfile::TempDir,
}

impl Bound {
    fn start(name: &str, daemon: &str) -> Self {
        let world = World::new(name, |settings| settings.web_identity_tokens = vec!["jwt".to_owned().into()]);
        world.sign_in();
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        world.cloud().put_object(clock::now(), "maven", "a.jar", "jar");
        let outside = tempfile::tempdir().unwrap();
        let (status, artifacts) = (free_address(), free_address());
        let text = format!(
            "[daemon]\nlisten = \"{status}\"\n{daemon}[artifacts]\nidentity = \"build\"\nlisten = \"{artifacts}\"\n\
             [[artifacts.repository]]\nfrom = \"s3://maven\"\n"
        );
        world.write("conf/bowline.toml", &text);
        let config = world.path("conf/bowline.toml").display().to_string();
        let daemon = world.start("run", &mut world.bowline(&["run", "--config", &config]));
        until(PATIENCE, "it serves", || fetch(artifacts, "/a.jar").is_ok_and(|answer| answer.status == 200));
        Self { world, daemon, status, artifacts, outside }
    }

    /// A file in that folder.
    fn beyond(&self, name: &str, text: &str) -> PathBuf {
        let path = self.outside.path().join(name);
        bowline_base::atomic::write_private(&path, text.as_bytes()).unwrap();
        path
    }

    /// What the daemon says to a profile that is written now, whose token lies in that folder.
    fn late_profile(&self) -> String {
        let token = self.beyond("token", "jwt");
        self.world.configure(&format!(
            "[profile late]\nregion = us-east-1\nrole_arn = arn:aws:iam::111122223333:role/ci\n\
             web_identity_token_file = {}\n",
            token.display()
        ));
        let config = self.world.path("conf/bowline.toml").display().to_string();
        let asked = self.world.run(&["creds", "late", "--config", &config]);
        format!("{:?} {}", asked.code, asked.stderr)
    }
}

#[test]
fn a_file_outside_cannot_be_read_and_what_is_configured_can() {
    let bound = Bound::start("landlock", "landlock = true\n");
    if !is_bound(bound.daemon.id()) {
        skip!("the kernel has no Landlock: {}", bound.daemon.stderr());
    }
    let said = bound.late_profile();
    assert!(said.contains("cannot read the token file") && said.contains("Permission denied"), "{said}");
    let free = Bound::start("landlock-off", "");
    assert!(!is_bound(free.daemon.id()));
    let said = free.late_profile();
    assert!(said.starts_with("Some(0)"), "{said}");
}

#[test]
fn a_reload_that_needs_more_is_refused_and_changes_nothing() {
    let bound = Bound::start("landlock-reload", "landlock = true\n");
    if !is_bound(bound.daemon.id()) {
        skip!("the kernel has no Landlock: {}", bound.daemon.stderr());
    }
    let config = "conf/bowline.toml";
    let good = fs::read_to_string(bound.world.path(config)).unwrap();
    let elsewhere = bound.outside.path().display().to_string();
    bound.world.write(config, &good.replace("s3://maven", &elsewhere));
    bound.daemon.signal(Signal::HUP);
    until(PATIENCE, "it is refused", || {
        bound.daemon.stderr().contains(&format!("{elsewhere}`, which this process may not open"))
    });
    bound.world.write(config, &format!("{good}[notify]\ncommand = [\"/bin/true\"]\n"));
    bound.daemon.signal(Signal::HUP);
    until(PATIENCE, "so is a program", || bound.daemon.stderr().contains("`notify.command` runs a program"));
    assert_eq!(fetch(bound.artifacts, "/a.jar").unwrap().text(), "jar");
    // What it can have it gets.
    let address = free_address();
    bound.world.write(config, &good.replace(&bound.status.to_string(), &address.to_string()));
    bound.daemon.signal(Signal::HUP);
    until(PATIENCE, "the page has moved", || fetch(address, "/livez").is_ok_and(|answer| answer.status == 200));
}

/// Arguments and environment of `pid` and of what it has started, as anybody of the same user would try to read them.
fn seen_of(pid: u32) -> Vec<u8> {
    let mut seen = Vec::new();
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let family = all.filter(|folder| folder.ends_with(pid.to_string()) || parent(folder) == Some(pid));
    for folder in family {
        for file in ["cmdline", "environ"] {
            seen.extend(fs::read(folder.join(file)).unwrap_or_default());
            seen.push(b'\n');
        }
    }
    seen
}

fn parent(folder: &Path) -> Option<u32> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The forms are searched at the end of the run, in what is kept here; as it is, here.
#[test]
fn nothing_of_a_running_daemon_shows_a_secret() {
    let all = Everything::start("shown");
    let world = all.world();
    let waits = world.path("waits");
    world.write("waits", "#!/bin/sh\nsleep 0.3\necho '{\"Version\":1,\"AccessKeyId\":\"AKIAEXAMPLE\",\"SecretAccessKey\":\"of-a-story\"}'\n");
    fs::set_permissions(&waits, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.configure(&format!("[profile other]\nregion = us-east-1\ncredential_process = {}\n", waits.display()));
    let config = world.path("bowline.toml").display().to_string();
    let mut seen = seen_of(all.daemon.id());
    let mut asks = world.start("creds", &mut world.bowline(&["creds", "other", "--config", &config]));
    let mut child_seen = false;
    until(PATIENCE, "a child of the daemon was looked at", || {
        let now = seen_of(all.daemon.id());
        child_seen |= String::from_utf8_lossy(&now).contains("waits");
        seen.extend(now);
        child_seen || !asks.runs()
    });
    asks.finish(PATIENCE);
    world.forget_output("creds");
    assert!(child_seen, "the daemon ran the profile's program: {}", all.daemon.stderr());
    for page in ["/", "/status.json", "/readyz", "/metrics"] {
        seen.extend(fetch(all.status, page).unwrap().body);
    }
    world.keep("proc-and-pages", &seen);
    let secrets = world.cloud().secrets_in_play();
    assert!(secrets.len() >= 5, "there were secrets to find");
    for secret in &secrets {
        let found = seen.windows(secret.expose().len()).any(|window| window == secret.expose().as_bytes());
        assert!(!found, "a secret is shown");
    }
}
