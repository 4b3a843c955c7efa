//! `explain`, `healthcheck` and `service install`, as a person and a container use them.

use std::{fs, path::Path, process::Command, time::Duration};

use rustix::process::Signal;

use crate::harness::{Supervisor, World, fetch, free_address, skip, until};

#[test]
fn a_key_is_explained_and_a_mistyped_one_is_led_on() {
    let world = World::new("explain", |_| {});
    let said = world.run(&["explain", "artifacts.cache.max-size"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("max-size = \"20 GiB\"") && said.stdout.contains("default: \"20 GiB\""),
        "{}",
        said.stdout
    );
    let wrong = world.run(&["explain", "artifacts.cache.maxsize"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("bowline explain artifacts.cache.max-size"), "{}", wrong.stderr);
    let all = world.run(&["explain", "--output", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&all.stdout).unwrap();
    assert!(rows.iter().any(|row| row["key"] == "daemon.listen" && row["default"] == "\"127.0.0.1:9910\""));
}

#[test]
fn a_container_is_healthy_while_something_of_ours_answers() {
    let world = World::new("healthcheck", |_| {});
    world.sign_in();
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    let config = daemon.config.clone();
    let check = |arguments: &[&str]| {
        let config = config.to_str().unwrap();
        world.run(&[&["healthcheck", "--config", config], arguments].concat())
    };
    let well = check(&[]);
    assert_eq!(well.code, Some(0), "{}", well.stderr);
    let url = format!("http://{}/healthz", daemon.artifacts);
    assert_eq!(check(&["--url", &url]).code, Some(0));
    let gone = format!("http://{}/no/such/file.jar", daemon.artifacts);
    assert_eq!(check(&["--url", &gone]).code, Some(1));
    daemon.stop();
    let dead = check(&["--url", &url]);
    assert_eq!(dead.code, Some(1));
    assert!(dead.stderr.contains("nothing answers"), "{}", dead.stderr);
}

#[test]
fn the_units_for_the_machine_and_for_a_user_are_accepted_by_systemd_and_hardened() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        skip!("systemd is not installed");
    }
    for scope in ["--system", "--user"] {
        let world = World::new(&format!("service{scope}"), |_| {});
        let printed = world.run(&["service", "install", scope, "--kind", "systemd", "--print"]);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        if scope == "--system" {
            // Leases outlive a restart, and containers have the token's directory mounted.
            assert!(printed.stdout.contains("\nRuntimeDirectoryPreserve=yes\n"), "{}", printed.stdout);
        }
        world.write("bowline.service", &printed.stdout);
        let unit = world.path("bowline.service");
        let analyze = |words: &[&str]| Command::new("systemd-analyze").args(words).arg(&unit).output().unwrap();
        let judged = String::from_utf8(analyze(&["security", "--offline=true", "--no-pager"]).stdout).unwrap();
        let level = judged.lines().find_map(|line| line.split_once("bowline.service: "));
        let level: f64 = level.unwrap_or_else(|| panic!("{judged}")).1.split(' ').next().unwrap().parse().unwrap();
        assert!(level <= 2.0, "{scope}: exposure {level}");
        // The manual is not installed here; everything else must be known to systemd.
        let verified = analyze(&["verify", "--man=no"]);
        assert_eq!(String::from_utf8_lossy(&verified.stderr).trim(), "", "{scope}");
    }
}

/// In a namespace with an empty `/run` and `/var/lib` and an `/etc` of its own, as the unit starts it: a user without rights
/// in the service's home. What it gives out is never printed.
const SERVICE: &str = r#"
set -eu
mount -t tmpfs -o mode=755 none /run; mount -t tmpfs -o mode=755 none /var/lib
install -d -o 4321 -g 4321 -m 711 /run/bowline; install -d -o 4321 -g 4321 -m 700 /var/lib/bowline
install -m 755 "$1" /run/program; install -d /run/etc; cp -a /etc/. /run/etc/; mount --bind /run/etc /etc
sed -i '/^bowline:/d' /etc/passwd; echo bowline:x:4321:4321::/var/lib/bowline:/usr/sbin/nologin >>/etc/passwd
file=/etc/bowline/bowline.toml; install -d /etc/bowline; install -m 600 "$2" $file
as() { user=$1; shift; exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all "$@"; }
root() { HOME=/run/root /run/program "$@"; }
service() { as 4321 env HOME=/var/lib/bowline NOTIFY_SOCKET=/run/none /run/program "$@"; }
other() { as 4322 env HOME=/nowhere BOWLINE_SOCKET=/run/bowline/sock /run/program "$@"; }
keys='[machine]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY\n'
kept=/var/lib/bowline/.local/state/bowline/vpn
(as 4321 mkdir -p $kept /var/lib/bowline/.aws); (printf "$keys" | as 4321 tee /var/lib/bowline/.aws/credentials >/dev/null)
root check --config $file || echo "closed: $?"
chmod 644 $file; root check --config $file; echo "open: $?"
(service run --config $file) || echo "refused: $?"
(service creds machine >/dev/null) || echo "refused: $?"
mv -n $kept /var/lib/bowline/
(service run --config $file) & daemon=$!
n=0; until root status 2>&1 | grep -q 'daemon: running'; do n=$((n+1)); [ $n -lt 200 ] || break; sleep 0.1; done
root doctor daemon
root doctor --bundle /run/bundle.tar.gz; tar -xzOf /run/bundle.tar.gz bowline-support/status.json | grep '"program"'
echo "key: $(stat -c %a:%U:%s /var/lib/bowline/vpn-master-key)"
(other status 2>&1 || true) | sed 's/^/other: /'
(other creds machine) | grep -q AKIA; echo "other's: $?"
root creds machine >/dev/null || echo "root's: $?"
kill $daemon; wait $daemon
"#;

#[test]
fn root_asks_the_machine_s_service_which_begins_nothing_anew_and_prints_no_key() {
    if !rustix::process::geteuid().is_root() {
        skip!("the machine's service: not root");
    }
    let world = World::new("machine", |_| {});
    let (page, api, listen) = (free_address(), free_address(), free_address());
    let vpn = format!("[vpn]\napi = \"{api}\"\nlisten = \"{listen}\"\nendpoint = \"vpn.example.net:1\"\n");
    let grants = "[[grant]]\nuid = 4322\nprofiles = [\"machine\"]\n[[grant]]\nuid = 0\nprofiles = [\"machine\"]\n";
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{page}\"\n{vpn}{grants}"));
    let mut enter = world.foreign("unshare");
    enter.args(["--mount", "sh", "-c", SERVICE, "sh", env!("CARGO_BIN_EXE_bowline")]).arg(world.path("bowline.toml"));
    enter.env_remove("XDG_RUNTIME_DIR").env_remove("XDG_STATE_HOME");
    let done = world.run_foreign("machine", &mut enter);
    let said = format!("{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.code, Some(0), "{said}");
    let says = |line: &str| done.stdout.lines().any(|said| said == line);
    // Root has no such profile; the service's home has.
    let closed = "bowline.toml:1:1: user `bowline` of the machine's service cannot read `/etc/bowline/bowline.toml`";
    assert!(says("closed: 2") && done.stderr.contains(closed) && says("open: 0"), "{said}");
    let moved = "sudo mv -n /var/lib/bowline/.local/state/bowline/vpn /var/lib/bowline/";
    assert_eq!((done.stdout.matches("refused: 2\n").count(), done.stderr.matches(moved).count()), (2, 2), "{said}");
    for id in ["daemon.running", "daemon.socket", "daemon.version"] {
        assert!(done.stdout.lines().any(|line| line.starts_with("ok") && line.contains(id)), "{id}: {said}");
    }
    assert!(done.stdout.contains("\"program\": \""), "the bundle has its status: {said}");
    assert!(done.stdout.contains("key: 600:") && !said.contains("bvm_"), "{said}");
    // Whom a grant names is given what it names, and told nothing besides; root takes nothing from that user.
    let other: Vec<&str> = done.stdout.lines().filter_map(|line| line.strip_prefix("other: ")).collect();
    let other = other.join("\n");
    assert!(other.contains("another user's") && other.contains("[[grant]]") && !other.contains("machine"), "{other}");
    assert!(says("other's: 0") && !says("root's: 0") && done.stdout.contains("root's: "), "{said}");
    assert!(done.stderr.contains("`/run/bowline/sock` belongs to another user; going on without it"), "{said}");
}

/// In a namespace of processes, whose first prints into a container's log.
#[test]
fn a_new_master_key_is_not_printed_into_a_container_s_log() {
    if !rustix::process::geteuid().is_root() {
        skip!("a container's log: not root");
    }
    let world = World::new("container-log", |_| {});
    let [page, api, listen] = [(); 3].map(|()| free_address().to_string());
    let mut enter = world.foreign("unshare");
    enter.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", "\"$@\"; true", "sh"]);
    enter.args([env!("CARGO_BIN_EXE_bowline"), "vpn", "serve", "--status", &page, "--api", &api, "--listen", &listen]);
    enter.args(["--endpoint", "vpn.example.net:1"]);
    let serving = world.start("container-log", &mut enter);
    let kept = world.path(".local/state/bowline/vpn-master-key");
    until(Duration::from_secs(15), "the key is in its file", || kept.exists());
    assert!(fs::read_to_string(&kept).unwrap().starts_with("bvm_"));
    assert!(!serving.stdout().contains("bvm_") && !serving.stderr().contains("bvm_"));
}

#[test]
fn the_unit_for_a_user_is_written_once_and_not_over_another() {
    let world = World::new("service-user", |_| {});
    let install = ["service", "install", "--user", "--kind", "systemd"];
    let first = world.run(&install);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("systemctl --user enable --now bowline"), "{}", first.stderr);
    let unit = world.path(".config/systemd/user/bowline.service");
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains("/bowline run\n"), "{text}");
    assert_eq!(world.run(&install).code, Some(0));
    world.write(".config/systemd/user/bowline.service", "mine\n");
    assert_eq!(world.run(&install).code, Some(1));
    assert_eq!(fs::read_to_string(&unit).unwrap(), "mine\n");
    assert_eq!(world.run(&[&install[..], &["--force"]].concat()).code, Some(0));
    assert_eq!(fs::read_to_string(unit.with_extension("service.bak")).unwrap(), "mine\n");
}

#[test]
fn a_supervisor_hears_of_the_start_of_a_reload_of_life_and_of_the_end() {
    let world = World::new("supervisor", |_| {});
    world.sign_in();
    let supervisor = Supervisor::new(&world);
    let heard = || supervisor.hears();
    let status = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    let config = world.path("bowline.toml");
    let mut command = world.bowline(&["run", "--config", config.to_str().unwrap()]);
    let daemon = world.start("run", supervisor.over(&mut command));
    assert_eq!(heard(), "READY=1");
    assert!(fetch(status, "/livez").is_ok_and(|answer| answer.status == 200), "it is up when it says so");
    assert_eq!(heard(), "WATCHDOG=1");
    daemon.signal(Signal::HUP);
    until(Duration::from_secs(10), "the reload is told", || heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    until(Duration::from_secs(10), "the end of the reload is told", || heard() == "READY=1");
    daemon.signal(Signal::TERM);
    until(Duration::from_secs(10), "the end is told", || heard() == "STOPPING=1");
    assert_eq!(daemon.finish(Duration::from_secs(10)).code, Some(0));
}
