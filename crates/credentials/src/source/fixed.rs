//! Keys that stand in a file or in the environment: they never end and are never fetched.

use std::collections::BTreeMap;

use bowline_awsfiles::StaticKeys;
use bowline_base::{Credentials, KeyId, Secret, Timestamp};

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

/// `AWS_ACCESS_KEY_ID` and its companions; `None` unless both halves of the key are there.
pub(super) fn from_environment(environment: &BTreeMap<String, String>, now: Timestamp) -> Option<Credentials> {
    let text = |name: &str| environment.get(name).filter(|text| !text.is_empty());
    Some(Credentials {
        key_id: KeyId::new(text("AWS_ACCESS_KEY_ID")?),
        secret_key: Secret::new(text("AWS_SECRET_ACCESS_KEY")?),
        session_token: text("AWS_SESSION_TOKEN").map(Secret::new),
        expires_at: None,
        obtained_at: now,
        account_id: None,
    })
}
