//! `bowline service install`: the unit that starts the daemon, as `deploy/` has it, with this program's path and file.
//! It writes one file and starts nothing: the commands that do are said.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic};

use super::{
    doctor::quoted,
    service_user::{self, HIDDEN},
};
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
/// Once; whom files with secrets are then given to.
const MAKE_USER: &str =
    "id bowline || useradd --system --user-group --home-dir /var/lib/bowline --shell /usr/sbin/nologin bowline";
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
    write(&path, &text, arguments.force)?;
    output::say(&service.next(&path));
    Ok(())
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
        if service_user::is_hidden(Path::new(program)) {
            let hint = format!(
                "sudo install -m 755 {} {PROGRAM} && sudo {PROGRAM} service install",
                quoted(Path::new(program))
            );
            return refused(program, hint);
        }
        match self.file.as_deref().filter(|file| service_user::is_hidden(Path::new(file))) {
            Some(file) => refused(file, format!("sudo install -D -m 644 {} {SYSTEM_FILE}", quoted(Path::new(file)))),
            None => Ok(()),
        }
    }

    fn path(&self, home: &Path) -> PathBuf {
        match (self.kind, self.system) {
            (ServiceKind::Systemd, true) => "/etc/systemd/system/bowline.service".into(),
            (ServiceKind::Systemd, false) => home.join(".config/systemd/user/bowline.service"),
            (ServiceKind::Launchd, true) => "/Library/LaunchDaemons/net.bowline.daemon.plist".into(),
            (ServiceKind::Launchd, false) => home.join("Library/LaunchAgents/net.bowline.daemon.plist"),
        }
    }

    /// What to type now.
    fn next(&self, path: &Path) -> String {
        let commands = match (self.kind, self.system) {
            (ServiceKind::Systemd, true) => {
                format!("{MAKE_USER}\n  systemctl daemon-reload\n  systemctl enable --now bowline")
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

/// What somebody else wrote or changed is kept.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Fault> {
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
    if let Some(old) = old {
        let mut kept = path.as_os_str().to_owned();
        kept.push(".bak");
        atomic::write(Path::new(&kept), old.as_bytes(), PUBLIC).map_err(cannot)?;
    }
    atomic::write(path, text.as_bytes(), PUBLIC).map_err(cannot)
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
        let told = service(ServiceKind::Systemd, true, None).next(Path::new("/x"));
        assert!(told.contains("\n  id bowline || useradd --system "), "{told}");
    }

    #[test]
    fn what_somebody_changed_is_not_lost() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("units/bowline.service");
        write(&path, "one", false).unwrap();
        write(&path, "one", false).unwrap();
        assert_eq!(write(&path, "two", false).unwrap_err().kind, Kind::Refused);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("units/bowline.service.bak")).unwrap(), "one");
    }
}
