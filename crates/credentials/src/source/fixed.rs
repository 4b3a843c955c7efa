//! Keys that stand in a file or in the environment: they never end and are never fetched.

use std::collections::BTreeMap;

use bowline_awsfiles::StaticKeys;
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret, Timestamp, parse_timestamp};

pub(super) fn credentials(keys: &StaticKeys, now: Timestamp) -> Credentials {
    Credentials {
        key_id: keys.key_id.clone(),
        secret_key: keys.secret_key.clone(),
        session_token: keys.session_token.clone(),
        expires_at: None,
        obtained_at: now,
        account_id: keys.account_id.clone(),
    }
}

/// `AWS_ACCESS_KEY_ID` and its companions, as botocore reads them: the old name of the token wins.
pub(super) fn from_environment(environment: &BTreeMap<String, String>, now: Timestamp) -> Result<Credentials, Fault> {
    let text = |name: &str| environment.get(name).filter(|text| !text.is_empty());
    let (Some(key_id), Some(secret_key)) = (text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY")) else {
        return Err(Fault::new(Kind::Config, "environment", "there are no keys in the environment")
            .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
    };
    let expires_at = match text("AWS_CREDENTIAL_EXPIRATION") {
        Some(end) => Some(parse_timestamp(end).map_err(|cause| {
            Fault::new(Kind::Config, "environment", "AWS_CREDENTIAL_EXPIRATION is no time")
                .hint("run `unset AWS_CREDENTIAL_EXPIRATION`")
                .cause(cause)
        })?),
        None => None,
    };
    let found = Credentials {
        key_id: KeyId::new(key_id),
        secret_key: Secret::new(secret_key),
        session_token: text("AWS_SECURITY_TOKEN").or_else(|| text("AWS_SESSION_TOKEN")).map(Secret::new),
        expires_at,
        obtained_at: now,
        account_id: text("AWS_ACCOUNT_ID").cloned(),
    };
    if found.usable_at(now) {
        return Ok(found);
    }
    Err(Fault::new(Kind::LoginRequired, "environment", "the keys in the environment have ended")
        .hint("run `eval \"$(bowline env --unset)\"`, or set them anew"))
}
