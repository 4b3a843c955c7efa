//! The world of one run, gathered once from the environment: files, endpoints, the way out, AWS.

use std::sync::Arc;

use bowline_aws::{Aws, Endpoints, Region};
use bowline_awsfiles::{Config as AwsConfig, DefaultProfile, Locations};
use bowline_base::{Fault, Kind, wire::Wire};
use bowline_credentials::Setup;
use bowline_host::HttpWire;

use crate::environment::Environment;

/// Everything a command needs that is not on its command line.
pub(crate) struct World {
    pub(crate) environment: Environment,
    pub(crate) setup: Setup,
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) aws: Aws,
}

impl World {
    /// Reads nothing but `environment`; opens no connection.
    pub(crate) fn new(environment: Environment) -> Result<Self, Fault> {
        let setup = setup(&environment)?;
        let wire: Arc<dyn Wire> = Arc::new(HttpWire::new(&environment.outside())?);
        let aws = Aws::new(Arc::clone(&wire), setup.endpoints.clone());
        Ok(Self { environment, setup, wire, aws })
    }

    /// The AWS files as they are now.
    pub(crate) fn aws_config(&self) -> Result<AwsConfig, Fault> {
        AwsConfig::load(&self.setup.locations)
    }

    /// `AWS_DEFAULT_PROFILE`, else `AWS_PROFILE` (botocore's order), else `default`.
    pub(crate) fn default_profile(&self) -> String {
        self.named_profile().unwrap_or_else(|| "default".to_owned())
    }

    /// The profile that the environment names, if it does.
    pub(crate) fn named_profile(&self) -> Option<String> {
        let default = DefaultProfile::from_environment(&|name| self.environment.var(name).map(ToOwned::to_owned));
        default.variable.map(|_| default.name)
    }

    /// The region to use for `profile`: `wanted`, else the environment's, else the profile's, else us-east-1.
    pub(crate) fn region(&self, wanted: Option<&str>, profile: &str) -> Result<Region, Fault> {
        let of_profile = || self.aws_config().ok()?.profile(profile).ok()?.region().map(ToOwned::to_owned);
        let of_environment = || {
            let found = self.environment.var("AWS_REGION").or_else(|| self.environment.var("AWS_DEFAULT_REGION"));
            found.map(ToOwned::to_owned)
        };
        let text = wanted.map(ToOwned::to_owned).or_else(of_environment).or_else(of_profile);
        Region::parse(text.as_deref().unwrap_or("us-east-1"))
    }
}

/// What the credentials crate is told.
pub(crate) fn setup(environment: &Environment) -> Result<Setup, Fault> {
    let lookup = |name: &str| environment.var(name).map(ToOwned::to_owned);
    let locations = Locations::from_environment(&lookup)?;
    Ok(Setup {
        home: environment.home(),
        locations,
        endpoints: Endpoints::from_lookup(lookup)?,
        token_window: environment.token_window()?,
        lease_directory: environment.runtime_directory().join("leases"),
        environment: environment.all().clone(),
    })
}

/// A runtime for one command: one thread, all drivers.
pub(crate) fn small_runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)
}

/// The daemon's runtime: every core.
pub(crate) fn daemon_runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)
}

fn no_runtime(cause: std::io::Error) -> Fault {
    Fault::new(Kind::Bug, "runtime", "cannot start the runtime").cause(cause)
}
