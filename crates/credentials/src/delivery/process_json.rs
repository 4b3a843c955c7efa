//! What `credential_process` prints: exactly one JSON object.

use bowline_base::{Credentials, Fault, Secret, Timestamp, utc};
use serde_json::{Map, Value};

use super::refuse_ended;

/// `{"Version":1,"AccessKeyId":…,"SecretAccessKey":…,"SessionToken":…,"Expiration":"…Z","AccountId":…}`, in that
/// order, without what is not known. No newline.
///
/// # Errors
/// `Unreachable` for a set that has ended at `now`.
pub fn process_json(credentials: &Credentials, now: Timestamp) -> Result<Secret, Fault> {
    refuse_ended(credentials, now)?;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("Version", 1.into());
    put("AccessKeyId", credentials.key_id.as_str().into());
    put("SecretAccessKey", credentials.secret_key.expose().into());
    if let Some(token) = &credentials.session_token {
        put("SessionToken", token.expose().into());
    }
    if let Some(end) = credentials.expires_at {
        put("Expiration", utc(end).into());
    }
    if let Some(account) = &credentials.account_id {
        put("AccountId", account.as_str().into());
    }
    Ok(Secret::new(Value::Object(object).to_string()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, credentials},
        *,
    };

    #[test]
    fn the_document_is_exactly_what_sdks_read() {
        let mut plain = credentials();
        plain.secret_key = Secret::new("s/+");
        plain.session_token = Some(Secret::new("t="));
        let expected = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s/+","SessionToken":"t=","Expiration":"2027-01-15T09:00:00Z","AccountId":"111122223333"}"#;
        assert_eq!(process_json(&plain, at()).unwrap().expose(), expected);
    }

    #[test]
    fn long_lived_keys_have_no_token_and_no_end() {
        let keys = Credentials {
            secret_key: Secret::new("s"),
            session_token: None,
            expires_at: None,
            account_id: None,
            ..credentials()
        };
        let expected = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s"}"#;
        assert_eq!(process_json(&keys, at()).unwrap().expose(), expected);
    }

    #[test]
    fn an_ended_set_is_refused() {
        let end = credentials().expires_at.unwrap();
        assert!(process_json(&credentials(), end).unwrap_err().message.contains("ended at 2027-01-15T09:00:00Z"));
    }
}
