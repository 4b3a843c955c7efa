//! Which files the daemon, or a server in the foreground, may open once it has started, and whether it can be bound to them
//! at all.
//!
//! The list is made from the configuration and the environment before anything is started; the kernel keeps to it for as
//! long as the process lives. So a reload that needs more is refused with the way out, and only what a supervisor has
//! started, which can start it again, is bound unless somebody says so. A daemon that runs other people's programs is not:
//! they would be bound too. See docs/decisions/0011-self-protection.md.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic};
use bowline_credentials::vault::VaultSetup;
use bowline_host::confine::{self, Access, Confinement, Place};
use tracing::{info, warn};

use crate::{
    config::{self, Config, Content, NamedFile, StorePlace},
    environment::Environment,
    world::World,
};

/// What any program needs: libraries, name service, certificates, time zones, its own `/proc`. Nothing is anybody's home.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/nix/store",
    "/proc",
    "/sys",
    "/run/secrets",
    "/var/run/secrets",
    "/dev/urandom",
    "/dev/tty",
    "/dev/zero",
];

/// Variables that name a file which is read.
const READ_BY_NAME: [&str; 4] =
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/// The switch of the environment, which wins over the file's: `off`, or anything else for on.
const SWITCH: &str = "BOWLINE_LANDLOCK";

/// What this process is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds(BTreeSet<Place>);

/// Files that a command line names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) written: Vec<PathBuf>,
}

/// Binds this process to what `config` needs. `None`: it is not bound, and the log says why.
///
/// # Errors
/// The kernel can and would not.
pub(crate) fn enter(world: &World, config: &Config, file: Option<&Path>) -> Result<Option<Bounds>, Fault> {
    if !is_wanted(&world.environment, config) {
        return Ok(unbound());
    }
    if let Some(reason) = foreign_program(world, config) {
        info!(%reason, "every file of this user can be opened: programs of others are run, which Landlock would bind as well");
        return Ok(None);
    }
    let bounds = Bounds(places(world, config, file));
    bind(bounds, &ours(&world.environment, world, config))
}

/// The same for a server that knows neither AWS nor `bowline.toml`, but files of its command line.
///
/// # Errors
/// As [`enter`].
pub(crate) fn enter_by_name(environment: &Environment, named: &Named) -> Result<Option<Bounds>, Fault> {
    if !is_wanted(environment, &Config::default()) {
        return Ok(unbound());
    }
    let (runtime, health) = (environment.runtime_directory(), environment.health_directory());
    let folders = |files: &[PathBuf]| files.iter().filter_map(|file| folder_of(file)).collect::<Vec<_>>();
    let read = system(environment).into_iter().chain(folders(&named.read));
    let written =
        folders(&named.written).into_iter().chain([runtime.clone(), health.clone(), PathBuf::from("/dev/null")]);
    bind(Bounds(usable(read, written)), &[runtime, health])
}

fn unbound() -> Option<Bounds> {
    info!("every file of this user can be opened: Landlock is not switched on");
    None
}

/// `ours` are made where they are missing: a rule has to name something that exists. Who needs a directory and cannot have
/// it says so itself.
fn bind(bounds: Bounds, ours: &[PathBuf]) -> Result<Option<Bounds>, Fault> {
    for directory in ours {
        atomic::private_directory(directory).ok();
    }
    let places: Vec<Place> = bounds.0.iter().cloned().collect();
    let refused = |cause| {
        Fault::new(Kind::Bug, "landlock", "the kernel did not confine this process")
            .hint("run without: `landlock = false` in [daemon], or BOWLINE_LANDLOCK=off")
            .cause(cause)
    };
    match confine::to(&places).map_err(refused)? {
        Confinement::Complete => {
            info!(
                places = places.len(),
                "confined by Landlock: nothing but what the configuration needs can be opened"
            );
            Ok(Some(bounds))
        }
        Confinement::Unavailable(reason) => {
            warn!(%reason, "every file of this user can be opened");
            Ok(None)
        }
    }
}

/// What the environment says wins over the file; without a word, whoever has a supervisor.
fn is_wanted(environment: &Environment, config: &Config) -> bool {
    let supervised = environment.var("NOTIFY_SOCKET").is_some();
    environment.var(SWITCH).map(|switch| switch != "off").or(config.daemon.landlock).unwrap_or(supervised)
}

/// Reads `file` again, and refuses what cannot be reached any more.
pub(crate) fn reload(world: &World, file: &Path) -> Result<Config, Fault> {
    let new = config::load(file)?;
    let Some(bounds) = &world.bounds else { return Ok(new) };
    let beyond = places(world, &new, Some(file)).into_iter().find(|place| !bounds.hold(place));
    let beyond = beyond.map(|place| format!("`{}`, which this process may not open", place.path.display()));
    match beyond.or_else(|| foreign_program(world, &new).map(|reason| format!("{reason}, which would be confined"))) {
        None => Ok(new),
        Some(what) => Err(Fault::new(Kind::Config, "landlock", format!("it needs {what} since it started without it"))
            .hint("restart the daemon; or `landlock = false` in [daemon], and restart it once")),
    }
}

impl Bounds {
    fn hold(&self, wanted: &Place) -> bool {
        let path = whole(&wanted.path);
        let inside = |known: &&Place| path.starts_with(whole(&known.path)) && known.access >= wanted.access;
        self.0.iter().any(|known| inside(&known))
    }
}

/// Why this process runs programs that are not ours, if it does.
fn foreign_program(world: &World, config: &Config) -> Option<String> {
    let device = config.gateway.as_ref().and_then(|gateway| gateway.device_config.as_ref());
    let configured = [
        ("notify.command", !config.notify.command.is_empty()),
        ("gateway.on-change", config.gateway.as_ref().is_some_and(|gateway| !gateway.on_change.is_empty())),
        ("gateway.device-config.hook", device.is_some_and(|device| !device.hook.is_empty())),
    ];
    if let Some((key, _)) = configured.into_iter().find(|(_, runs)| *runs) {
        return Some(format!("`{key}` runs a program"));
    }
    let files = world.aws_config().ok()?;
    let program = |line: &str| line.split_whitespace().next().map(|word| word.trim_matches(['"', '\'']).to_owned());
    let own = world.environment.program_file();
    let foreign = |line: &str| program(line).is_some_and(|program| !is_ours(Path::new(&program), &own));
    let mut profiles = files.profiles();
    profiles.find_map(|profile| {
        let key =
            ["credential_process", "mfa_process"].into_iter().find(|key| profile.text(key).is_some_and(foreign))?;
        Some(format!("`{key}` of profile `{}` runs a program", profile.name()))
    })
}

fn is_ours(program: &Path, own: &Path) -> bool {
    program == Path::new("bowline") || whole(program) == whole(own)
}

/// Everything that the daemon opens by this configuration.
fn places(world: &World, config: &Config, file: Option<&Path>) -> BTreeSet<Place> {
    let environment = &world.environment;
    let mut read = system(environment);
    read.extend(file.and_then(folder_of));
    read.extend(world.setup.directories());
    read.extend(
        READ_BY_NAME.iter().filter_map(|name| environment.var(name)).filter_map(|path| folder_of(Path::new(path))),
    );
    read.extend(token_files(world).iter().filter_map(|path| folder_of(path)));
    read.extend(of_vault(&world.setup.vault));
    read.extend(config.files().iter().filter_map(open_for));
    usable(read, written(environment, world, config))
}

/// What any of our processes reads.
fn system(environment: &Environment) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.map(PathBuf::from).to_vec();
    // A link to what another program writes.
    read.extend(folder_of(&whole(Path::new("/etc/resolv.conf"))));
    read.extend(folder_of(&environment.program_file()));
    read
}

/// A place named `/` would be no bound at all, and is what a URL's path looks like.
fn usable(read: impl IntoIterator<Item = PathBuf>, written: impl IntoIterator<Item = PathBuf>) -> BTreeSet<Place> {
    let place = |access| move |path| Place { path, access };
    let all = read.into_iter().map(place(Access::Read)).chain(written.into_iter().map(place(Access::Write)));
    all.filter(|place| place.path.is_absolute() && place.path.parent().is_some()).collect()
}

/// Tokens of a web identity, which others write anew.
fn token_files(world: &World) -> Vec<PathBuf> {
    let Ok(files) = world.aws_config() else { return Vec::new() };
    files.profiles().filter_map(|profile| profile.text("web_identity_token_file").map(PathBuf::from)).collect()
}

/// Single files: beside a private key lie others.
fn of_vault(vault: &VaultSetup) -> Vec<PathBuf> {
    let public = vault.ssh_key.with_extension("pub");
    let named = [Some(&vault.ssh_key), Some(&public), vault.passphrase_file.as_ref(), vault.recovery_key_file.as_ref()];
    named.into_iter().flatten().cloned().collect()
}

/// What has to be open for a file. It is replaced when it is renewed, so its folder.
fn open_for(file: &NamedFile) -> Option<PathBuf> {
    match file.content {
        Content::Directory => Some(file.path.clone()),
        // See `of_vault`.
        Content::VaultKey => None,
        Content::Certificate | Content::PrivateKey | Content::Password | Content::Secret | Content::Token => {
            folder_of(&file.path)
        }
    }
}

/// What is written. A file is replaced when it is, so its folder counts.
fn written(environment: &Environment, world: &World, config: &Config) -> Vec<PathBuf> {
    let mut places = ours(environment, world, config);
    places.extend([world.setup.vault.directory.clone(), PathBuf::from("/dev/null")]);
    places.extend(folder_of(&environment.login_notice()));
    let device = config.gateway.iter().filter_map(|section| Some(&section.device_config.as_ref()?.path));
    places.extend(device.chain(&config.notify.file).filter_map(|file| folder_of(file)));
    places
}

/// Directories of this program alone, which are made where they are missing.
fn ours(environment: &Environment, world: &World, config: &Config) -> Vec<PathBuf> {
    let mut places = vec![
        environment.runtime_directory(),
        environment.health_directory(),
        environment.state_directory(),
        environment.data_directory(),
        environment.cache_directory(),
        world.setup.lease_directory.clone(),
        world.setup.locations.sso_cache.clone(),
    ];
    places.extend(folder_of(&environment.socket()));
    places.extend(config.audit.path.clone());
    places.extend(config.artifacts.iter().filter_map(|section| section.cache.path.clone()));
    let endpoint = config.endpoint.iter().flat_map(|section| [&section.socket, &section.token_file]).flatten();
    places.extend(endpoint.filter_map(|file| folder_of(file)));
    places.extend(config.vpn.iter().filter_map(|section| match &section.store {
        Some(StorePlace::File(directory)) => Some(directory.clone()),
        Some(StorePlace::Ssm(_)) | None => None,
    }));
    places
}

/// Of a file directly below the root (a container's), the file alone: the root would be no bound.
fn folder_of(file: &Path) -> Option<PathBuf> {
    let file = whole(file);
    match file.parent() {
        Some(folder) if folder.parent().is_none() => Some(file),
        folder => folder.map(Path::to_path_buf),
    }
}

/// Absolute, and with links followed as far as there is something.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(home: &Path, aws: &str) -> World {
        atomic::private_directory(&home.join(".aws")).unwrap();
        atomic::write_private(&home.join(".aws/config"), aws.as_bytes()).unwrap();
        let home = ("HOME".to_owned(), home.display().to_string());
        World::new(Environment::of([home].into())).unwrap()
    }

    fn parsed(text: &str) -> Config {
        config::parse(text).unwrap()
    }

    #[test]
    fn what_the_configuration_names_is_open_and_nobodys_home_is() {
        let home = tempfile::tempdir().unwrap();
        let world = world(home.path(), "[profile ci]\nweb_identity_token_file = /srv/ci/token\nrole_arn = x\n");
        let config = parsed(
            "[audit]\npath = \"/srv/audit\"\n[artifacts]\ncache = { path = \"/srv/cache\" }\n\
             tls = { certificate = \"/srv/tls/c.pem\", private-key = \"/srv/tls/k.pem\" }\n\
             [[artifacts.repository]]\nfrom = [\"/srv/maven\", \"s3://maven\"]\n\
             [endpoint]\nserve = [\"ci\"]\ntoken-file = \"/srv/endpoint/token\"\n",
        );
        let places = places(&world, &config, Some(Path::new("/srv/conf/bowline.toml")));
        let open = |path: &str, access| places.contains(&Place { path: path.into(), access });
        for path in ["/srv/audit", "/srv/cache", "/srv/endpoint"] {
            assert!(open(path, Access::Write), "{path}: {places:?}");
        }
        for path in ["/srv/tls", "/srv/maven", "/srv/conf", "/srv/ci", "/etc"] {
            assert!(open(path, Access::Read) && !open(path, Access::Write), "{path}: {places:?}");
        }
        let homes = [home.path(), Path::new("/"), Path::new("/home"), Path::new("/root"), Path::new("/srv")];
        assert!(!places.iter().any(|place| homes.contains(&place.path.as_path())), "{places:?}");
    }

    #[test]
    fn whoever_has_a_supervisor_is_bound_unless_somebody_says_otherwise() {
        let environment = |pairs: &[(&str, &str)]| {
            Environment::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let (quiet, on, off) =
            (parsed(""), parsed("[daemon]\nlandlock = true\n"), parsed("[daemon]\nlandlock = false\n"));
        let (alone, supervised) = (environment(&[]), environment(&[("NOTIFY_SOCKET", "/x")]));
        assert!(!is_wanted(&alone, &quiet) && is_wanted(&supervised, &quiet));
        assert!(is_wanted(&alone, &on) && !is_wanted(&supervised, &off));
        assert!(!is_wanted(&environment(&[(SWITCH, "off")]), &on) && is_wanted(&environment(&[(SWITCH, "on")]), &off));
    }

    #[test]
    fn programs_of_others_are_named_and_our_own_is_none() {
        let home = tempfile::tempdir().unwrap();
        let ours = world(home.path(), "[profile a]\ncredential_process = bowline creds b\n");
        assert_eq!(foreign_program(&ours, &Config::default()), None);
        let hook = parsed("[gateway]\non-change = \"/etc/hook\"\n");
        assert!(foreign_program(&ours, &hook).unwrap().contains("gateway.on-change"));
        let theirs = world(home.path(), "[profile a]\ncredential_process = \"/opt/a b\" --x\n");
        assert!(foreign_program(&theirs, &Config::default()).unwrap().contains("`credential_process` of profile `a`"));
    }

    #[test]
    fn a_file_directly_below_the_root_is_open_and_the_root_is_not() {
        assert_eq!(folder_of(Path::new("/no-wg.conf")), Some("/no-wg.conf".into()));
        assert_eq!(folder_of(Path::new("/no/wg.conf")), Some("/no".into()));
    }

    #[test]
    fn bounds_hold_what_is_below_them_and_for_what_they_were_made() {
        let place = |path: &str, access| Place { path: path.into(), access };
        let bounds = Bounds([place("/srv/a", Access::Write), place("/srv/b", Access::Read)].into());
        assert!(bounds.hold(&place("/srv/a/deep", Access::Read)) && bounds.hold(&place("/srv/a", Access::Write)));
        assert!(!bounds.hold(&place("/srv/b", Access::Write)) && !bounds.hold(&place("/srv/ab", Access::Read)));
    }
}
