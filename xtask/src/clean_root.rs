//! Runs the first commands of the README as they stand there, in a Debian that was made for it: nothing is on it but a C
//! compiler and this Rust, which it sees where rustup keeps it and cannot write.
//!
//! The root is a mount namespace of its own; what cannot be had (root, debootstrap, a mirror) is said and skipped.

use std::{env, fs, path::Path, process::Command};

use crate::{
    Outcome, place,
    process::{capture, command, step},
    setup,
    tally::Tally,
};

/// Beside Rust: what the README asks for, and whose certificates cargo trusts.
const PACKAGES: &str = "--include=ca-certificates,gcc,libc6-dev";

/// How this machine reaches the network is its own affair, and that of the root.
const NETWORK: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"];
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// `$1` is the root, `$2` the toolchain, `$3` what is run. The old root is gone before that starts.
const ENTER: &str = r#"
mount --bind "$1" "$1" && cd "$1"
mount --bind "$2" opt/rust && mount -o remount,bind,ro opt/rust
mount -t proc none proc && mount --rbind /dev dev && mount --rbind /sys sys && mount -t tmpfs none tmp
mkdir -p .before && pivot_root . .before && umount -l .before
cd /root/bowline && exec sh -e -x -c "$3"
"#;

/// How many of the README's commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commands {
    /// The first: what `--full` does, whose own tests are the second.
    First,
    /// Both.
    All,
}

/// `cargo xtask clean-root`
pub(crate) fn run(commands: Commands) -> Outcome {
    if let Some(why) = obstacle() {
        println!("skipped: {why}");
        return Ok(());
    }
    let readme = fs::read_to_string(place::root().join("README.md")).map_err(|error| error.to_string())?;
    let typed = first_block(&readme);
    let typed = match commands {
        Commands::First => typed.lines().next().unwrap_or_default(),
        Commands::All => typed,
    };
    let folder = place::target().join("clean-root");
    fs::remove_dir_all(&folder).ok();
    let outcome =
        make(&folder).and_then(|()| step("the README's commands in a clean root", &mut enter(&folder, typed)?));
    // Nothing is mounted there by now: the mounts ended with the namespace.
    fs::remove_dir_all(&folder).ok();
    outcome
}

/// The same as one check of `cargo xtask test --full`.
pub(crate) fn tally() -> Tally {
    if let Some(why) = obstacle() {
        return Tally::skip(&why);
    }
    let outcome = run(Commands::First);
    if let Err(why) = &outcome {
        eprintln!("error: {why}");
    }
    Tally::check(outcome.is_ok())
}

/// Why there can be no clean root here.
fn obstacle() -> Option<String> {
    let is_root = || capture(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    let has_debootstrap = || setup::runs("debootstrap") || setup::install(&["debootstrap"]).is_ok();
    let why = if release().is_none() {
        "this is no Debian"
    } else if !is_root() {
        "not root"
    } else if !has_debootstrap() {
        "no debootstrap"
    } else {
        return None;
    };
    Some(format!("the README's commands in a clean root: {why}"))
}

/// This Debian's code name.
fn release() -> Option<String> {
    let about = fs::read_to_string("/etc/os-release").ok()?;
    let value =
        |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_matches('"'));
    (value("ID=") == Some("debian")).then(|| value("VERSION_CODENAME=").map(ToOwned::to_owned))?
}

/// A new Debian in `folder` with the tree that git would commit.
fn make(folder: &Path) -> Outcome {
    let release = release().unwrap_or_default();
    step("a clean root", command("debootstrap", &["--variant=minbase", PACKAGES, &release]).arg(folder))?;
    let tree = folder.join("root/bowline");
    for directory in [&tree, &folder.join("opt/rust")] {
        fs::create_dir_all(directory).map_err(|error| format!("`{}`: {error}", directory.display()))?;
    }
    for path in NETWORK.into_iter().filter(|path| Path::new(path).exists()) {
        fs::copy(path, folder.join(&path[1..])).map_err(|error| format!("`{path}`: {error}"))?;
    }
    let copy = "git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C \"$1\"";
    capture(command("sh", &["-e", "-c", copy, "sh"]).arg(&tree)).map(drop)
}

/// Runs `script` as root in `folder` with nothing of this machine's environment but how it reaches the network.
fn enter(folder: &Path, script: &str) -> Result<Command, String> {
    let toolchain = capture(&mut command("rustc", &["--print", "sysroot"]))?;
    let mut enter = command("unshare", &["--mount", "--propagation", "private", "sh", "-e", "-c", ENTER, "sh"]);
    enter.arg(folder).args([toolchain.trim(), script]);
    let kept = env::vars().filter(|(name, _)| PROXIES.contains(&name.as_str()) || name == "CARGO_BUILD_JOBS");
    let path = "/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let kept: Vec<(String, String)> = kept.collect();
    enter.env_clear().envs(kept).env("HOME", "/root").env("PATH", path);
    Ok(enter)
}

/// The first commands that a page shows.
fn first_block(page: &str) -> &str {
    let block = page.split_once("```sh\n").and_then(|(_, rest)| rest.split_once("```"));
    block.map_or("", |(block, _)| block)
}

#[test]
fn the_readme_begins_with_two_commands() {
    let readme = fs::read_to_string(place::root().join("README.md")).unwrap();
    let commands: Vec<&str> = first_block(&readme).lines().collect();
    assert_eq!(commands, ["cargo run --release -- demo --for 30s", "cargo xtask test"]);
}
