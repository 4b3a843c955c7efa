//! Keys that stand in a file or in the environment: never fetched, and handed out until their end, if they name one.

use std::collections::BTreeMap;

use bowline_awsfiles::StaticKeys;
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret, Timestamp, parse_timestamp, utc};

pub(super) fn credentials(keys: &StaticKeys, now: Timestamp) -> Result<Credentials, Fault> {
    let found = Credentials {
        key_id: keys.key_id.clone(),
        secret_key: keys.secret_key.clone(),
        session_token: keys.session_token.clone(),
        expires_at: keys.expires_at,
        obtained_at: now,
        account_id: keys.account_id.clone(),
    };
    if found.usable_at(now) {
        return Ok(found);
    }
    let end = found.expires_at.map(utc).unwrap_or_default();
    Err(Fault::new(Kind::LoginRequired, "files", format!("the session at {} ended at {end}", keys.origin))
        .hint("run again what wrote it: `bowline users refresh NAME`, `bowline write PROFILE`, `iam-sorry NAME`"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_awsfiles::{Config, Document, Source};

    #[test]
    fn what_has_ended_is_not_handed_out() {
        let text = "[one]\naws_access_key_id = ASIA1\naws_secret_access_key = s\naws_session_token = t\n\
                    expiration = 2026-01-02T03:04:05+00:00\n";
        let file = Document::parse("credentials".as_ref(), text.as_bytes()).unwrap();
        let Ok(Source::Static(keys)) = Config::read(None, Some(&file)).unwrap().resolve("one") else {
            panic!("{text}")
        };
        let at = |text: &str| credentials(&keys, parse_timestamp(text).unwrap());
        assert_eq!(at("2026-01-02T03:04:04Z").unwrap().expires_at, keys.expires_at);
        let ended = at("2026-01-02T03:04:05Z").unwrap_err();
        assert_eq!(ended.kind, Kind::LoginRequired);
        assert!(ended.message.ends_with("credentials:2 ended at 2026-01-02T03:04:05Z"), "{}", ended.message);
    }
}
