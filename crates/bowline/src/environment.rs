//! The environment, read once at the edge and handed on as values.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_base::{Fault, Kind};
use bowline_credentials::{client::SERVICE_SOCKET, renewal::TOKEN_WINDOW};
use bowline_host::{client::Outside, supervisor::Supervisor};

/// What the process was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// What is no UTF-8: of no meaning to us, and handed on to child processes.
    foreign: Vec<(OsString, OsString)>,
}

/// The home of the machine's service: whoever has it keeps everything where the unit does (`sudo -u bowline bowline …`).
pub(crate) const SERVICE_HOME: &str = "/var/lib/bowline";
const SERVICE_RUNTIME: &str = "/run/bowline";
/// What its unit sets.
const SERVICE: [(&str, &str); 6] = [
    ("HOME", SERVICE_HOME),
    ("XDG_CONFIG_HOME", "/var/lib/bowline/config"),
    ("XDG_STATE_HOME", "/var/lib"),
    ("XDG_DATA_HOME", "/var/lib"),
    ("XDG_CACHE_HOME", "/var/cache"),
    ("XDG_RUNTIME_DIR", "/run"),
];

/// What a supervisor says to the process that it started.
const OURS_ALONE: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub(crate) fn of_this_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            match (name.to_str(), value.to_str()) {
                (Some(known), Some(text)) => drop(environment.variables.insert(known.to_owned(), text.to_owned())),
                _ => environment.foreign.push((name, value)),
            }
        }
        environment
    }

    /// For tests and for the demo's own world.
    #[must_use]
    pub(crate) fn of(variables: BTreeMap<String, String>) -> Self {
        Self { variables, foreign: Vec::new() }
    }

    /// The same with the home of the machine's service, and without what a person says of AWS and of the own vault.
    pub(crate) fn of_the_service(mut self) -> Self {
        let of_a_person = |name: &str| {
            let of_aws = name.starts_with("AWS_") && !name.starts_with("AWS_ENDPOINT_URL");
            of_aws || name.starts_with("ROLESANYWHERE_") || name.starts_with("BOWLINE_VAULT")
        };
        self.variables.retain(|name, _| !of_a_person(name));
        self.variables.extend(SERVICE.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// The value of `name`; an empty one counts as absent.
    #[must_use]
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable that is text.
    #[must_use]
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Every variable, for child processes, but what a supervisor said to this one alone.
    pub(crate) fn for_child(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let theirs = self.variables.iter().filter(|(name, _)| !OURS_ALONE.contains(&name.as_str()));
        let text = theirs.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        text.chain(self.foreign.iter().cloned())
    }

    /// What tells where things lie, without any setting that could be wrong.
    #[must_use]
    pub(crate) fn without_settings(&self) -> Self {
        let tells = |name: &str| name == "HOME" || name == "BOWLINE_SOCKET" || name.starts_with("XDG_");
        let kept = self.variables.iter().filter(|(name, _)| tells(name));
        Self::of(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Adds the lines of an `.env` file: `NAME=value`, `#` comments, optional quotes; of one name the last counts, as for
    /// dotenv. What is set already wins; an empty variable, as compose files leave them, does not.
    pub(crate) fn add_file(&mut self, text: &str) -> Result<(), String> {
        let mut said = BTreeMap::new();
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim().trim_start_matches("export ").trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| format!("line {number} is not NAME=value"))?;
            said.insert(name.trim().to_owned(), unquote(value.trim()).to_owned());
        }
        for (name, value) in said {
            let given = self.variables.entry(name).or_default();
            if given.is_empty() {
                *given = value;
            }
        }
        Ok(())
    }

    /// The user's home directory; `/root` and `/` like any other.
    #[must_use]
    pub(crate) fn home(&self) -> PathBuf {
        self.var("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }

    /// Where configuration is looked for, most wanted first.
    #[must_use]
    pub(crate) fn config_candidates(&self) -> Vec<PathBuf> {
        let base = self.var("XDG_CONFIG_HOME").map_or_else(|| self.home().join(".config"), PathBuf::from);
        vec![base.join("bowline/bowline.toml"), PathBuf::from("/etc/bowline/bowline.toml")]
    }

    /// `$XDG_RUNTIME_DIR/bowline`; without that (cron, a daemon) `/run/bowline` for root and the same `/run/user/UID` as a
    /// login has, where there is one, for others; else a private directory below the state directory.
    #[must_use]
    pub(crate) fn runtime_directory(&self) -> PathBuf {
        let user = rustix::process::geteuid();
        let of_login = PathBuf::from(format!("/run/user/{}", user.as_raw()));
        match self.var("XDG_RUNTIME_DIR") {
            Some(directory) => PathBuf::from(directory).join("bowline"),
            None if user.is_root() => PathBuf::from(SERVICE_RUNTIME),
            None if self.is_of_the_service() && Path::new(SERVICE_RUNTIME).is_dir() => PathBuf::from(SERVICE_RUNTIME),
            None if of_login.is_dir() => of_login.join("bowline"),
            None => self.state_directory().join("run"),
        }
    }

    /// `BOWLINE_HEALTH`, else `health` in the runtime directory.
    #[must_use]
    pub(crate) fn health_directory(&self) -> PathBuf {
        self.var("BOWLINE_HEALTH").map_or_else(|| self.runtime_directory().join("health"), PathBuf::from)
    }

    /// `BOWLINE_SOCKET`, else `sock` in the runtime directory.
    #[must_use]
    pub(crate) fn socket(&self) -> PathBuf {
        self.var("BOWLINE_SOCKET").map_or_else(|| self.runtime_directory().join("sock"), PathBuf::from)
    }

    /// `$XDG_STATE_HOME/bowline`, `/var/lib/bowline` for the machine's service and without a home.
    #[must_use]
    pub(crate) fn state_directory(&self) -> PathBuf {
        self.user_directory("XDG_STATE_HOME", ".local/state", "/var/lib/bowline")
    }

    /// `$XDG_DATA_HOME/bowline`, `/var/lib/bowline` without a home: what nobody could make again.
    #[must_use]
    pub(crate) fn data_directory(&self) -> PathBuf {
        self.user_directory("XDG_DATA_HOME", ".local/share", "/var/lib/bowline")
    }

    /// `$XDG_CACHE_HOME/bowline`, `/var/cache/bowline` without a home.
    #[must_use]
    pub(crate) fn cache_directory(&self) -> PathBuf {
        self.user_directory("XDG_CACHE_HOME", ".cache", "/var/cache/bowline")
    }

    /// Where the login notice appears: `/app/data/login_required.txt` where `/app/data` exists, else the state directory.
    #[must_use]
    pub(crate) fn login_notice(&self) -> PathBuf {
        self.login_notice_beside(Path::new("/app/data"))
    }

    fn login_notice_beside(&self, container: &Path) -> PathBuf {
        let directory = if container.is_dir() { container.to_owned() } else { self.state_directory() };
        directory.join("login_required.txt")
    }

    /// With how much left an SSO token is renewed: `RENEWAL_THRESHOLD` seconds where it is set.
    ///
    /// The predecessor's other two numbers, `REFRESH_INTERVAL` (ms) and `CHECK_INTERVAL` (s) between two looks at the
    /// clock, are kept by looking more often than anybody could ask for; they only have to be numbers.
    pub(crate) fn token_window(&self) -> Result<Duration, Fault> {
        self.number("REFRESH_INTERVAL", "milliseconds")?;
        self.number("CHECK_INTERVAL", "seconds")?;
        Ok(self.number("RENEWAL_THRESHOLD", "seconds")?.map_or(TOKEN_WINDOW, Duration::from_secs))
    }

    /// Where a server listens that neither flag nor file tells where: `BOWLINE_LISTEN`, an address without a port (the image
    /// says 0.0.0.0), else this machine alone. Who may come in is no matter of it.
    pub(crate) fn listen(&self) -> Result<IpAddr, Fault> {
        let Some(text) = self.var("BOWLINE_LISTEN") else { return Ok(Ipv4Addr::LOCALHOST.into()) };
        text.parse().map_err(|_| {
            Fault::new(Kind::Config, "environment", format!("BOWLINE_LISTEN is `{text}`, which is no address"))
                .hint("set BOWLINE_LISTEN to an address without a port: 127.0.0.1 or 0.0.0.0")
        })
    }

    fn number(&self, name: &str, unit: &str) -> Result<Option<u64>, Fault> {
        let Some(text) = self.var(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| {
            Fault::new(Kind::Config, "environment", format!("{name} is `{text}`, which is no whole number of {unit}"))
                .hint(format!("set {name} to a number of {unit}, or unset it"))
        })
    }

    /// How many sockets a supervisor opened for this very process (`LISTEN_FDS`, `LISTEN_PID`).
    #[must_use]
    pub(crate) fn inherited_sockets(&self) -> u32 {
        let ours = self.var("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        self.var("LISTEN_FDS").filter(|_| ours).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Who started this process and waits to hear from it.
    #[must_use]
    pub(crate) fn supervisor(&self) -> Supervisor {
        Supervisor::from_lookup(|name| self.var(name).map(ToOwned::to_owned), std::process::id())
    }

    /// Whether what this process prints is certainly kept, and not for whoever started it: stdout is no terminal, and
    /// systemd started us or has it, or it is what the machine's first process prints to, which in a container is the log.
    #[must_use]
    pub(crate) fn is_output_kept(&self) -> bool {
        let stdout = std::io::stdout();
        let Ok(ours) = rustix::fs::fstat(&stdout) else { return false };
        let is_journal = |named: &str| named == format!("{}:{}", ours.st_dev, ours.st_ino);
        let supervised = self.var("NOTIFY_SOCKET").is_some() || self.var("JOURNAL_STREAM").is_some_and(is_journal);
        (supervised || is_of_the_first_process(&ours)) && !std::io::IsTerminal::is_terminal(&stdout)
    }

    /// Where the daemon is asked how it stands: root, which has none of its own running, means the machine's service.
    #[must_use]
    pub(crate) fn daemon_socket(&self) -> PathBuf {
        let own = self.socket();
        let named = self.var("BOWLINE_SOCKET").is_some();
        if !named && rustix::process::geteuid().is_root() && !own.exists() { SERVICE_SOCKET.into() } else { own }
    }

    /// Proxy and CA settings.
    #[must_use]
    pub(crate) fn outside(&self) -> Outside {
        let either = |name: &str| self.var(name).or_else(|| self.var(&name.to_lowercase())).map(ToOwned::to_owned);
        Outside {
            https_proxy: either("HTTPS_PROXY"),
            no_proxy: either("NO_PROXY"),
            ca_bundle: self.var("AWS_CA_BUNDLE").or_else(|| self.var("SSL_CERT_FILE")).map(PathBuf::from),
            unverified: false,
            pin: None,
        }
    }

    /// Where this program lies.
    pub(crate) fn program_file(&self) -> PathBuf {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bowline"))
    }

    /// This program as a config file names it: `bowline` where the path leads to it, else by its place.
    #[must_use]
    pub(crate) fn this_program(&self) -> String {
        let usual = || "bowline".to_owned();
        let Ok(place) = std::env::current_exe() else { return usual() };
        // Another name, of a copy or a link, would not be taken for this program.
        if place.file_name().is_none_or(|name| name != "bowline") {
            return usual();
        }
        let path = OsString::from(self.var("PATH").unwrap_or_default());
        let mut named = std::env::split_paths(&path).map(|directory| directory.join("bowline"));
        let found = named.find(|file| file.exists()).and_then(|file| file.canonicalize().ok());
        if found.is_some() && found == place.canonicalize().ok() {
            return usual();
        }
        let text = place.display().to_string();
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if text.contains([' ', '"', '\\', '\'']) { format!("\"{escaped}\"") } else { text }
    }

    fn is_of_the_service(&self) -> bool {
        self.var("HOME") == Some(SERVICE_HOME)
    }

    fn user_directory(&self, variable: &str, below_home: &str, system: &str) -> PathBuf {
        match (self.var(variable), self.var("HOME")) {
            (Some(directory), _) => PathBuf::from(directory).join("bowline"),
            (None, Some(_)) if self.is_of_the_service() => PathBuf::from(system),
            (None, Some(home)) => PathBuf::from(home).join(below_home).join("bowline"),
            (None, None) => PathBuf::from(system),
        }
    }
}

/// A pipe or a file, and process 1 has it too, or is this one. `/dev/null` is anybody's.
fn is_of_the_first_process(stdout: &rustix::fs::Stat) -> bool {
    let first = || {
        rustix::fs::stat("/proc/1/fd/1")
            .is_ok_and(|first| (first.st_dev, first.st_ino) == (stdout.st_dev, stdout.st_ino))
    };
    let is_device = rustix::fs::FileType::from_raw_mode(stdout.st_mode) == rustix::fs::FileType::CharacterDevice;
    !is_device && (std::process::id() == 1 || first())
}

/// The text between quotes, or everything up to a comment.
fn unquote(value: &str) -> &str {
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
    quoted.map_or_else(|| value.split(" #").next().unwrap_or(value).trim_end(), |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_predecessors_numbers_are_read_and_nonsense_is_named() {
        let with =
            |name: &str, value: &str| Environment::of([(name.to_owned(), value.to_owned())].into()).token_window();
        assert_eq!(with("RENEWAL_THRESHOLD", "3600").unwrap(), Duration::from_secs(3600));
        assert_eq!(with("CHECK_INTERVAL", "900").unwrap(), TOKEN_WINDOW);
        assert!(with("REFRESH_INTERVAL", "a minute").unwrap_err().message.contains("REFRESH_INTERVAL"));
    }

    #[test]
    fn a_server_listens_on_this_machine_unless_the_image_says_otherwise() {
        let listen = |value: &str| Environment::of([("BOWLINE_LISTEN".to_owned(), value.to_owned())].into()).listen();
        assert_eq!(listen("").unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(listen("0.0.0.0").unwrap(), Ipv4Addr::UNSPECIFIED);
        assert!(listen("0.0.0.0:9000").unwrap_err().message.contains("0.0.0.0:9000"));
    }

    #[test]
    fn the_unit_of_the_machine_uses_the_directories_that_systemd_makes_for_it() {
        let unit = include_str!("../../../deploy/systemd/bowline.service");
        let set = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
        let pairs = set.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once('='));
        let pairs: Vec<(&str, &str)> = pairs.collect();
        assert_eq!(pairs, SERVICE);
        let environment = Environment::of([("HOME".to_owned(), "/root".to_owned())].into()).of_the_service();
        for (directive, found, path) in [
            ("StateDirectory", environment.state_directory(), "/var/lib/bowline"),
            ("StateDirectory", environment.data_directory(), "/var/lib/bowline"),
            ("CacheDirectory", environment.cache_directory(), "/var/cache/bowline"),
            ("RuntimeDirectory", environment.runtime_directory(), "/run/bowline"),
        ] {
            assert!(unit.contains(&format!("\n{directive}=bowline\n")), "{directive}");
            assert_eq!(found, Path::new(path), "{directive}");
        }
    }

    #[test]
    fn whoever_has_the_home_of_the_service_finds_what_it_keeps() {
        let environment = Environment::of([("HOME".to_owned(), SERVICE_HOME.to_owned())].into());
        assert_eq!(environment.state_directory(), Path::new("/var/lib/bowline"));
        assert_eq!(environment.data_directory(), Path::new("/var/lib/bowline"));
        assert_eq!(environment.cache_directory(), Path::new("/var/cache/bowline"));
    }

    #[test]
    fn the_login_needed_file_lies_in_the_containers_data_where_there_is_some() {
        let environment = Environment::of([("HOME".to_owned(), "/home/me".to_owned())].into());
        let container = tempfile::tempdir().unwrap();
        let [there, elsewhere] =
            [container.path(), Path::new("/nowhere/data")].map(|container| environment.login_notice_beside(container));
        assert_eq!(there, container.path().join("login_required.txt"));
        assert_eq!(elsewhere, Path::new("/home/me/.local/state/bowline/login_required.txt"));
    }

    #[test]
    fn an_env_file_adds_and_never_overrides() {
        let mut environment = Environment::of([("A".to_owned(), "set".to_owned())].into());
        environment.variables.insert("D".to_owned(), String::new());
        environment.add_file("B=once\n# c\nA=file\nexport B='two # words'\n\nC=\nD=9000 # port\n").unwrap();
        assert_eq!(
            (environment.var("A"), environment.var("B"), environment.var("C")),
            (Some("set"), Some("two # words"), None)
        );
        assert_eq!(environment.var("D"), Some("9000"));
        assert_eq!(environment.add_file("A=1\nnonsense"), Err("line 2 is not NAME=value".to_owned()));
    }
}
