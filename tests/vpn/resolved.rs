//! A laptop whose names are found by systemd-resolved, a real one with a bus of its own: it is told of the link, its file
//! stays as it is, and not even a name that it asks elsewhere leaves outside of the link.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bowline_rig::{Rig, Tap, is_of_port, missing};

use super::{
    connect::{set_up, stage},
    laptop::Laptop,
    stage::{PATIENCE, resolver},
};
use crate::harness::{Running, skip, until};

/// A `/run` of the namespace's own, and the user that resolved runs as.
const PREPARE: &str = "mount -t tmpfs none /run && mkdir -p /run/dbus /run/systemd/resolve /run/systemd/netif && \
     cp /etc/passwd /etc/group /run/ && echo 'systemd-resolve:x:991:991::/:/bin/false' >> /run/passwd && \
     echo 'systemd-resolve:x:991:' >> /run/group && mount --bind /run/passwd /etc/passwd && \
     mount --bind /run/group /etc/group && chown 991:991 /run/systemd/resolve";
const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow eavesdrop="true"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/></policy></busconfig>"#;

/// Where the set-up has unpacked it.
fn unpacked() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("resolved");
    let there = folder.join("lib/systemd/systemd-resolved").exists() && Path::new("/usr/bin/dbus-daemon").exists();
    there.then_some(folder)
}

fn libraries(folder: &Path) -> PathBuf {
    folder.join(format!("usr/lib/{}-linux-gnu/systemd", std::env::consts::ARCH))
}

/// A program of the package's, in the laptop's namespace.
fn of_the_package(laptop: &Laptop, folder: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = laptop.client().command(folder.join(program));
    command.args(arguments).env("LD_LIBRARY_PATH", libraries(folder));
    command
}

/// What `resolvectl` prints, when it succeeds.
fn ask(laptop: &Laptop, folder: &Path, arguments: &[&str]) -> Option<String> {
    let done = of_the_package(laptop, folder, "usr/bin/resolvectl", arguments).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The bus and resolved; `/etc/resolv.conf` leads there, and the cable has a domain of its own.
#[track_caller]
fn resolved(laptop: &mut Laptop, folder: &Path) -> [Running; 2] {
    laptop.client().run("sh", &["-c", PREPARE]).unwrap();
    laptop.world.write("bus.conf", BUS);
    let mut bus = laptop.client().command("dbus-daemon");
    bus.args(["--nofork", "--nopidfile", "--config-file"]).arg(laptop.world.path("bus.conf"));
    let bus = laptop.world.start("bus", &mut bus);
    let socket = || laptop.client().run("test", &["-S", "/run/dbus/system_bus_socket"]).is_ok();
    until(PATIENCE, "the bus listens", socket);
    let mut resolved = of_the_package(laptop, folder, "lib/systemd/systemd-resolved", &[]);
    let resolved = laptop.world.start("resolved", &mut resolved);
    until(PATIENCE, "resolved answers", || ask(laptop, folder, &["dns", "outside", "10.99.1.1"]).is_some());
    ask(laptop, folder, &["domain", "outside", "corp.example"]).unwrap();
    let stub = "/run/systemd/resolve/stub-resolv.conf";
    laptop.client().run("mount", &["--bind", stub, "/etc/resolv.conf"]).unwrap();
    laptop.client().run("mkdir", &["-p", &laptop.path("bin")]).unwrap();
    let wrapper = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {}/usr/bin/resolvectl \"$@\"\n",
        libraries(folder).display(),
        folder.display()
    );
    bowline_base::atomic::write(&laptop.world.path("bin/resolvectl"), wrapper.as_bytes(), 0o755).unwrap();
    let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", laptop.path("bin"));
    laptop.variables.push(("PATH", path));
    [bus, resolved]
}

#[test]
fn systemd_resolved_is_told_of_the_link_and_asks_nobody_past_it() {
    if let Some(why) = missing() {
        skip!("vpn connect with systemd-resolved: {why}");
    }
    let Some(folder) = unpacked() else { skip!("vpn connect with systemd-resolved: no target/resolved") };
    let (mut laptop, server) = stage("vpn-resolved");
    let _asked = resolver(&laptop.rig);
    let _running = resolved(&mut laptop, &folder);
    set_up(&laptop, &server);
    let outside = Tap::start(&laptop.rig.server, |packet| is_of_port(packet, 53)).unwrap();
    ask(&laptop, &folder, &["query", "before.corp.example"]);
    until(PATIENCE, "without a link it asks on the cable", || outside.wanted() > 0);
    drop(outside);

    let before = laptop.everything();
    laptop.run_well(&["connect", "alice"]);
    assert_eq!(laptop.everything().last(), before.last(), "resolved's file is left as it is");
    let outside = Tap::start(&laptop.rig.server, |packet| is_of_port(packet, 53)).unwrap();
    let found = ask(&laptop, &folder, &["query", "--legend=no", "page.example"]).unwrap_or_default();
    assert!(found.contains(&Rig::TARGET.to_string()) && found.contains("link: bowline0"), "{found}");
    // The cable's own domain: resolved asks the cable's resolver for it, bound to the cable.
    assert_eq!(ask(&laptop, &folder, &["query", "inside.corp.example"]), None);
    assert!(outside.all() > 0 && outside.wanted() == 0, "{} of {} were DNS", outside.wanted(), outside.all());
    laptop.run_well(&["disconnect"]);
    laptop.assert_unchanged(&before);
    until(PATIENCE, "resolved has forgotten the link", || {
        ask(&laptop, &folder, &["dns"]).is_some_and(|shown| !shown.contains("10.77.0.1") && shown.contains("10.99.1.1"))
    });
}
