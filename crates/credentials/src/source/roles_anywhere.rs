//! IAM Roles Anywhere: a certificate and its private key, traded for a role's credentials.
//!
//! The files are read at each call, so a renewed certificate needs no restart. Renewing writes two files: while they
//! do not match, the pair that was good before is used on.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_aws::{
    Region,
    rolesanywhere::{CreateSession, Signer, create_session, region_of},
};
use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Credentials, Fault, Kind, Now, Secret, Timestamp, utc};
use bowline_host::Check;
use tracing::{debug, warn};

use super::{Resolved, Sources};
use crate::certificate::Life;
use crate::x509::{self, Files, NoPair, Pair};

const USUAL: Duration = Duration::from_secs(3600);
/// How often, and after what pause, files are looked at again that do not match.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

pub(super) async fn credentials(
    sources: &Sources,
    resolved: &Resolved,
    identity: &RolesAnywhere,
) -> Result<Credentials, Fault> {
    let own = region_of(&identity.trust_anchor, &identity.profile)?;
    let region = identity.region.as_deref().map_or(Ok(own), Region::parse)?;
    let pair = pair(sources, identity).await?;
    warn_of_the_end(&pair, identity, sources.wire().now());
    let wanted = CreateSession {
        trust_anchor_arn: identity.trust_anchor.clone(),
        profile_arn: identity.profile.clone(),
        role_arn: identity.role.clone(),
        duration: identity.duration.unwrap_or(USUAL),
        session_name: identity.session_name.clone(),
    };
    let answer = create_session(&sources.aws(&resolved.endpoints), &region, pair as Arc<dyn Signer>, &wanted).await;
    answer.map(|session| session.credentials).map_err(|error| explain(error.into(), identity))
}

/// The identity that five variables of the environment describe; it is asked for as `default`, and wins over a profile
/// of that name.
///
/// # Errors
/// `Config`: some of them are set and some are not; names the missing ones.
pub fn roles_anywhere_from_environment(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<RolesAnywhere>, Fault> {
    let given = VARIABLES.map(|name| lookup(name).filter(|text| !text.trim().is_empty()));
    if given.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [Some(certificate), Some(private_key), Some(trust_anchor), Some(profile), Some(role)] = given.clone() else {
        let lacking = VARIABLES.iter().zip(&given).filter(|(_, value)| value.is_none());
        let names: Vec<String> = lacking.map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("some ROLESANYWHERE_ variables are set, but not {}", names.join(", "));
        return Err(Fault::new(Kind::Config, "environment", message).hint("set all five of them, or none"));
    };
    Ok(Some(RolesAnywhere {
        name: "default".to_owned(),
        certificate: PathBuf::from(certificate),
        intermediates: None,
        private_key: Some(PathBuf::from(private_key)),
        password: None,
        trust_anchor,
        profile,
        role,
        session_name: None,
        duration: None,
        region: None,
        edition: None,
    }))
}

const VARIABLES: [&str; 5] = [
    "ROLESANYWHERE_CERTIFICATE_PATH",
    "ROLESANYWHERE_PRIVATE_KEY_PATH",
    "ROLESANYWHERE_TRUST_ANCHOR_ARN",
    "ROLESANYWHERE_PROFILE_ARN",
    "ROLESANYWHERE_ROLE_ARN",
];

/// A certificate that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// `[identity.NAME]`
    pub identity: String,
    /// Where it was read.
    pub file: PathBuf,
    /// When it ends.
    pub ends: Timestamp,
    /// Less than a third of its life is left.
    pub ends_soon: bool,
}

/// Those that were read last, good ones only.
pub(super) fn certificates(sources: &Sources) -> Vec<HeldCertificate> {
    let now = sources.wire().now().wall;
    let held = |identity: &RolesAnywhere| {
        let (_, pair) = sources.pairs().held(&identity.name)?;
        let ends_soon = pair.ends_soon(now).is_some();
        let (identity, file) = (identity.name.clone(), identity.certificate.clone());
        Some(HeldCertificate { identity, file, ends: pair.ends(), ends_soon })
    };
    sources.setup().identities.iter().filter_map(held).collect()
}

/// Reads every identity's files as they are now.
pub(super) async fn look_at_certificates(sources: &Sources) {
    for identity in &sources.setup().identities {
        if let Err(fault) = pair(sources, identity).await {
            // Whoever needs it says so.
            debug!(identity = identity.name, reason = %fault.chain(), "this certificate cannot be used");
        }
    }
}

/// The last good pair of each identity, with the digest of the files that it was read from.
#[derive(Default)]
pub(super) struct Pairs(Mutex<BTreeMap<String, Held>>);

type Held = ([u8; 32], Arc<Pair>);

impl Pairs {
    fn held(&self, name: &str) -> Option<Held> {
        self.locked().get(name).cloned()
    }

    fn keep(&self, name: &str, digest: [u8; 32], pair: &Arc<Pair>) {
        self.locked().insert(name.to_owned(), (digest, Arc::clone(pair)));
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the certificates stand that are in use. Files that were changed since are read at the next renewal: of those
/// nothing is said. Opens no key, since that is made to be slow.
pub(super) fn checks(sources: &Sources) -> Vec<Check> {
    let (setup, now) = (sources.setup(), sources.wire().now().wall);
    let check = |identity: &RolesAnywhere| {
        let (digest, pair) = sources.pairs().held(&identity.name)?;
        let files = Files::read(identity, password(identity, &setup.environment).ok()?.as_ref()).ok()?;
        let life = Life::of(pair.begins(), pair.ends(), now);
        (files.digest == digest).then(|| life.check(&identity.name, &identity.certificate, pair.ends()))
    };
    setup.identities.iter().filter_map(check).collect()
}

async fn pair(sources: &Sources, identity: &RolesAnywhere) -> Result<Arc<Pair>, Fault> {
    let mut looks = 1;
    loop {
        let now = sources.wire().now();
        let why = match look(sources, identity, now).await {
            Ok(pair) => return Ok(pair),
            Err(why) => why,
        };
        let old = sources.pairs().held(&identity.name).map(|(_, pair)| pair).filter(|pair| pair.is_valid(now.wall));
        match (old, why) {
            (Some(old), why) => {
                let fault = Fault::from(why);
                warn!(identity = identity.name, reason = %fault.chain(), "the certificate read before is used on");
                return Ok(old);
            }
            (None, NoPair::Mismatch(_)) if looks < LOOKS => {
                looks += 1;
                sources.wire().sleep(BETWEEN_LOOKS).await;
            }
            (None, why) => return Err(why.into()),
        }
    }
}

/// Opening an encrypted key is made to be slow; other tasks of the thread go on meanwhile.
async fn look(sources: &Sources, identity: &RolesAnywhere, now: Now) -> Result<Arc<Pair>, NoPair> {
    let password = password(identity, &sources.setup().environment).map_err(NoPair::Fault)?;
    let (held, wanted) = (sources.pairs().held(&identity.name), identity.clone());
    let work = tokio::task::spawn_blocking(move || {
        let files = Files::read(&wanted, password.as_ref()).map_err(NoPair::Fault)?;
        if let Some((_, pair)) = held.filter(|(digest, pair)| *digest == files.digest && pair.is_valid(now.wall)) {
            return Ok((files.digest, pair));
        }
        Ok((files.digest, Arc::new(files.pair(&wanted, password.as_ref(), now.wall)?)))
    });
    let stopped = |cause| NoPair::Fault(Fault::new(Kind::Bug, "x509", "reading the key was stopped").cause(cause));
    let (digest, pair) = work.await.map_err(stopped)??;
    sources.pairs().keep(&identity.name, digest, &pair);
    Ok(pair)
}

/// What opens the key of `identity`.
pub(crate) fn password(
    identity: &RolesAnywhere,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Secret>, Fault> {
    identity.password.as_ref().map(|place| x509::password(place, environment)).transpose()
}

fn warn_of_the_end(pair: &Pair, identity: &RolesAnywhere, now: Now) {
    if let Some(left) = pair.ends_soon(now.wall) {
        warn!(
            identity = identity.name,
            file = %identity.certificate.display(),
            end = utc(pair.ends()),
            days = left.as_secs() / 86400,
            "less than a third of the certificate's life is left; renew it"
        );
    }
}

/// AWS's words for what an owner of the account has to change.
fn explain(fault: Fault, identity: &RolesAnywhere) -> Fault {
    if fault.hint.is_some() || fault.kind != Kind::Refused {
        return fault;
    }
    let certificate = identity.certificate.display();
    let hint = if fault.message.contains("Untrusted") {
        format!(
            "see that the CA of `{}` issued `{certificate}`, and that the certificates between them are in it",
            identity.trust_anchor
        )
    } else if fault.message.contains("roleSessionName") {
        format!("leave out the session's name, or let `{}` accept one (acceptRoleSessionName)", identity.profile)
    } else {
        format!("see that `{}` trusts rolesanywhere.amazonaws.com and is in `{}`", identity.role, identity.profile)
    };
    fault.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_five_variables_or_none_or_the_missing_ones_by_name() {
        let with = |count: usize| {
            roles_anywhere_from_environment(|name| {
                VARIABLES[..count].contains(&name).then(|| format!("value of {name}"))
            })
        };
        assert_eq!(with(0).unwrap(), None);
        let identity = with(5).unwrap().unwrap();
        assert_eq!((identity.name.as_str(), identity.role.as_str()), ("default", "value of ROLESANYWHERE_ROLE_ARN"));
        let fault = with(3).unwrap_err();
        assert!(
            fault.message.ends_with("not `ROLESANYWHERE_PROFILE_ARN`, `ROLESANYWHERE_ROLE_ARN`"),
            "{}",
            fault.message
        );
    }
}
