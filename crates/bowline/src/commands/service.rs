//! `bowline service install`: the unit that starts the daemon, as `deploy/` has it, with this program's path and file.
//! It writes one file and starts nothing: the commands that do are said.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic, shell::quoted_path};

use crate::{
    cli::{ServiceInstall, ServiceKind},
    environment::Environment,
    output,
};

const SYSTEM_UNIT: &str = include_str!("../../../../deploy/systemd/bowline.service");
const USER_UNIT: &str = include_str!("../../../../deploy/systemd/bowline.user.service");
const PROPERTY_LIST: &str = include_str!("../../../../deploy/launchd/bowline.plist");

/// How the files in `deploy/` call the program.
const PROGRAM: &str = "/usr/local/bin/bowline";
/// What a unit of the machine reads unless it is told otherwise.
const SYSTEM_FILE: &str = "/etc/bowline/bowline.toml";
/// The unit of the machine: as it is written here, and as the package brings it.
const SYSTEM_UNIT_FILES: [&str; 2] = ["/etc/systemd/system/bowline.service", "/usr/lib/systemd/system/bowline.service"];
/// What it hides from its user (`ProtectHome=`, `PrivateTmp=`).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// Once; whom files with secrets are then given to. The file is asked: a unit of before (`DynamicUser=`) answers to the
/// name while it runs, for everybody who asks the system.
const MAKE_USER: &str = "grep -q '^bowline:' /etc/passwd || \
     useradd --system --user-group --home-dir /var/lib/bowline --shell /usr/sbin/nologin bowline";
/// A unit holds no secret.
const PUBLIC: u32 = 0o644;

pub(crate) fn install(
    environment: &Environment,
    file: Option<PathBuf>,
    arguments: &ServiceInstall,
) -> Result<(), Fault> {
    let service = Service::wanted(environment, file, arguments)?;
    let text = service.text();
    if arguments.print {
        return output::data(&text);
    }
    service.refuse_what_it_cannot_see()?;
    let path = service.path(&environment.home());
    let written = write(&path, &text, arguments.force)?;
    output::say(&service.next(&path, written));
    Ok(())
}

/// Whether the unit of the machine starts the daemon with `file`.
pub(super) fn is_of_the_machine(file: &Path) -> bool {
    let unit = SYSTEM_UNIT_FILES.iter().find_map(|unit| fs::read_to_string(unit).ok());
    unit.is_some_and(|unit| names(&unit, file))
}

/// Whether a service of the machine sees nothing there.
pub(super) fn is_hidden(path: &Path) -> bool {
    HIDDEN.iter().any(|hidden| path.starts_with(hidden))
}

fn names(unit: &str, file: &Path) -> bool {
    let ending = format!(" run --config {}", word(&file.display().to_string()));
    unit.lines().any(|line| line.starts_with("ExecStart=") && line.ends_with(&ending))
}

/// What is to be started, by whom, for whom.
#[derive(Debug)]
struct Service {
    kind: ServiceKind,
    system: bool,
    program: String,
    file: Option<String>,
}

impl Service {
    fn wanted(environment: &Environment, file: Option<PathBuf>, arguments: &ServiceInstall) -> Result<Self, Fault> {
        let here = if std::env::consts::OS == "macos" { ServiceKind::Launchd } else { ServiceKind::Systemd };
        let root = rustix::process::geteuid().is_root();
        let file = file.or_else(|| environment.var("BOWLINE_CONFIG").map(PathBuf::from));
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).map(|path| path.display().to_string()).map_err(|cause| {
                Fault::new(Kind::Config, "service", format!("cannot find `{}`", path.display())).cause(cause)
            })
        };
        Ok(Self {
            kind: arguments.kind.unwrap_or(here),
            system: arguments.system || (root && !arguments.user),
            program: environment.program_file().display().to_string(),
            file: file.map(absolute).transpose()?,
        })
    }

    fn text(&self) -> String {
        match self.kind {
            ServiceKind::Systemd if self.system => SYSTEM_UNIT.replace(
                &format!("{PROGRAM} run --config {SYSTEM_FILE}"),
                &format!("{} run --config {}", word(&self.program), word(self.file.as_deref().unwrap_or(SYSTEM_FILE))),
            ),
            ServiceKind::Systemd => {
                let file = self.file.iter().map(|file| format!(" --config {}", word(file)));
                let command = format!("{} run{}", word(&self.program), file.collect::<String>());
                USER_UNIT.replace(&format!("{PROGRAM} run"), &command)
            }
            ServiceKind::Launchd => {
                let string = |text: &str| format!("<string>{}</string>", markup(text));
                let run = string("run");
                let file = self.file.iter().map(|file| format!("\n    {}\n    {}", string("--config"), string(file)));
                let with_file = format!("{run}{}", file.collect::<String>());
                PROPERTY_LIST.replace(&string(PROGRAM), &string(&self.program)).replace(&run, &with_file)
            }
        }
    }

    /// A unit of the machine has no homes: it would end with 203/EXEC, or without its file.
    fn refuse_what_it_cannot_see(&self) -> Result<(), Fault> {
        if self.kind != ServiceKind::Systemd || !self.system {
            return Ok(());
        }
        let refused = |path: &str, hint: String| {
            let why = format!("`{path}` lies where a service of the machine sees nothing ({})", HIDDEN.join(", "));
            Err(Fault::new(Kind::Config, "service", why).hint(hint))
        };
        let program = &self.program;
        if is_hidden(Path::new(program)) {
            let hint = format!(
                "sudo install -m 755 {} {PROGRAM} && sudo {PROGRAM} service install",
                quoted_path(Path::new(program))
            );
            return refused(program, hint);
        }
        match self.file.as_deref().filter(|file| is_hidden(Path::new(file))) {
            Some(file) => {
                refused(file, format!("sudo install -D -m 644 {} {SYSTEM_FILE}", quoted_path(Path::new(file))))
            }
            None => Ok(()),
        }
    }

    fn path(&self, home: &Path) -> PathBuf {
        match (self.kind, self.system) {
            (ServiceKind::Systemd, true) => SYSTEM_UNIT_FILES[0].into(),
            (ServiceKind::Systemd, false) => home.join(".config/systemd/user/bowline.service"),
            (ServiceKind::Launchd, true) => "/Library/LaunchDaemons/net.bowline.daemon.plist".into(),
            (ServiceKind::Launchd, false) => home.join("Library/LaunchAgents/net.bowline.daemon.plist"),
        }
    }

    /// What to type now.
    fn next(&self, path: &Path, written: Written) -> String {
        let commands = match (self.kind, self.system) {
            (ServiceKind::Systemd, true) => {
                // What runs goes on by the former unit, and its user may be one that ends with it.
                let stop = if written == Written::OverAnother { "systemctl stop bowline\n  " } else { "" };
                format!("{stop}{MAKE_USER}\n  systemctl daemon-reload\n  systemctl enable --now bowline")
            }
            (ServiceKind::Systemd, false) => {
                "systemctl --user daemon-reload\n  systemctl --user enable --now bowline\n  loginctl enable-linger   # also while nobody is logged in".to_owned()
            }
            (ServiceKind::Launchd, true) => format!("launchctl bootstrap system {}", path.display()),
            (ServiceKind::Launchd, false) => format!("launchctl bootstrap gui/$(id -u) {}", path.display()),
        };
        format!("wrote {}; to start it now and from now on:\n  {commands}", path.display())
    }
}

/// How a unit came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// There was none, or the same.
    Anew,
    OverAnother,
}

/// What somebody else wrote or changed is kept.
fn write(path: &Path, text: &str, force: bool) -> Result<Written, Fault> {
    let cannot =
        |cause| Fault::new(Kind::Refused, "service", format!("cannot write `{}`", path.display())).cause(cause);
    let old = fs::read_to_string(path).ok().filter(|old| old != text);
    if old.is_some() && !force {
        let why = format!("`{}` is there already and is not what would be written", path.display());
        let hint = "look at both: bowline service install --print; then --force, which keeps the old one as .bak";
        return Err(Fault::new(Kind::Refused, "service", why).hint(hint));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    let written = if old.is_some() { Written::OverAnother } else { Written::Anew };
    if let Some(old) = old {
        let mut kept = path.as_os_str().to_owned();
        kept.push(".bak");
        atomic::write(Path::new(&kept), old.as_bytes(), PUBLIC).map_err(cannot)?;
    }
    atomic::write(path, text.as_bytes(), PUBLIC).map_err(cannot)?;
    Ok(written)
}

/// One word of a command line of systemd, which expands `%` and `$`.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) { escaped } else { format!("\"{escaped}\"") }
}

fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::service_user;

    fn service(kind: ServiceKind, system: bool, file: Option<&str>) -> Service {
        Service { kind, system, program: "/opt/my tools/bowline".to_owned(), file: file.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_unit_starts_this_program_with_this_file() {
        let text = service(ServiceKind::Systemd, true, None).text();
        assert!(
            text.contains("\nExecStart=\"/opt/my tools/bowline\" run --config /etc/bowline/bowline.toml\n"),
            "{text}"
        );
        let text = service(ServiceKind::Systemd, false, None).text();
        assert!(text.contains("\nExecStart=\"/opt/my tools/bowline\" run\n"), "{text}");
        let text = service(ServiceKind::Systemd, false, Some("/home/a/100%.toml")).text();
        assert!(text.contains(" run --config \"/home/a/100%%.toml\"\n"), "{text}");
        let text = service(ServiceKind::Launchd, false, Some("/a&b.toml")).text();
        assert!(
            text.contains("<string>/opt/my tools/bowline</string>") && text.contains("<string>/a&amp;b.toml</string>")
        );
        assert!(!text.contains(PROGRAM), "{text}");
    }

    #[test]
    fn a_unit_of_the_machine_names_nothing_that_it_cannot_see() {
        let refused = |program: &str, system, file: Option<&str>| {
            let kept = service(ServiceKind::Systemd, system, file);
            let service = Service { program: program.to_owned(), ..kept };
            service.refuse_what_it_cannot_see().err().map(|fault| fault.hint.unwrap())
        };
        for program in ["/root/.cargo/bin/bowline", "/home/me/bowline", "/run/user/0/bowline", "/tmp/bowline"] {
            let install = format!("sudo install -m 755 {program} /usr/local/bin/bowline && sudo");
            assert!(refused(program, true, None).unwrap().starts_with(&install), "{program}");
            assert_eq!(refused(program, false, None), None, "a user's unit has a home");
        }
        assert_eq!(refused(PROGRAM, true, None), None);
        assert!(refused(PROGRAM, true, Some("/root/b.toml")).unwrap().ends_with(" /etc/bowline/bowline.toml"));
    }

    #[test]
    fn the_user_of_the_unit_is_the_one_that_is_made_for_it() {
        assert!(SYSTEM_UNIT.contains(&format!("\nUser={0}\nGroup={0}\n", service_user::NAME)));
        let made = include_str!("../../../../deploy/systemd/bowline.sysusers");
        assert!(made.contains(&format!("\nu {} - ", service_user::NAME)), "{made}");
        let told = |written| service(ServiceKind::Systemd, true, None).next(Path::new("/x"), written);
        let making = format!("\n  grep -q '^{}:' /etc/passwd || useradd --system ", service_user::NAME);
        assert!(told(Written::Anew).contains(&making), "{}", told(Written::Anew));
        // One of before has a user that is there while it runs, and no longer.
        assert!(told(Written::OverAnother).contains(&format!("\n  systemctl stop bowline{making}")));
        assert!(!told(Written::Anew).contains("systemctl stop"));
    }

    #[test]
    fn a_file_is_the_machine_s_where_its_unit_starts_the_daemon_with_it() {
        let file = "/srv/100% mine.toml";
        let unit = service(ServiceKind::Systemd, true, Some(file)).text();
        assert!(names(&unit, Path::new(file)), "{unit}");
        assert!(names(SYSTEM_UNIT, Path::new(SYSTEM_FILE)) && !names(&unit, Path::new(SYSTEM_FILE)));
    }

    #[test]
    fn what_somebody_changed_is_not_lost() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("units/bowline.service");
        assert_eq!(write(&path, "one", false).unwrap(), Written::Anew);
        assert_eq!(write(&path, "one", false).unwrap(), Written::Anew);
        assert_eq!(write(&path, "two", false).unwrap_err().kind, Kind::Refused);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(write(&path, "two", true).unwrap(), Written::OverAnother);
        assert_eq!(fs::read_to_string(home.path().join("units/bowline.service.bak")).unwrap(), "one");
    }
}
