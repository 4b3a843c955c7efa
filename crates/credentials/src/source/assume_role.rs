//! A role assumed with other credentials. The base comes through the lease store too, so a chain shares its base.

use std::{sync::Arc, time::Duration};

use bowline_aws::sts;
use bowline_awsfiles::{AssumeRole, CredentialSource, RoleSource, Source};
use bowline_base::{BoxFuture, Credentials, Fault, Identity, KeyId, Kind, Unavailable};
use tracing::info;

use super::{Resolved, Sources, fixed, region, unsupported};

/// AWS gives a session that was made with another session at most an hour.
const LONGEST_CHAINED: Duration = Duration::from_secs(3600);

pub(super) async fn credentials(
    sources: &Sources,
    resolved: &Resolved,
    role: &AssumeRole,
) -> Result<Credentials, Fault> {
    if role.mfa_serial.is_some() {
        return Err(unsupported(&role.profile, "mfa_serial"));
    }
    let base = Base::new(sources, resolved, role).await?;
    let wall = sources.wire().now().wall;
    let session_name = role.session_name.clone().unwrap_or_else(|| format!("bowline-{}", wall.as_second()));
    let mut request = sts::AssumeRole::new(role.role_arn.clone(), session_name);
    request.duration = clamped(role);
    request.external_id.clone_from(&role.external_id);
    let region = region(role.region.as_deref().or(resolved.region.as_deref()))?;
    let answer = sts::assume_role(&sources.aws(&resolved.endpoints), &region, &base, &request).await;
    answer.map(|session| session.credentials).map_err(|error| explain(error.into(), role))
}

/// A longer session would be refused; which of the two is wrong is told when it is planned, not by a refusal.
fn clamped(role: &AssumeRole) -> Option<Duration> {
    let chained = match &role.from {
        RoleSource::Profile { source, .. } => {
            matches!(
                **source,
                Source::Sso(_) | Source::AssumeRole(_) | Source::WebIdentity(_) | Source::RolesAnywhere(_)
            )
        }
        RoleSource::Named(_) => false,
    };
    let wanted = role.duration?;
    if chained && wanted > LONGEST_CHAINED {
        info!(
            profile = role.profile,
            "`duration_seconds` is cut to an hour: AWS gives no more to a role assumed by a role"
        );
        return Some(LONGEST_CHAINED);
    }
    Some(wanted)
}

fn explain(fault: Fault, role: &AssumeRole) -> Fault {
    if fault.hint.is_some() || fault.kind != Kind::Refused {
        return fault;
    }
    fault.hint(format!("see that `{}` trusts the identity behind profile `{}`", role.role_arn, role.profile))
}

/// The credentials that sign; another set is fetched when STS refuses them.
struct Base<'a> {
    sources: &'a Sources,
    resolved: &'a Resolved,
    source: Option<&'a Source>,
    first: Arc<Credentials>,
}

impl<'a> Base<'a> {
    async fn new(sources: &'a Sources, resolved: &'a Resolved, role: &'a AssumeRole) -> Result<Self, Fault> {
        let (source, first) = match &role.from {
            RoleSource::Profile { source, .. } => (Some(&**source), sources.leased(resolved, source, None).await?),
            RoleSource::Named(CredentialSource::Environment) => (None, of_environment(sources, role)?),
            RoleSource::Named(CredentialSource::EcsContainer) => {
                return Err(unsupported(&role.profile, "credential_source = EcsContainer"));
            }
            RoleSource::Named(CredentialSource::Ec2InstanceMetadata) => {
                return Err(unsupported(&role.profile, "credential_source = Ec2InstanceMetadata"));
            }
        };
        Ok(Self { sources, resolved, source, first: Arc::new(first) })
    }
}

fn of_environment(sources: &Sources, role: &AssumeRole) -> Result<Credentials, Fault> {
    let wall = sources.wire().now().wall;
    fixed::from_environment(&sources.setup().environment, wall).ok_or_else(|| {
        let message = format!("profile `{}`: there are no keys in the environment", role.profile);
        Fault::new(Kind::Config, "environment", message).hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    })
}

impl Identity for Base<'_> {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.first))
    }

    fn renew<'b>(&'b self, rejected: &'b KeyId) -> BoxFuture<'b, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async move {
            let Some(source) = self.source else { return Ok(Arc::clone(&self.first)) };
            let another = self.sources.leased(self.resolved, source, Some(rejected)).await?;
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
        assert_eq!(clamped(&role(&format!("{TOP}{keys}"))), Some(Duration::from_secs(7200)));
        let chain = "[profile base]\nrole_arn = arn:aws:iam::111122223333:role/y\nsource_profile = keys\n\
                     [profile keys]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n";
        assert_eq!(clamped(&role(&format!("{TOP}{chain}"))), Some(Duration::from_secs(3600)));
    }
}
