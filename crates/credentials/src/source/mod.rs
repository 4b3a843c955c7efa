//! From a profile to its credentials: one file for each kind of source, and the way through the lease store that all share.
//!
//! Daemon and command line run the same code: take what is fresh, else lock the entry, look again, call the source,
//! write, unlock. When to do that is the broker's business.

mod assume_role;
mod fixed;
mod process;
mod roles_anywhere;
mod sso;

use std::{collections::BTreeMap, sync::Arc};

use bowline_aws::{Aws, Endpoints, Region, Service};
use bowline_awsfiles::{AssumeRole, Config, CredentialSource, RoleSource, Source, SsoLogin};
use bowline_base::{BoxFuture, Credentials, Fault, KeyId, Kind, Retry, wire::Wire};
use bowline_host::Tasks;
use serde_json::json;
use tracing::{debug, warn};

pub use process::{RECURSION_MARK, parse as read_process_json};
pub use roles_anywhere::roles_anywhere_from_environment;

use crate::{
    lease_store::{LeaseId, LeaseStore},
    renewal,
    setup::{Setup, redirections},
    sso_token::SsoTokens,
};

/// What is supported, for hints about what is not.
pub(crate) const SUPPORTED: &str = "supported are keys in the AWS files, `credential_process`, IAM Identity Center, IAM Roles Anywhere, and \
                                    `role_arn` with `source_profile` or `credential_source = Environment`";

/// A profile as the files describe it at one moment.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name.
    pub profile: String,
    /// What its credentials are made of.
    pub source: Source,
    /// Its `region`.
    pub region: Option<String>,
    /// The environment's redirections over the profile's.
    pub endpoints: Endpoints,
}

impl Resolved {
    /// The sign-in at the root of its chain, and what to type for it.
    #[must_use]
    pub fn login(&self) -> Option<&SsoLogin> {
        self.source.sso_login()
    }

    /// The source in a few words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.source)
    }
}

/// Gets credentials, through the lease store. Clones share everything.
#[derive(Clone)]
pub struct Sources(Arc<Shared>);

struct Shared {
    wire: Arc<dyn Wire>,
    aws: Aws,
    setup: Setup,
    store: LeaseStore,
    tokens: SsoTokens,
    pairs: roles_anywhere::Pairs,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("store", &self.0.store).finish_non_exhaustive()
    }
}

impl Sources {
    /// Sources in the world that `setup` describes. A refresh that has been sent runs in `tasks` to its end: wait for
    /// them before the process ends.
    #[must_use]
    pub fn new(wire: Arc<dyn Wire>, tasks: Tasks, setup: Setup) -> Self {
        let store = LeaseStore::new(&setup.lease_directory);
        let tokens = SsoTokens::new(Arc::clone(&wire), tasks, &setup);
        let aws = Aws::new(Arc::clone(&wire), setup.endpoints.clone());
        Self(Arc::new(Shared { wire, aws, setup, store, tokens, pairs: roles_anywhere::Pairs::default() }))
    }

    /// What they were told about the world.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.0.setup
    }

    /// Where leases are kept.
    #[must_use]
    pub fn store(&self) -> &LeaseStore {
        &self.0.store
    }

    /// The tokens of SSO sessions.
    #[must_use]
    pub fn tokens(&self) -> &SsoTokens {
        &self.0.tokens
    }

    fn pairs(&self) -> &roles_anywhere::Pairs {
        &self.0.pairs
    }

    pub(crate) fn wire(&self) -> &Arc<dyn Wire> {
        &self.0.wire
    }

    /// The way to AWS with `endpoints`; what is learnt about its clocks is shared.
    #[must_use]
    pub fn aws(&self, endpoints: &Endpoints) -> Aws {
        self.0.aws.at(endpoints.clone())
    }

    /// Reads the files and says what `profile` is made of.
    ///
    /// # Errors
    /// `Config`, naming file, line and profile.
    pub fn resolve(&self, profile: &str) -> Result<Resolved, Fault> {
        self.resolve_in(&self.0.setup.config()?, profile)
    }

    /// As [`Sources::resolve`], with files that were read already.
    ///
    /// # Errors
    /// As [`Sources::resolve`].
    pub fn resolve_in(&self, config: &Config, profile: &str) -> Result<Resolved, Fault> {
        let source = config.resolve(profile)?;
        if config.identity(profile).is_some() {
            let endpoints = self.0.setup.endpoints.clone();
            return Ok(Resolved { profile: profile.to_owned(), source, region: None, endpoints });
        }
        let region = config.profile(profile)?.region().map(str::to_owned);
        let endpoints = self.0.setup.endpoints.clone().or(&configured_endpoints(config, profile)?);
        Ok(Resolved { profile: profile.to_owned(), source, region, endpoints })
    }

    /// Where calls for `login` go: as the first profile with that sign-in says, else as the environment says.
    #[must_use]
    pub fn endpoints_for(&self, config: &Config, login: &SsoLogin) -> Endpoints {
        let resolved = config.profiles().filter_map(|profile| self.resolve_in(config, profile.name()).ok());
        let mut same = resolved.filter(|resolved| resolved.login().is_some_and(|other| other.key == login.key));
        same.next().map_or_else(|| self.0.setup.endpoints.clone(), |resolved| resolved.endpoints)
    }

    /// The entry of the lease store that holds the credentials of `resolved`.
    #[must_use]
    pub fn lease_id(&self, resolved: &Resolved) -> LeaseId {
        self.lease_id_of(resolved, &resolved.source)
    }

    /// Forgets every lease of the chain behind `resolved`. Returns how many entries were there.
    ///
    /// # Errors
    /// `Config` when an entry cannot be removed.
    pub fn forget(&self, resolved: &Resolved) -> Result<usize, Fault> {
        let mut forgotten = 0;
        let mut next = Some(&resolved.source);
        while let Some(source) = next {
            let id = self.lease_id_of(resolved, source);
            forgotten += usize::from(self.0.store.read(&id).credentials.is_some());
            self.0.store.forget(&id)?;
            next = match source {
                Source::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => Some(source),
                Source::AssumeRole(_)
                | Source::Static(_)
                | Source::Process(_)
                | Source::Sso(_)
                | Source::WebIdentity(_)
                | Source::RolesAnywhere(_) => None,
            };
        }
        Ok(forgotten)
    }

    /// Credentials: fresh ones from the store, else from the source. Any set but the one called `not`, which is due or
    /// was refused.
    ///
    /// # Errors
    /// What keeps them from coming; its hint is the next command.
    pub async fn credentials(&self, resolved: &Resolved, not: Option<&KeyId>) -> Result<Credentials, Fault> {
        self.leased(resolved, &resolved.source, not).await
    }

    /// As [`Sources::credentials`] for one link of a chain: a base is shared by all that build on it.
    fn leased<'a>(
        &'a self,
        resolved: &'a Resolved,
        source: &'a Source,
        not: Option<&'a KeyId>,
    ) -> BoxFuture<'a, Result<Credentials, Fault>> {
        Box::pin(async move {
            if let Source::Static(keys) = source {
                return Ok(fixed::credentials(keys, self.0.wire.now().wall));
            }
            if let Source::Process(command) = source {
                process::refuse_recursion(command, &self.0.setup.environment)?;
            }
            let id = self.lease_id_of(resolved, source);
            if let Some(fresh) = self.0.store.read(&id).fresh(self.0.wire.now(), not) {
                return Ok(fresh.clone());
            }
            let lock = self.0.store.lock(&id, &*self.0.wire).await;
            if let Err(fault) = &lock {
                warn!(reason = %fault.chain(), "leases are not shared with other processes");
            }
            self.fetch(resolved, source, &id, not).await
        })
    }

    /// With the lock held: looks again, then calls the source and writes down what came of it.
    async fn fetch(
        &self,
        resolved: &Resolved,
        source: &Source,
        id: &LeaseId,
        not: Option<&KeyId>,
    ) -> Result<Credentials, Fault> {
        let mut entry = self.0.store.read(id);
        let now = self.0.wire.now();
        if let Some(fresh) = entry.fresh(now, not) {
            return Ok(fresh.clone());
        }
        if let Some(fault) = entry.remembered(now) {
            return Err(fault);
        }
        let answer = self.call(resolved, source).await.and_then(|credentials| self.alive(credentials, source));
        match &answer {
            Ok(credentials) => {
                entry.credentials = Some(credentials.clone());
                entry.failure = None;
            }
            // Remembered with the session; the entry would say the same as before.
            Err(fault) if fault.kind == Kind::LoginRequired && entry.failure.is_none() => return answer,
            Err(fault) => entry.note_failure(fault, self.0.wire.now()),
        }
        if let Err(fault) = self.0.store.write(id, &entry) {
            debug!(reason = %fault.chain(), "the lease stays in memory");
        }
        answer
    }

    async fn call(&self, resolved: &Resolved, source: &Source) -> Result<Credentials, Fault> {
        match source {
            Source::Static(keys) => Ok(fixed::credentials(keys, self.0.wire.now().wall)),
            Source::Process(command) => process::credentials(command, &self.0.setup.environment, &*self.0.wire).await,
            Source::Sso(role) => sso::credentials(self, resolved, role).await,
            Source::AssumeRole(role) => assume_role::credentials(self, resolved, role).await,
            Source::RolesAnywhere(identity) => roles_anywhere::credentials(self, resolved, identity).await,
            Source::WebIdentity(role) => Err(unsupported(&role.profile, "web_identity_token_file")),
        }
    }

    /// A set that had ended when it came says that the clocks disagree.
    fn alive(&self, credentials: Credentials, source: &Source) -> Result<Credentials, Fault> {
        if credentials.usable_at(self.0.wire.now().wall) {
            return Ok(credentials);
        }
        let message = format!("credentials from {} had already ended when they came", describe(source));
        Err(Fault::new(Kind::Config, "clock", message)
            .retry(Retry::After(10 * renewal::SHORTEST_GAP))
            .hint("compare this machine's clock with the right time: `timedatectl status`"))
    }

    fn lease_id_of(&self, resolved: &Resolved, source: &Source) -> LeaseId {
        let locations = &self.0.setup.locations;
        let environment = needs_environment(source).then(|| self.0.setup.environment.get("AWS_ACCESS_KEY_ID"));
        let description = json!({
            "source": identify(source),
            "environment": environment,
            "endpoints": redirections(&resolved.endpoints),
            "files": [&locations.config, &locations.credentials, &locations.sso_cache],
        });
        LeaseId::of(&description.to_string())
    }
}

/// A fault for what the files ask for and this program does not do.
pub(crate) fn unsupported(profile: &str, what: &str) -> Fault {
    Fault::new(Kind::Config, format!("profile `{profile}`"), format!("profile `{profile}`: `{what}` is not supported"))
        .hint(SUPPORTED)
}

/// The region to call; STS without one is called in us-east-1, where the global endpoint was.
pub(crate) fn region(text: Option<&str>) -> Result<Region, Fault> {
    Region::parse(text.unwrap_or("us-east-1"))
}

fn configured_endpoints(config: &Config, profile: &str) -> Result<Endpoints, Fault> {
    let mut found = BTreeMap::new();
    for service in Service::ALL {
        if let Some(url) = config.endpoint_url(profile, service.key())? {
            found.insert(service.variable(), url.to_owned());
        }
    }
    let settings = config.profile(profile)?;
    for (variable, key) in
        [("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"), ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")]
    {
        found.extend(settings.text(key).map(|text| (variable, text.to_owned())));
    }
    Endpoints::from_lookup(|name| found.get(name).cloned())
}

fn describe(source: &Source) -> String {
    match source {
        Source::Static(keys) => format!("keys in {}", keys.origin),
        Source::Process(command) => format!("command `{}`", command.argv.first().map_or("", String::as_str)),
        Source::Sso(role) => format!("sso {}/{}", role.account_id, role.role_name),
        Source::AssumeRole(role) => format!("role `{}`", role.role_arn),
        Source::RolesAnywhere(identity) => format!("role `{}` by certificate", identity.role),
        Source::WebIdentity(role) => format!("role `{}` by token file", role.role_arn),
    }
}

/// Whether the chain begins with the keys of the environment, which differ from shell to shell.
fn needs_environment(source: &Source) -> bool {
    match source {
        Source::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => needs_environment(source),
        Source::AssumeRole(AssumeRole { from: RoleSource::Named(named), .. }) => {
            *named == CredentialSource::Environment
        }
        Source::Static(_) | Source::Process(_) | Source::Sso(_) | Source::WebIdentity(_) | Source::RolesAnywhere(_) => {
            false
        }
    }
}

/// Everything that decides what a source gives, and no secret.
fn identify(source: &Source) -> serde_json::Value {
    match source {
        Source::Static(keys) => json!({ "key": keys.key_id.as_str() }),
        Source::Process(command) => json!({ "argv": command.argv, "account": command.account_id }),
        Source::Sso(role) => json!({
            "session": role.login.key.hash(),
            "start_url": role.login.start_url,
            "region": role.login.region,
            "account": role.account_id,
            "role": role.role_name,
        }),
        Source::AssumeRole(role) => json!({
            "role": role.role_arn,
            "session_name": role.session_name,
            "external_id": role.external_id,
            "duration": role.duration.map(|time| time.as_secs()),
            "region": role.region,
            "from": match &role.from {
                RoleSource::Profile { source, .. } => identify(source),
                RoleSource::Named(named) => json!(format!("{named:?}")),
            },
        }),
        Source::RolesAnywhere(identity) => json!({
            "certificate": identity.certificate,
            "private_key": identity.private_key,
            "trust_anchor": identity.trust_anchor,
            "profile": identity.profile,
            "role": identity.role,
            "session_name": identity.session_name,
            "duration": identity.duration.map(|time| time.as_secs()),
        }),
        Source::WebIdentity(role) => json!({ "role": role.role_arn, "token_file": role.token_file }),
    }
}
