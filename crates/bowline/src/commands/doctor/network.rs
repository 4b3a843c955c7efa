//! Whether AWS can be reached: the endpoints that the configured profiles need, and no others, all at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bowline_aws::{Endpoints, Region, Service, rolesanywhere};
use bowline_awsfiles::{AssumeRole, RoleSource, Source};
use bowline_base::{
    Fault,
    wire::{Limits, Wire, WireError},
};
use bowline_credentials::{Resolved, Sources};
use bowline_host::{Check, Tasks, obstacle::Obstacle};
use bytes::Bytes;
use http::{Request, Response};
use tokio::task::JoinSet;

use super::{
    Patient,
    ids::{self, Id},
    verdict::*,
};
use crate::{
    config::{Config, Origin},
    world::{World, small_runtime},
};

/// For each endpoint; the wire looks once more a second later, which makes five.
const BUDGET: Duration = Duration::from_secs(4);

/// Who needs an endpoint, by service and URL.
type Wanted = BTreeMap<(Service, String), BTreeSet<String>>;

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let wanted = wanted(patient);
    if wanted.is_empty() {
        return vec![ok(ids::NETWORK_STS, "no profile needs an endpoint of AWS")];
    }
    let met = reach(&patient.world.wire, wanted.keys());
    let proxy = patient.world.environment.outside().https_proxy.is_some();
    let judged = wanted.iter().zip(met).map(|(((service, url), users), met)| judge(*service, url, users, proxy, &met));
    judged.collect()
}

/// One question to `url`, whose answer does not matter: whoever answers is reached.
pub(super) async fn ask(wire: &dyn Wire, url: &str) -> Result<Response<()>, WireError> {
    let refused = |cause: http::Error| WireError::Broken { host: url.to_owned(), cause: cause.into() };
    let request = Request::get(url).body(Bytes::new()).map_err(refused)?;
    let answer = wire.send(request, Limits { head: BUDGET, idle: BUDGET }).await?;
    Ok(answer.map(drop))
}

fn reach<'a>(wire: &Arc<dyn Wire>, wanted: impl Iterator<Item = &'a (Service, String)>) -> Vec<Result<u16, Obstacle>> {
    let urls: Vec<String> = wanted.map(|(_, url)| url.clone()).collect();
    let broken = |why: String| urls.iter().map(|_| Err(Obstacle::Other(why.clone()))).collect();
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(fault) => return broken(fault.chain()),
    };
    let met = runtime.block_on(async {
        let mut asking = JoinSet::new();
        for (number, url) in urls.iter().cloned().enumerate() {
            let wire = Arc::clone(wire);
            asking.spawn(async move {
                let met = ask(&*wire, &url).await;
                (number, met.map(|answer| answer.status().as_u16()).map_err(|error| Obstacle::of(&error)))
            });
        }
        let mut met: BTreeMap<usize, Result<u16, Obstacle>> = BTreeMap::new();
        while let Some(done) = asking.join_next().await {
            met.extend(done.ok());
        }
        met
    });
    // A name server that hangs is asked on a thread, which nobody waits for.
    runtime.shutdown_background();
    let lost = || Err(Obstacle::Other("the question broke off".to_owned()));
    (0..urls.len()).map(|number| met.get(&number).cloned().unwrap_or_else(lost)).collect()
}

fn judge(service: Service, url: &str, users: &BTreeSet<String>, proxy: bool, met: &Result<u16, Obstacle>) -> Check {
    let id = id(service);
    let users = users.iter().map(|user| format!("`{user}`")).collect::<Vec<_>>().join(", ");
    let obstacle = match met {
        Ok(status) => return ok(id, format!("{url} answers ({status}); needed by {users}")),
        Err(obstacle) => obstacle,
    };
    let through = if proxy { " (through the proxy)" } else { "" };
    failed(id, format!("{url}{through}: {obstacle}; needed by {users}"), Some(advice(service, url, proxy, obstacle)))
}

fn advice(service: Service, url: &str, proxy: bool, obstacle: &Obstacle) -> String {
    let host = url.split("//").nth(1).unwrap_or(url).split('/').next().unwrap_or(url);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let variable = service.variable();
    match obstacle {
        Obstacle::NoAddress(_) => {
            format!("getent hosts {name}   # then: the region in the profile, {variable}, /etc/resolv.conf")
        }
        Obstacle::Refused => format!("curl -v {url}   # then: {variable}, endpoint_url, a firewall"),
        Obstacle::Silent if proxy => format!("curl -v {url}   # then: HTTPS_PROXY and NO_PROXY"),
        Obstacle::Silent => format!("curl -v {url}   # then: a firewall, or HTTPS_PROXY=http://host:port where there is a proxy"),
        Obstacle::Tls(_) => {
            "export AWS_CA_BUNDLE=/path/to/ca.pem   # where a proxy opens TLS, its CA; else: the clock, https:// to a plain port".to_owned()
        }
        Obstacle::Proxy(_) => format!("let the proxy connect to {host}, or add {name} to NO_PROXY"),
        Obstacle::Other(_) => format!("curl -v {url}"),
    }
}

fn id(service: Service) -> Id {
    match service {
        Service::Sts => ids::NETWORK_STS,
        Service::Sso => ids::NETWORK_SSO,
        Service::SsoOidc => ids::NETWORK_OIDC,
        Service::S3 => ids::NETWORK_S3,
        Service::RolesAnywhere => ids::NETWORK_ROLES_ANYWHERE,
        Service::Logs => ids::NETWORK_LOGS,
        // No profile needs these to give credentials.
        Service::Ec2 | Service::Iam | Service::Signin | Service::Ssm => ids::NETWORK_OTHER,
    }
}

/// Profiles that do not resolve need nothing; `files` tells them.
fn wanted(patient: &Patient) -> Wanted {
    let mut wanted = Wanted::new();
    let Ok(config) = patient.world.aws_config() else { return wanted };
    with_sources(&patient.world, |sources| {
        let identities = patient.world.setup.identities.iter().map(|identity| identity.name.as_str());
        let names: BTreeSet<&str> = config.profiles().map(bowline_awsfiles::Profile::name).chain(identities).collect();
        let meant = |name: &&str| patient.profile.as_ref().is_none_or(|profile| profile == name);
        for name in names.into_iter().filter(meant) {
            if let Ok(resolved) = sources.resolve_in(&config, name) {
                add_source(&mut wanted, name, &resolved.source, &resolved);
            }
        }
        for session in config.sso_sessions().filter(|_| patient.profile.is_none()) {
            if let Ok(login) = session.login() {
                let endpoints = sources.endpoints_for(&config, &login);
                add_sign_in(&mut wanted, session.name(), &login.region, &endpoints);
            }
        }
        if patient.profile.is_none() {
            add_jobs(&mut wanted, patient, &patient.settings(), sources, &config);
        }
    });
    wanted
}

/// The sources of one command; nothing is fetched through them here.
pub(super) fn with_sources<T>(world: &World, look: impl FnOnce(&Sources) -> T) -> Option<T> {
    let runtime = small_runtime().ok()?;
    Some(runtime.block_on(async { look(&Sources::new(Arc::clone(&world.wire), Tasks::new(), world.setup.clone())) }))
}

/// The link itself and those below it.
fn add_source(wanted: &mut Wanted, user: &str, source: &Source, resolved: &Resolved) {
    let (endpoints, region) = (&resolved.endpoints, resolved.region.as_deref().unwrap_or("us-east-1"));
    match source {
        Source::AssumeRole(AssumeRole { from, region: own, .. }) => {
            add(wanted, user, Service::Sts, own.as_deref().unwrap_or(region), endpoints);
            if let RoleSource::Profile { source, .. } = from {
                add_source(wanted, user, source, resolved);
            }
        }
        Source::WebIdentity(role) => {
            add(wanted, user, Service::Sts, role.region.as_deref().unwrap_or(region), endpoints);
        }
        Source::SessionToken(session) => {
            add(wanted, user, Service::Sts, session.region.as_deref().unwrap_or(region), endpoints);
        }
        Source::Sso(role) => add_sign_in(wanted, user, &role.login.region, endpoints),
        Source::RolesAnywhere(identity) => {
            let trusted = rolesanywhere::region_of(&identity.trust_anchor, &identity.profile).ok();
            let trusted = trusted.map(|region| region.as_str().to_owned());
            if let Some(region) = identity.region.clone().or(trusted) {
                add(wanted, user, Service::RolesAnywhere, &region, endpoints);
            }
        }
        Source::Static(_) | Source::Sealed(_) | Source::Process(_) | Source::Named(_) => {}
    }
}

fn add_sign_in(wanted: &mut Wanted, user: &str, region: &str, endpoints: &Endpoints) {
    add(wanted, user, Service::Sso, region, endpoints);
    add(wanted, user, Service::SsoOidc, region, endpoints);
}

fn add_jobs(
    wanted: &mut Wanted,
    patient: &Patient,
    settings: &Config,
    sources: &Sources,
    config: &bowline_awsfiles::Config,
) {
    let world = &patient.world;
    let mut add_job = |user: &str, service, region: Result<Region, Fault>, profile: &str| {
        let resolved = sources.resolve_in(config, profile);
        let endpoints = resolved.map_or_else(|_| world.setup.endpoints.clone(), |resolved| resolved.endpoints);
        if let Ok(region) = region {
            add(wanted, user, service, region.as_str(), &endpoints);
        }
    };
    if let Some(artifacts) = &settings.artifacts {
        let profile = artifacts.identity.clone().unwrap_or_else(|| world.default_profile());
        let mut origins = artifacts.repositories.iter().flat_map(|repository| &repository.from);
        if origins.any(|origin| matches!(origin, Origin::S3 { .. })) {
            add_job("[artifacts]", Service::S3, world.region(artifacts.region.as_deref(), &profile), &profile);
        }
    }
    if let Some(cloudwatch) = &settings.audit.cloudwatch {
        let profile = cloudwatch.identity.clone().unwrap_or_else(|| world.default_profile());
        add_job("[audit]", Service::Logs, world.region(cloudwatch.region.as_deref(), &profile), &profile);
    }
}

fn add(wanted: &mut Wanted, user: &str, service: Service, region: &str, endpoints: &Endpoints) {
    if let Ok(region) = Region::parse(region) {
        wanted.entry((service, endpoints.url(service, &region))).or_default().insert(user.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    fn judged(proxy: bool, met: &Result<u16, Obstacle>) -> Check {
        let users = BTreeSet::from(["build".to_owned(), "deploy".to_owned()]);
        judge(Service::Sts, "https://sts.eu-central-1.amazonaws.com", &users, proxy, met)
    }

    #[test]
    fn any_answer_is_reached_and_who_needs_it_is_told() {
        let check = judged(false, &Ok(403));
        assert_eq!((check.id.as_str(), check.verdict), ("network.sts", Verdict::Ok));
        assert!(check.why.ends_with("needed by `build`, `deploy`"), "{}", check.why);
    }

    #[test]
    fn each_obstacle_has_a_fix_of_its_own() {
        let fix = |proxy, obstacle| judged(proxy, &Err(obstacle)).fix.unwrap();
        assert!(
            fix(false, Obstacle::NoAddress(String::new())).starts_with("getent hosts sts.eu-central-1.amazonaws.com")
        );
        assert!(fix(false, Obstacle::Refused).contains("AWS_ENDPOINT_URL_STS"));
        assert!(fix(false, Obstacle::Silent).contains("firewall") && fix(true, Obstacle::Silent).contains("NO_PROXY"));
        assert!(fix(false, Obstacle::Tls("unknown issuer".to_owned())).contains("AWS_CA_BUNDLE"));
        assert!(fix(true, Obstacle::Proxy(String::new())).contains("NO_PROXY"));
    }
}
