//! `[[grant]]` with the kernel's own word: processes of other users and in a control group, on every door.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::harness::{Finished, Running, World, fetch, free_address, is_private, skip, until};

/// Users that no account belongs to, so that no file mode helps them.
const GRANTED: u32 = 64_917;
const STRANGER: u32 = 64_918;

/// A daemon with an endpoint and `grants`, whose sockets others can walk up to.
struct Granting {
    world: World,
    _daemon: Running,
    endpoint: SocketAddr,
    /// The program, where every user can run it.
    program: PathBuf,
}

impl Granting {
    /// `HOME` in `grants` is the world's home folder.
    #[track_caller]
    fn start(name: &str, grants: &str) -> Self {
        let world = World::new(name, |_| {});
        let grants = grants.replace("HOME", world.path("").to_str().unwrap());
        world.sign_in();
        let (status, endpoint) = (free_address(), free_address());
        world.write(
            "bowline.toml",
            &format!("[daemon]\nlisten = \"{status}\"\n[endpoint]\nlisten = \"{endpoint}\"\nserve = [\"build\", \"deploy\"]\n{grants}"),
        );
        let program = world.path("bowline");
        fs::copy(env!("CARGO_BIN_EXE_bowline"), &program).unwrap();
        for (path, mode) in [("", 0o711), ("run", 0o711), ("bowline", 0o755)] {
            fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        let config = world.path("bowline.toml");
        let daemon = world.start("run", &mut world.bowline(&["run", "--config", config.to_str().unwrap()]));
        until(Duration::from_secs(10), "the daemon is ready", || {
            fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        Self { world, _daemon: daemon, endpoint, program }
    }

    /// `command` as `uid`, with nothing of the world's owner in its environment.
    fn as_user(&self, uid: u32, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = std::env::vars_os().filter(|(name, _)| name == "PATH");
        command.env_clear().envs(path).current_dir("/").uid(uid).gid(uid);
        command.env("HOME", "/nonexistent").env("BOWLINE_SOCKET", self.world.path("run/bowline/sock"));
        command
    }

    /// `bowline creds PROFILE` as `uid`; what it prints is forgotten.
    fn creds(&self, uid: u32, profile: &str) -> Finished {
        let end = self.world.run_foreign("creds", self.as_user(uid, &self.program).args(["creds", profile]));
        self.world.forget_output("creds");
        end
    }

    /// `bowline ARGUMENTS` as `uid`.
    fn bowline(&self, uid: u32, arguments: &[&str]) -> Finished {
        self.world.run_foreign("user", self.as_user(uid, &self.program).args(arguments))
    }

    /// The status that the endpoint gives to `curl` as `uid`, with the token in `token` if there is one.
    fn endpoint(&self, uid: u32, profile: &str, token: Option<&Path>) -> String {
        let url = format!("http://{}/v1/role/{profile}", self.endpoint);
        let mut curl = self.as_user(uid, "curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]);
        if let Some(token) = token {
            // Read by us: how a token comes to its client is not what is asked here.
            curl.args(["-H", &format!("authorization: {}", fs::read_to_string(token).unwrap())]);
        }
        self.world.run_foreign("curl", &mut curl).stdout
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn another_user_gets_what_its_grant_gives_and_nobody_else_gets_anything() {
    if !is_root() {
        skip!("grants to other users: only root can start processes of others");
    }
    let granting = Granting::start(
        "grants-user",
        &format!("[[grant]]\nuid = {GRANTED}\nprofiles = [\"build\"]\naudit = \"deny\"\n"),
    );
    let given = granting.creds(GRANTED, "build");
    assert_eq!(given.code, Some(0), "{}", given.stderr);
    assert!(given.stdout.contains("\"SessionToken\""), "credentials over the daemon's socket");
    for (uid, profile) in [(GRANTED, "deploy"), (STRANGER, "build")] {
        let refused = granting.creds(uid, profile);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{uid} {profile}: {}", refused.stderr);
        assert!(refused.stderr.contains("[[grant]]"), "{}", refused.stderr);
    }
    // Who is granted something is not told to stop the daemon.
    let status = granting.bowline(GRANTED, &["status"]);
    assert!(status.stdout.contains("[[grant]]s name") && status.stdout.contains("ask its owner"), "{}", status.stdout);
    let doctor = granting.bowline(GRANTED, &["doctor", "daemon"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("chmod"), "{}", doctor.stdout);
    assert_eq!(granting.endpoint(GRANTED, "build", None), "200");
    assert_eq!(granting.endpoint(GRANTED, "deploy", None), "403");
    assert_eq!(granting.endpoint(STRANGER, "build", None), "401");
    // The owner's token in a stranger's hands is worth nothing.
    let stolen = granting.world.path("run/bowline/endpoint/token");
    assert_eq!(granting.endpoint(STRANGER, "build", Some(&stolen)), "403");
}

#[test]
fn a_token_of_its_own_lets_a_client_in_whoever_it_is() {
    if !is_root() {
        skip!("grants by token to other users: only root can start processes of others");
    }
    let granting =
        Granting::start("grants-token", "[[grant]]\ntoken-file = \"HOME/clients/ci\"\nprofiles = [\"build\"]\n");
    let token = granting.world.path("clients/ci");
    assert!(is_private(&token));
    assert_eq!(granting.endpoint(STRANGER, "build", Some(&token)), "200");
    assert_eq!(granting.endpoint(STRANGER, "deploy", Some(&token)), "403");
    assert_eq!(granting.endpoint(STRANGER, "build", None), "401");
    let old = fs::read_to_string(&token).unwrap();
    granting.world.write("clients/ci", "another-token-of-enough-length-0123456789");
    until(Duration::from_secs(5), "the new token is taken", || {
        granting.endpoint(STRANGER, "build", Some(&token)) == "200"
    });
    granting.world.write("clients/former", &old);
    assert_eq!(granting.endpoint(STRANGER, "deploy", Some(&granting.world.path("clients/former"))), "403");
}

#[test]
fn a_control_group_lets_its_processes_in_on_the_socket() {
    let Some(group) = ControlGroup::make() else {
        skip!("grants to a control group: none can be made here (cgroup v2, as root)");
    };
    let granting = Granting::start(
        "grants-cgroup",
        &format!("[[grant]]\ncgroup = \"{}\"\nprofiles = [\"build\"]\n", group.name()),
    );
    let creds = "exec \"$0\" creds build";
    let entered = format!(
        "echo $$ > {}/cgroup.procs && exec setpriv --reuid {STRANGER} --clear-groups sh -c '{creds}' \"$0\"",
        group.0.display()
    );
    let mut inside = granting.as_user(0, "sh");
    let inside = granting.world.run_foreign("creds", inside.args(["-c", &entered]).arg(&granting.program));
    granting.world.forget_output("creds");
    assert_eq!(inside.code, Some(0), "{}", inside.stderr);
    assert!(inside.stdout.contains("\"SessionToken\""));
    assert_eq!(granting.creds(STRANGER, "build").code, Some(1), "the same user outside of the group");
}

/// A control group of cgroup v2, removed when dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    fn make() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let place = words.next()?;
            (words.next() == Some("cgroup2")).then(|| place.to_owned())
        })?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::").map(ToOwned::to_owned))?;
        let group = Path::new(&root).join(own.trim_start_matches('/')).join(format!("bowline-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let group = Self(group);
        // Where only the kernel's own processes may be moved, this says so.
        fs::metadata(group.0.join("cgroup.procs")).ok()?;
        is_root().then_some(group)
    }

    /// As `/proc/PID/cgroup` names it.
    fn name(&self) -> String {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap().trim_end_matches('/').to_owned();
        format!("{own}/{}", self.0.file_name().unwrap().to_string_lossy())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}
