//! `GetSessionToken`: long-lived keys and the code of an MFA device, traded for a session that knows of the device.

use bowline_aws::sts;
use bowline_awsfiles::{LongLivedKeys, SessionToken};
use bowline_base::{Credentials, Fault, FixedIdentity};

use super::{Resolved, Sources, fixed, region, sealed};
use crate::mfa;

pub(super) async fn credentials(
    sources: &Sources,
    resolved: &Resolved,
    session: &SessionToken,
) -> Result<Credentials, Fault> {
    let keys = FixedIdentity::new(match &session.keys {
        LongLivedKeys::Plain(keys) => fixed::credentials(keys, sources.wire().now().wall)?,
        LongLivedKeys::Sealed(keys) => sealed::credentials(sources, keys).await?,
    });
    let request = sts::GetSessionToken {
        duration: session.duration,
        serial_number: Some(session.mfa.serial.clone()),
        token_code: Some(mfa::code(sources, &session.mfa, &session.profile).await?),
    };
    let region = region(session.region.as_deref().or(resolved.region.as_deref()))?;
    let answer = sts::session_token(&sources.aws(&resolved.endpoints), &region, &keys, &request).await;
    let credentials = answer.map_err(|error| mfa::explain(error.into(), &session.mfa, &session.profile))?;
    Ok(Credentials { account_id: session.keys.account_id().cloned(), ..credentials })
}
