//! From a profile to its credentials: one file for each kind of source, and the way through the lease store that all share.
//!
//! Daemon and command line run the same code: take what is fresh, else lock the entry, look again, call the source,
//! write, unlock. When to do that is the broker's business.

mod assume_role;
mod chain;
mod container;
mod describe;
mod fixed;
mod instance;
mod metadata;
mod own;
pub(crate) mod process;
pub(crate) mod roles_anywhere;
mod sealed;
mod session_name;
mod session_token;
mod sso;
mod web_identity;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bowline_aws::{Aws, Endpoints, Region, Service};
use bowline_awsfiles::{Config, CredentialSource, Source, SsoLogin};
use bowline_base::{BoxFuture, Credentials, Fault, KeyId, Kind, Now, Retry, wire::Wire};
use bowline_host::{Check, Tasks};
use serde_json::json;
use tracing::{debug, warn};

use self::describe::{below, describe, identify, surroundings};

pub use chain::{ENVIRONMENT, Step, asks_outside, is_of_the_environment};
pub use process::{RECURSION_MARK, parse as read_process_json, without_secrets};
pub use roles_anywhere::{HeldCertificate, roles_anywhere_from_environment};

use crate::{
    lease_store::{Entry, LeaseId, LeaseStore},
    mfa::Codes,
    renewal,
    setup::{Setup, redirections},
    sso_token::SsoTokens,
    vault::Vault,
};

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
    /// What to say and to type when the last resort is not there.
    otherwise: Option<(String, String)>,
}

/// A profile, and every place that was looked at for its credentials.
#[derive(Debug)]
pub struct Explained {
    /// In the order in which they were looked at.
    pub steps: Vec<Step>,
    /// What came of it.
    pub outcome: Result<Resolved, Fault>,
}

impl Resolved {
    /// The sign-in at the root of its chain, and what to type for it.
    #[must_use]
    pub fn login(&self) -> Option<&SsoLogin> {
        self.source.sso_login()
    }

    /// Whether it gives long-lived keys that lie sealed, themselves and not a session made with them.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.source, Source::Sealed(_))
    }

    /// The source in a few words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.source)
    }

    /// Whether its credentials are those of a role that was assumed by a role.
    #[must_use]
    pub fn is_chained(&self) -> bool {
        matches!(&self.source, Source::AssumeRole(role) if assume_role::is_chained(role))
    }

    /// What a person should know before it is fetched: where it will be otherwise than the files ask for.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut next = Some(&self.source);
        while let Some(source) = next {
            next = below(source);
            if let Source::AssumeRole(role) = source {
                notes.extend(assume_role::note(role));
            }
        }
        notes
    }
}

impl Resolved {
    /// Nobody asked for the last resort by name: where it is not there, what is missing is a source.
    fn told(&self, fault: Fault) -> Fault {
        match &self.otherwise {
            Some((message, hint)) if fault.origin == instance::ABSENT => {
                Fault::new(Kind::Config, "credentials", message.clone())
                    .hint(hint.clone())
                    .retry(Retry::After(Duration::from_secs(60)))
                    .cause(fault)
            }
            _ => fault,
        }
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
    own: own::Own,
    codes: OnceLock<Codes>,
    pairs: roles_anywhere::Pairs,
    vault: Vault,
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
        let (own, codes) = (own::Own::default(), OnceLock::new());
        let pairs = roles_anywhere::Pairs::default();
        let vault = Vault::new(setup.vault.clone());
        Self(Arc::new(Shared { wire, aws, setup, store, tokens, own, codes, pairs, vault }))
    }

    /// Where MFA codes come from, said once and before the first is needed; without it nobody is asked.
    #[must_use]
    pub fn with_codes(self, codes: Codes) -> Self {
        self.0.codes.set(codes).ok();
        self
    }

    /// Credentials are handed out at `address` by this program: no source may lead there.
    pub fn never_ask(&self, address: SocketAddr) {
        self.0.own.add(address);
    }

    pub(crate) fn codes(&self) -> Codes {
        self.0.codes.get().cloned().unwrap_or_default()
    }

    /// What they were told about the world.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.0.setup
    }

    /// The sealed keys.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
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

    /// How the certificates in use stand, by identity.
    pub(crate) fn certificate_checks(&self) -> Vec<Check> {
        roles_anywhere::checks(self)
    }

    /// The certificates in use, as they were read last.
    #[must_use]
    pub fn certificates(&self) -> Vec<HeldCertificate> {
        roles_anywhere::certificates(self)
    }

    /// Reads the certificates of every identity as they are now.
    pub(crate) async fn look_at_certificates(&self) {
        roles_anywhere::look_at_certificates(self).await;
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
        self.explain_in(config, profile).outcome
    }

    /// Where the credentials of `profile` come from, and why not from elsewhere.
    ///
    /// # Errors
    /// `Config` when a file cannot be read.
    pub fn explain(&self, profile: &str) -> Result<Explained, Fault> {
        Ok(self.explain_in(&self.0.setup.config()?, profile))
    }

    fn explain_in(&self, config: &Config, profile: &str) -> Explained {
        let mut walk = chain::Walk::new(config, &self.0.setup.environment);
        let found = walk.find(profile);
        let steps = walk.steps;
        Explained { steps, outcome: found.and_then(|found| self.resolved(config, profile, found)) }
    }

    fn resolved(&self, config: &Config, profile: &str, found: chain::Found) -> Result<Resolved, Fault> {
        let environment = &self.0.setup.environment;
        let variable = |name: &str| environment.get(name).filter(|text| !text.is_empty()).cloned();
        let mut region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let mut endpoints = self.0.setup.endpoints.clone();
        if let Some(name) = &found.profile {
            region = config.profile(name)?.region().map(str::to_owned).or(region);
            endpoints = endpoints.or(&configured_endpoints(config, name)?);
        }
        let (source, otherwise) = (found.source, found.otherwise);
        Ok(Resolved { profile: profile.to_owned(), source, region, endpoints, otherwise })
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
        for source in links(resolved) {
            let id = self.lease_id_of(resolved, source);
            forgotten += usize::from(self.0.store.read(&id).credentials.is_some());
            self.0.store.forget(&id)?;
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
                return fixed::credentials(keys, self.0.wire.now().wall);
            }
            // Never in a lease: the file would hold in plaintext what is sealed.
            if let Source::Sealed(keys) = source {
                return sealed::credentials(self, keys).await;
            }
            if let Source::Named(CredentialSource::Environment) = source {
                return fixed::from_environment(&self.0.setup.environment, self.0.wire.now().wall);
            }
            let id = self.lease_id_of(resolved, source);
            process::refuse_recursion(&resolved.profile, &id, &self.0.setup.environment)?;
            if let Some(fresh) = good(&self.0.store.read(&id), source, self.0.wire.now(), not) {
                return Ok(fresh.clone());
            }
            let lock = self.0.store.lock(&id, &*self.0.wire).await;
            if let Err(fault) = &lock {
                warn!(reason = %fault.chain(), "leases are not shared with other processes");
            }
            self.fetch(resolved, source, &id, not).await.map_err(|fault| resolved.told(fault))
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
        if let Some(fresh) = good(&entry, source, now, not) {
            return Ok(fresh.clone());
        }
        if let Some(fault) = entry.remembered(now) {
            return Err(fault);
        }
        let answer = self.call_alive(resolved, source).await;
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

    /// A set that had ended when it came says that the clocks disagree, unless this machine slept while it was on its
    /// way: then another is called for, once.
    async fn call_alive(&self, resolved: &Resolved, source: &Source) -> Result<Credentials, Fault> {
        let began = self.0.wire.now().wall;
        let mut credentials = self.call(resolved, source).await?;
        if credentials.usable_at(began) && !credentials.usable_at(self.0.wire.now().wall) {
            credentials = self.call(resolved, source).await?;
        }
        if credentials.usable_at(self.0.wire.now().wall) {
            return Ok(credentials);
        }
        Err(ended_on_arrival(&format!("credentials from {}", describe(source))))
    }

    async fn call(&self, resolved: &Resolved, source: &Source) -> Result<Credentials, Fault> {
        match source {
            Source::Static(keys) => fixed::credentials(keys, self.0.wire.now().wall),
            Source::Sealed(keys) => sealed::credentials(self, keys).await,
            Source::Process(command) => {
                let waiting: Vec<_> = links(resolved).map(|link| self.lease_id_of(resolved, link)).collect();
                process::credentials(command, &waiting, &self.0.setup.environment, &*self.0.wire).await
            }
            Source::Sso(role) => sso::credentials(self, resolved, role).await,
            Source::AssumeRole(role) => assume_role::credentials(self, resolved, role).await,
            Source::WebIdentity(role) => web_identity::credentials(self, resolved, role).await,
            Source::SessionToken(session) => session_token::credentials(self, resolved, session).await,
            Source::RolesAnywhere(identity) => roles_anywhere::credentials(self, resolved, identity).await,
            Source::Named(named) => self.surrounding(*named).await,
        }
    }

    async fn surrounding(&self, named: CredentialSource) -> Result<Credentials, Fault> {
        let (environment, wire) = (&self.0.setup.environment, &*self.0.wire);
        match named {
            CredentialSource::Environment => fixed::from_environment(environment, wire.now().wall),
            CredentialSource::EcsContainer => container::credentials(environment, &self.0.own, wire).await,
            CredentialSource::Ec2InstanceMetadata => instance::credentials(environment, &self.0.own, wire).await,
        }
    }

    fn lease_id_of(&self, resolved: &Resolved, source: &Source) -> LeaseId {
        let locations = &self.0.setup.locations;
        let description = json!({
            "source": identify(source),
            "environment": surroundings(source, &self.0.setup.environment),
            "endpoints": redirections(&resolved.endpoints),
            "files": [&locations.config, &locations.credentials, &locations.sso_cache],
        });
        LeaseId::of(&description.to_string())
    }
}

/// A fault for credentials, named by `what`, that had ended before they came: clocks disagree.
pub(crate) fn ended_on_arrival(what: &str) -> Fault {
    Fault::new(Kind::Config, "clock", format!("{what} had already ended when they came"))
        .retry(Retry::After(10 * renewal::SHORTEST_GAP))
        .hint("compare this machine's clock with the right time: `timedatectl status`")
}

/// The chain behind `resolved`, from what it is to what it begins with.
fn links(resolved: &Resolved) -> impl Iterator<Item = &Source> {
    std::iter::successors(Some(&resolved.source), |source| below(source))
}

/// The set of `entry` that needs no fetch. What costs a person a code is used until a minute before its end.
fn good<'e>(entry: &'e Entry, source: &Source, now: Now, not: Option<&KeyId>) -> Option<&'e Credentials> {
    let typed = match source {
        Source::AssumeRole(role) => role.mfa.as_ref().is_some_and(|mfa| mfa.process.is_none()),
        Source::SessionToken(session) => session.mfa.process.is_none(),
        _ => false,
    };
    entry.fresh(now, not).or_else(|| {
        let lasting = entry.usable(now.after(Duration::from_secs(60))).filter(|_| typed)?;
        Some(lasting).filter(|credentials| Some(&credentials.key_id) != not)
    })
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
