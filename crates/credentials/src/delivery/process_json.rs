//! What `credential_process` prints: exactly one JSON object.

use bowline_base::{Credentials, Fault, Kind, Secret, Timestamp, utc};
use serde::Serialize;
use zeroize::Zeroizing;

use super::refuse_ended;

/// `{"Version":1,"AccessKeyId":…,"SecretAccessKey":…,"SessionToken":…,"Expiration":"…Z","AccountId":…}`, in that
/// order, without what is not known. No newline.
///
/// # Errors
/// `Unreachable` for a set that has ended at `now`.
pub fn process_json(credentials: &Credentials, now: Timestamp) -> Result<Secret, Fault> {
    refuse_ended(credentials, now)?;
    let document = Document {
        version: 1,
        access_key_id: credentials.key_id.as_str(),
        secret_access_key: credentials.secret_key.expose(),
        session_token: credentials.session_token.as_ref().map(Secret::expose),
        expiration: credentials.expires_at.map(utc),
        account_id: credentials.account_id.as_deref(),
    };
    // It never moves while it is written, and so leaves no copy of a key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(document.room()));
    serde_json::to_writer(&mut *text, &document).map_err(|cause| {
        Fault::new(Kind::Bug, "credentials", "the credentials cannot be written as JSON").cause(cause)
    })?;
    String::from_utf8(std::mem::take(&mut *text)).map(Secret::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        Fault::new(Kind::Bug, "credentials", "JSON is always text")
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

impl Document<'_> {
    /// Names and marks, and every character of the values as six (`\u0000`).
    fn room(&self) -> usize {
        let values = [Some(self.access_key_id), Some(self.secret_access_key), self.session_token, self.account_id];
        512 + 6 * values.into_iter().flatten().map(str::len).sum::<usize>()
    }
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
