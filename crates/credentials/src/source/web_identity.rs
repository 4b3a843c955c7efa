//! A role for a token in a file, which others write anew: IRSA, the tokens of CI systems. Read at each call.

use std::{fs, io::Read as _, time::Duration};

use bowline_aws::sts;
use bowline_awsfiles::WebIdentity;
use bowline_base::{Credentials, Fault, Kind, Retry, Secret};

use super::{Resolved, Sources, region, session_name::session_name};

/// No token is longer: STS takes 20,000 characters.
const MOST: u64 = 64 * 1024;
/// Whoever rewrites the file in place leaves it empty for no longer.
const MOMENT: Duration = Duration::from_secs(1);
/// How long after another failure the file is read again.
const AGAIN: Duration = Duration::from_secs(60);

pub(super) async fn credentials(
    sources: &Sources,
    resolved: &Resolved,
    role: &WebIdentity,
) -> Result<Credentials, Fault> {
    let request = sts::AssumeRoleWithWebIdentity {
        role_arn: role.role_arn.clone(),
        session_name: session_name(role.session_name.as_deref(), sources.wire().now().wall),
        token: token(role)?,
        duration: role.duration,
    };
    let region = region(role.region.as_deref().or(resolved.region.as_deref()))?;
    let answer = sts::assume_role_with_web_identity(&sources.aws(&resolved.endpoints), &region, &request).await;
    answer.map(|session| session.credentials).map_err(|error| {
        let code = error.code().map(str::to_owned);
        explain(error.into(), role, code.as_deref())
    })
}

fn token(role: &WebIdentity) -> Result<Secret, Fault> {
    let path = role.token_file.display();
    // Nobody tells us when it appears or may be read: look again.
    let fault = |kind, message| {
        Fault::new(kind, path.to_string(), message)
            .retry(Retry::After(AGAIN))
            .hint(format!("look at `ls -l {path}`: the token is written by others"))
    };
    let mut text = String::new();
    fs::File::open(&role.token_file)
        .and_then(|file| file.take(MOST).read_to_string(&mut text))
        .map_err(|cause| fault(Kind::Config, format!("cannot read the token file `{path}`")).cause(cause))?;
    let token = Secret::new(text.trim());
    if token.is_blank() {
        Err(fault(Kind::Unreachable, format!("the token file `{path}` is empty")).retry(Retry::After(MOMENT)))
    } else {
        Ok(token)
    }
}

fn explain(fault: Fault, role: &WebIdentity, code: Option<&str>) -> Fault {
    let path = role.token_file.display();
    if fault.kind != Kind::Refused {
        return fault;
    }
    // The file may hold a good token any moment, and nothing tells us: look again.
    let fault = fault.retry(Retry::After(AGAIN));
    match code {
        Some("ExpiredTokenException" | "ExpiredToken") => {
            fault.hint(format!("the token in `{path}` has ended: see why nobody writes a new one"))
        }
        Some("InvalidIdentityToken") => fault.hint(format!(
            "see that the account has an identity provider for the issuer of the token in `{path}`, with its audience"
        )),
        _ => fault.hint(format!("see that `{}` trusts the subject of the token in `{path}`", role.role_arn)),
    }
}
