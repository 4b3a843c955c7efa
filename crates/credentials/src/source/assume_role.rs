//! A role assumed with other credentials. The base comes through the lease store too, so a chain shares its base.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bowline_aws::sts;
use bowline_awsfiles::{AssumeRole, CredentialSource, RoleSource, Source};
use bowline_base::{BoxFuture, Credentials, Fault, Identity, KeyId, Kind, Timestamp, Unavailable};

use super::{Resolved, Sources, region, session_name::session_name};
use crate::mfa;

/// AWS gives a session that was made with another session at most an hour.
const LONGEST_CHAINED: Duration = Duration::from_secs(3600);

pub(super) async fn credentials(
    sources: &Sources,
    resolved: &Resolved,
    role: &AssumeRole,
) -> Result<Credentials, Fault> {
    let base = Base::new(sources, resolved, role).await?;
    let mut request = request(role, sources.wire().now().wall);
    if let Some(mfa) = &role.mfa {
        request.serial_number = Some(mfa.serial.clone());
        request.token_code = Some(mfa::code(sources, mfa, &role.profile).await?);
    }
    let region = region(role.region.as_deref().or(resolved.region.as_deref()))?;
    let answer = sts::assume_role(&sources.aws(&resolved.endpoints), &region, &base, &request).await;
    answer.map(|session| session.credentials).map_err(|error| explain(error.into(), role))
}

fn request(role: &AssumeRole, wall: Timestamp) -> sts::AssumeRole {
    let name = session_name(role.session_name.as_deref(), wall);
    let mut request = sts::AssumeRole::new(role.role_arn.clone(), name);
    request.duration = duration(role);
    request.external_id.clone_from(&role.external_id);
    let terms = role.terms.clone();
    request.policy = terms.policy;
    request.policy_arns = terms.policy_arns;
    request.tags = terms.tags;
    request.transitive_tags = terms.transitive_tags;
    request.source_identity = terms.source_identity;
    request
}

/// What AWS would refuse, and what we ask for instead; told when it is planned, not by a refusal.
pub(super) fn note(role: &AssumeRole) -> Option<String> {
    let wanted = role.duration.filter(|wanted| *wanted > LONGEST_CHAINED && is_chained(role))?;
    Some(format!(
        "profile `{}`: `duration_seconds = {}` is cut to 3600, because AWS gives a role that is assumed by a role no more \
         than an hour",
        role.profile,
        wanted.as_secs()
    ))
}

fn duration(role: &AssumeRole) -> Option<Duration> {
    if note(role).is_some() { Some(LONGEST_CHAINED) } else { role.duration }
}

/// Whether the keys that sign are a role's session themselves.
pub(super) fn is_chained(role: &AssumeRole) -> bool {
    let by_a_role = |named: &CredentialSource| *named != CredentialSource::Environment;
    match &role.from {
        RoleSource::Named(named) => by_a_role(named),
        RoleSource::Profile { source, .. } => match &**source {
            Source::Sso(_) | Source::AssumeRole(_) | Source::WebIdentity(_) | Source::RolesAnywhere(_) => true,
            Source::Named(named) => by_a_role(named),
            // Nobody knows what a command or the environment gives; a session of `GetSessionToken` is the user's own.
            Source::Static(_) | Source::Sealed(_) | Source::Process(_) | Source::SessionToken(_) => false,
        },
    }
}

fn explain(fault: Fault, role: &AssumeRole) -> Fault {
    let fault = match &role.mfa {
        Some(mfa) => mfa::explain(fault, mfa, &role.profile),
        None => fault,
    };
    if fault.hint.is_some() || fault.kind != Kind::Refused {
        return fault;
    }
    if fault.chain().contains("1 hour session limit") {
        return fault.hint("set `duration_seconds = 3600`: the keys below are a role's session themselves");
    }
    fault.hint(format!("see that `{}` trusts the identity behind profile `{}`", role.role_arn, role.profile))
}

/// The credentials that sign; another set is fetched when STS refuses them.
struct Base<'a> {
    sources: &'a Sources,
    resolved: &'a Resolved,
    source: Cow<'a, Source>,
    first: Arc<Credentials>,
}

impl<'a> Base<'a> {
    async fn new(sources: &'a Sources, resolved: &'a Resolved, role: &'a AssumeRole) -> Result<Self, Fault> {
        let source = match &role.from {
            RoleSource::Profile { source, .. } => Cow::Borrowed(&**source),
            RoleSource::Named(named) => Cow::Owned(Source::Named(*named)),
        };
        let first = Arc::new(sources.leased(resolved, &source, None).await?);
        Ok(Self { sources, resolved, source, first })
    }
}

impl Identity for Base<'_> {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.first))
    }

    fn renew<'b>(&'b self, rejected: &'b KeyId) -> BoxFuture<'b, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async move {
            let another = self.sources.leased(self.resolved, &self.source, Some(rejected)).await?;
            Ok(Arc::new(another))
        })
    }
}

#[cfg(test)]
mod tests {
    use bowline_awsfiles::Config;
    use bowline_awsfiles::Document;

    use super::*;

    fn role(text: &str) -> AssumeRole {
        let document = Document::parse(std::path::Path::new("config"), text.as_bytes()).unwrap();
        match Config::read(Some(&document), None).unwrap().resolve("top").unwrap() {
            Source::AssumeRole(role) => role,
            other => panic!("{other:?}"),
        }
    }

    const TOP: &str =
        "[profile top]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = base\nduration_seconds = 7200\n";

    #[test]
    fn a_chained_session_is_cut_to_an_hour_and_a_first_one_is_not() {
        let keys = "[profile base]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n";
        assert_eq!(duration(&role(&format!("{TOP}{keys}"))), Some(Duration::from_secs(7200)));
        let chain = "[profile base]\nrole_arn = arn:aws:iam::111122223333:role/y\nsource_profile = keys\n\
                     [profile keys]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n";
        let role = role(&format!("{TOP}{chain}"));
        assert_eq!(duration(&role), Some(Duration::from_secs(3600)));
        assert!(note(&role).unwrap().contains("`duration_seconds = 7200` is cut to 3600"));
    }
}
