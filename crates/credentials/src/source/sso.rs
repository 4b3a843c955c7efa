//! A role of IAM Identity Center: the session's token, traded at the portal for the role's credentials.

use bowline_aws::sso::{RoleOf, role_credentials};
use bowline_awsfiles::{SsoKey, SsoRole};
use bowline_base::{Credentials, Fault, Kind};

use super::{Resolved, Sources, region};
use crate::sso_token::session_name;

pub(super) async fn credentials(sources: &Sources, resolved: &Resolved, role: &SsoRole) -> Result<Credentials, Fault> {
    fetch(sources, resolved, role).await.map_err(|fault| match &role.login.key {
        // An old profile has no session whose name could be typed.
        SsoKey::Legacy(_) if fault.kind == Kind::LoginRequired => {
            fault.hint(format!("run `bowline login {}`", resolved.profile))
        }
        _ => fault,
    })
}

/// A 401 may come hours before the token's written end, when somebody ended the session: one refresh, then a login.
async fn fetch(sources: &Sources, resolved: &Resolved, role: &SsoRole) -> Result<Credentials, Fault> {
    let aws = sources.aws(&resolved.endpoints);
    let region = region(Some(&role.login.region))?;
    let wanted = RoleOf { account_id: role.account_id.clone(), role_name: role.role_name.clone() };
    let tokens = sources.tokens();
    let token = tokens.usable(&aws, &role.login, None).await?;
    match role_credentials(&aws, &region, &token.access_token, &wanted).await {
        Err(error) if error.is_unauthorized() => {}
        answer => return answer.map_err(|error| explain(error.into(), role)),
    }
    let renewed = tokens.usable(&aws, &role.login, Some(&token.access_token)).await?;
    match role_credentials(&aws, &region, &renewed.access_token, &wanted).await {
        Err(error) if error.is_unauthorized() => Err(tokens.dead(&role.login, &renewed, error).await),
        answer => answer.map_err(|error| explain(error.into(), role)),
    }
}

fn explain(fault: Fault, role: &SsoRole) -> Fault {
    if fault.hint.is_some() || fault.kind != Kind::Refused {
        return fault;
    }
    let session = session_name(&role.login);
    let place = format!("account `{}` and role `{}`", role.account_id, role.role_name);
    fault.hint(format!("ask who manages `{session}` for {place}, and look whether `sso_region` is right"))
}
