//! The world of one run, gathered once from the environment: files, endpoints, the way out, AWS.

use std::{path::PathBuf, sync::Arc};

use bowline_aws::{Aws, Endpoints, Region};
use bowline_awsfiles::{Config as AwsConfig, DefaultProfile, Locations};
use bowline_base::{Fault, Kind, wire::Wire};
use bowline_credentials::{Context, ENVIRONMENT, Setup, roles_anywhere_from_environment, vault::VaultSetup};
use bowline_host::{HttpWire, client::Outside};

use crate::{
    config::{AuditSection, Config, VaultSection},
    config_place,
    daemon::confinement::Bounds,
    environment::Environment,
    output,
    troubles::Troubles,
};

/// Everything a command needs that is not on its command line.
pub(crate) struct World {
    pub(crate) environment: Environment,
    pub(crate) setup: Setup,
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) aws: Aws,
    /// What `bowline.toml` says of the audit log.
    pub(crate) audit: AuditSection,
    /// What went wrong lately, where this process keeps a log.
    pub(crate) troubles: Troubles,
    /// What this process is bound to, if it is.
    pub(crate) bounds: Option<Bounds>,
    /// There is a `bowline.toml`, and it was read.
    configured: bool,
}

impl World {
    /// Reads nothing but `environment`; opens no connection.
    pub(crate) fn new(environment: Environment) -> Result<Self, Fault> {
        let outside = environment.outside();
        Self::by_way_of(environment, &outside)
    }

    /// The same with another way out than the environment's.
    pub(crate) fn by_way_of(environment: Environment, outside: &Outside) -> Result<Self, Fault> {
        let setup = setup(&environment)?;
        let wire: Arc<dyn Wire> = Arc::new(HttpWire::new(outside)?);
        let aws = Aws::new(Arc::clone(&wire), setup.endpoints.clone());
        let (audit, troubles) = (AuditSection::default(), Troubles::default());
        Ok(Self { environment, setup, wire, aws, audit, troubles, bounds: None, configured: false })
    }

    /// The same with the identities, the vault and the audit log of `bowline.toml`; what the environment says wins.
    pub(crate) fn with_config(mut self, config: &Config) -> Self {
        self.setup = with_file(self.setup, &self.environment, config);
        self.audit = config.audit.clone();
        self
    }

    /// The same with the memory of this process's log.
    pub(crate) fn remembering(self, troubles: Troubles) -> Self {
        Self { troubles, ..self }
    }

    /// As [`World::new`] with what the file says that is used.
    pub(crate) fn of_file(environment: Environment, file: Option<PathBuf>) -> Result<Self, Fault> {
        let configured = config_place::load_if_any(file, &environment);
        Self::given(environment, configured)
    }

    /// The same with a file that was read already. Commands that need none work on with one that has mistakes.
    pub(crate) fn given(environment: Environment, configured: Result<Option<Config>, Fault>) -> Result<Self, Fault> {
        let configured = configured.unwrap_or_else(|fault| {
            output::say(&format!("note: {}; nothing of it is used", fault.message));
            None
        });
        let world = Self::new(environment)?;
        Ok(match configured {
            Some(config) => Self { configured: true, ..world.with_config(&config) },
            None => world,
        })
    }

    /// What the daemon is told of this command's surroundings.
    pub(crate) fn context(&self) -> String {
        context(&self.setup.context(), self.configured)
    }

    /// The AWS files as they are now.
    pub(crate) fn aws_config(&self) -> Result<AwsConfig, Fault> {
        self.setup.config()
    }

    /// `AWS_DEFAULT_PROFILE`, else `AWS_PROFILE` (botocore's order), else `default`.
    pub(crate) fn default_profile(&self) -> String {
        self.named_profile().unwrap_or_else(|| "default".to_owned())
    }

    /// Whose credentials are meant where nobody names a profile: the one that the environment names, else the chain of the
    /// environment, in which its keys come before the files' `default`. An identity called `default` is meant by its name.
    pub(crate) fn unnamed_identity(&self) -> String {
        let ours = self.setup.identities.iter().any(|identity| identity.name == "default");
        self.named_profile().unwrap_or_else(|| if ours { "default" } else { ENVIRONMENT }.to_owned())
    }

    /// The profile that the environment names, if it does.
    pub(crate) fn named_profile(&self) -> Option<String> {
        let default = DefaultProfile::from_environment(&|name| self.environment.var(name).map(ToOwned::to_owned));
        default.variable.map(|_| default.name)
    }

    /// The region to use for `profile`: `wanted`, else the environment's, else the profile's, else us-east-1.
    pub(crate) fn region(&self, wanted: Option<&str>, profile: &str) -> Result<Region, Fault> {
        let of_profile = || {
            let config = self.aws_config().ok()?;
            let of_anchor = config.identity(profile).map(|identity| identity.trust_anchor.split(':').nth(3));
            let named = if profile == ENVIRONMENT { "default" } else { profile };
            let found = of_anchor.unwrap_or_else(|| config.profile(named).ok()?.region());
            found.map(ToOwned::to_owned)
        };
        let of_environment = || {
            let found = self.environment.var("AWS_REGION").or_else(|| self.environment.var("AWS_DEFAULT_REGION"));
            found.map(ToOwned::to_owned)
        };
        let text = wanted.map(ToOwned::to_owned).or_else(of_environment).or_else(of_profile);
        Region::parse(text.as_deref().unwrap_or("us-east-1"))
    }
}

/// See [`World::context`].
pub(crate) fn context(context: &Context, configured: bool) -> String {
    if configured { context.whole() } else { context.without_identities() }
}

/// `setup` with the identities of `config` before those of the environment, and with its vault.
pub(crate) fn with_file(mut setup: Setup, environment: &Environment, config: &Config) -> Setup {
    let of_environment = std::mem::take(&mut setup.identities);
    setup.identities = config.identities.iter().cloned().chain(of_environment).collect();
    vault_of_file(&mut setup.vault, environment, &config.vault);
    setup
}

/// What the credentials crate is told.
pub(crate) fn setup(environment: &Environment) -> Result<Setup, Fault> {
    let lookup = |name: &str| environment.var(name).map(ToOwned::to_owned);
    let locations = Locations::from_environment(&lookup)?;
    Ok(Setup {
        home: environment.home(),
        locations,
        identities: roles_anywhere_from_environment(lookup)?.into_iter().collect(),
        endpoints: Endpoints::from_lookup(lookup)?,
        token_window: environment.token_window()?,
        lease_directory: environment.runtime_directory().join("leases"),
        vault: vault(environment),
        environment: environment.all().clone(),
    })
}

/// Where sealed keys lie as far as the environment says.
fn vault(environment: &Environment) -> VaultSetup {
    let path = |name: &str| environment.var(name).map(PathBuf::from);
    VaultSetup {
        directory: path("BOWLINE_VAULT").unwrap_or_else(|| environment.data_directory().join("vault")),
        passphrase_file: path("BOWLINE_VAULT_PASSPHRASE_FILE"),
        recovery_key_file: path("BOWLINE_VAULT_RECOVERY_KEY_FILE"),
        ..VaultSetup::in_home(&environment.home())
    }
}

/// What `[vault]` says besides; the environment's directory wins.
fn vault_of_file(vault: &mut VaultSetup, environment: &Environment, section: &VaultSection) {
    if let Some(path) = section.path.clone().filter(|_| environment.var("BOWLINE_VAULT").is_none()) {
        vault.directory = path;
    }
    if let Some(key) = &section.ssh_key {
        vault.ssh_key.clone_from(key);
    }
    vault.idle = section.idle.unwrap_or(vault.idle);
    vault.agent = environment.var("SSH_AUTH_SOCK").map(PathBuf::from).filter(|_| section.agent);
}

/// A runtime for one command: one thread, all drivers.
pub(crate) fn small_runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)
}

/// The daemon's runtime: every core.
pub(crate) fn daemon_runtime() -> Result<tokio::runtime::Runtime, Fault> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.max_blocking_threads(MOST_WAITING).enable_all().build().map_err(no_runtime)
}

/// Threads that wait for a disk, made when they are needed: every client of the endpoint (512), of instance metadata (512)
/// and of the socket (1024) may wait for the audit log, and files are read besides.
const MOST_WAITING: usize = 3072;

fn no_runtime(cause: std::io::Error) -> Fault {
    Fault::new(Kind::Bug, "runtime", "cannot start the runtime").cause(cause)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    /// Each waits until all have begun: with too few threads none ever ends.
    #[test]
    fn clients_that_wait_for_the_audit_log_leave_threads_for_files() {
        let runtime = daemon_runtime().unwrap();
        let barrier = Arc::new(Barrier::new(701));
        for _ in 0..700 {
            let barrier = Arc::clone(&barrier);
            runtime.spawn_blocking(move || barrier.wait());
        }
        let read = runtime.spawn_blocking(|| "a file");
        let limit = std::time::Duration::from_secs(10);
        let read = runtime.block_on(async { tokio::time::timeout(limit, read).await });
        let enough = read.is_ok();
        if enough {
            barrier.wait();
        }
        runtime.shutdown_background();
        assert!(enough, "nothing can be read while 700 clients wait");
    }
}
