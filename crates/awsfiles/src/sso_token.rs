//! An SSO token as the AWS CLI writes it, and the client registration that rides along.
//!
//! Pure: text in, values out. Files are the business of [`SsoCache`](crate::SsoCache).

use std::{fmt, time::Duration};

use base::{Secret, Timestamp, parse_timestamp, utc};
use bowline_base as base;
use serde_json::{Map, Value};

/// A registration that ends sooner than this is not worth a new sign-in; the AWS CLI has the same margin.
const REGISTRATION_MARGIN: Duration = Duration::from_secs(15 * 60);

/// When we got the token: our own field, which other tools leave alone or drop.
const OBTAINED_AT: &str = "bowlineObtainedAt";

/// The token of one sign-in session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoToken {
    /// `startUrl`, as it was when the token was made.
    pub start_url: Option<String>,
    /// `region`, as it was when the token was made.
    pub region: Option<String>,
    /// `accessToken`.
    pub access_token: Secret,
    /// `expiresAt`.
    pub expires_at: Timestamp,
    /// `refreshToken`: may change with every renewal.
    pub refresh_token: Option<Secret>,
    /// `clientId`, `clientSecret` and `registrationExpiresAt`, if all three are there.
    pub registration: Option<Registration>,
    /// When the token was obtained; absent if another tool wrote it.
    pub obtained_at: Option<Timestamp>,
    /// Whatever else stands in the file.
    pub extra: Extra,
}

/// A client that IAM Identity Center knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `clientId`.
    pub client_id: String,
    /// `clientSecret`.
    pub client_secret: Secret,
    /// `expiresAt`, or `registrationExpiresAt` inside a token.
    pub expires_at: Timestamp,
    /// `scopes`; empty inside a token, which does not tell.
    pub scopes: Vec<String>,
    /// `grantTypes`; empty inside a token, which does not tell.
    pub grant_types: Vec<String>,
}

/// Fields of other tools, kept as they are. `Debug` shows their names only: a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(pub Map<String, Value>);

/// Why a JSON text is no token or no registration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it is empty")]
    Empty,
    #[error("it is no JSON from line {line}, column {column}, on")]
    NotJson { line: usize, column: usize },
    #[error("it is JSON, but has no text in `{0}`")]
    Lacks(&'static str),
    #[error("`{0}` is not a time like 2026-11-22T02:02:03Z")]
    BadTime(&'static str),
}

impl SsoToken {
    /// Whether the portal still takes it at `now`, as far as the file knows.
    #[must_use]
    pub fn usable_at(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether it can be renewed at `now` without a person.
    #[must_use]
    pub fn renewable_at(&self, now: Timestamp) -> bool {
        let registered = self.registration.as_ref().is_some_and(|registration| now < registration.expires_at);
        registered && self.refresh_token.as_ref().is_some_and(|token| !token.is_blank())
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, Unfit> {
        let mut fields = object(text)?;
        let access_token = required(&mut fields, "accessToken")?;
        let expires_at = time(&required(&mut fields, "expiresAt")?, "expiresAt")?;
        let obtained_at = fields.get(OBTAINED_AT).and_then(Value::as_str).and_then(|text| parse_timestamp(text).ok());
        fields.shift_remove(OBTAINED_AT);
        Ok(Self {
            start_url: take(&mut fields, "startUrl"),
            region: take(&mut fields, "region"),
            access_token: Secret::new(access_token),
            expires_at,
            refresh_token: take(&mut fields, "refreshToken").map(Secret::new),
            registration: inner_registration(&mut fields),
            obtained_at,
            extra: Extra(fields),
        })
    }

    pub(crate) fn to_json(&self) -> Secret {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Option<String>| value.map(|value| fields.insert(key.to_owned(), value.into()));
        put("startUrl", self.start_url.clone());
        put("region", self.region.clone());
        put("accessToken", Some(self.access_token.expose().to_owned()));
        put("expiresAt", Some(utc(self.expires_at)));
        if let Some(registration) = &self.registration {
            put("clientId", Some(registration.client_id.clone()));
            put("clientSecret", Some(registration.client_secret.expose().to_owned()));
            put("registrationExpiresAt", Some(utc(registration.expires_at)));
        }
        put("refreshToken", self.refresh_token.as_ref().map(|token| token.expose().to_owned()));
        put(OBTAINED_AT, self.obtained_at.map(utc));
        for (key, value) in &self.extra.0 {
            fields.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Secret::new(Value::Object(fields).to_string())
    }
}

impl Registration {
    /// Whether a sign-in that starts at `now` may use it.
    #[must_use]
    pub fn usable_at(&self, now: Timestamp) -> bool {
        now.checked_add(REGISTRATION_MARGIN).is_ok_and(|end| end < self.expires_at)
    }

    /// Whether it may be used for `grant_type`, as far as is known.
    #[must_use]
    pub fn may_grant(&self, grant_type: &str) -> bool {
        self.grant_types.is_empty() || self.grant_types.iter().any(|known| known == grant_type)
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, Unfit> {
        let mut fields = object(text)?;
        Ok(Self {
            client_id: required(&mut fields, "clientId")?,
            client_secret: Secret::new(required(&mut fields, "clientSecret")?),
            expires_at: time(&required(&mut fields, "expiresAt")?, "expiresAt")?,
            scopes: list(fields.get("scopes")),
            grant_types: list(fields.get("grantTypes")),
        })
    }

    pub(crate) fn to_json(&self) -> Secret {
        let mut fields = Map::new();
        fields.insert("clientId".to_owned(), self.client_id.clone().into());
        fields.insert("clientSecret".to_owned(), self.client_secret.expose().into());
        fields.insert("expiresAt".to_owned(), utc(self.expires_at).into());
        fields.insert("scopes".to_owned(), self.scopes.clone().into());
        fields.insert("grantTypes".to_owned(), self.grant_types.clone().into());
        Secret::new(Value::Object(fields).to_string())
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn object(text: &str) -> Result<Map<String, Value>, Unfit> {
    if text.trim().is_empty() {
        return Err(Unfit::Empty);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Unfit::Lacks("accessToken")),
        Err(error) => Err(Unfit::NotJson { line: error.line(), column: error.column() }),
    }
}

/// Takes a text out of `fields`; anything else stays, to be kept as it is.
fn take(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    if !fields.get(key)?.is_string() {
        return None;
    }
    match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn required(fields: &mut Map<String, Value>, key: &'static str) -> Result<String, Unfit> {
    take(fields, key).filter(|text| !text.trim().is_empty()).ok_or(Unfit::Lacks(key))
}

fn time(text: &str, key: &'static str) -> Result<Timestamp, Unfit> {
    parse_timestamp(text).map_err(|_| Unfit::BadTime(key))
}

/// All three fields or none: half a registration stays among the extra fields.
fn inner_registration(fields: &mut Map<String, Value>) -> Option<Registration> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let expires_at = parse_timestamp(text("registrationExpiresAt")?).ok()?;
    if text("clientId").is_none() || text("clientSecret").is_none() {
        return None;
    }
    fields.shift_remove("registrationExpiresAt");
    Some(Registration {
        client_id: take(fields, "clientId")?,
        client_secret: Secret::new(take(fields, "clientSecret")?),
        expires_at,
        scopes: Vec::new(),
        grant_types: Vec::new(),
    })
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: &str = r#"{"startUrl":"https://a/start","region":"eu-west-1","accessToken":"AT","expiresAt":"2026-11-22T01:39:17Z","clientId":"CI","clientSecret":"CS","registrationExpiresAt":"2027-02-20T01:39:17Z","refreshToken":"RT","bowlineObtainedAt":"2026-11-22T00:39:17Z","toolkit":{"x":[1,null]}}"#;

    fn token(text: &str) -> SsoToken {
        SsoToken::from_json(text).unwrap()
    }

    #[test]
    fn a_token_comes_back_with_every_field_of_other_tools() {
        let read = token(FULL);
        assert_eq!(read.registration.as_ref().unwrap().client_id, "CI");
        assert_eq!(read.to_json().expose(), FULL);
    }

    #[test]
    fn all_three_forms_of_time_are_read_and_the_first_is_written() {
        for form in ["2026-11-22T01:39:17Z", "2026-11-22T01:39:17.000Z", "2026-11-22T01:39:17UTC"] {
            let text = format!(r#"{{"accessToken":"AT","expiresAt":"{form}"}}"#);
            assert_eq!(token(&text).to_json().expose(), r#"{"accessToken":"AT","expiresAt":"2026-11-22T01:39:17Z"}"#);
        }
    }

    #[test]
    fn what_is_no_token_is_told_apart_and_shows_no_secret() {
        let unfit = |text: &str| SsoToken::from_json(text).unwrap_err();
        assert_eq!(unfit(" \n"), Unfit::Empty);
        assert_eq!(unfit(r#"{"accessToken":"hunter2""#), Unfit::NotJson { line: 1, column: 24 });
        assert_eq!(unfit(&format!("{FULL}}}\"}}")), Unfit::NotJson { line: 1, column: FULL.len() + 1 });
        assert_eq!(unfit(r#"{"clientIdHash":"x"}"#), Unfit::Lacks("accessToken"));
        assert_eq!(unfit(r#"{"accessToken":7,"expiresAt":"x"}"#), Unfit::Lacks("accessToken"));
        assert_eq!(unfit(r#"{"accessToken":" ","expiresAt":"x"}"#), Unfit::Lacks("accessToken"));
        assert_eq!(unfit(r#"{"accessToken":"hunter2"}"#), Unfit::Lacks("expiresAt"));
        assert_eq!(unfit("[1]"), Unfit::Lacks("accessToken"));
        let soon = unfit(r#"{"accessToken":"hunter2","expiresAt":"soon"}"#);
        assert_eq!(soon, Unfit::BadTime("expiresAt"));
        assert!(!soon.to_string().contains("hunter2"));
    }

    #[test]
    fn half_a_registration_is_kept_but_not_used() {
        let text = r#"{"accessToken":"AT","expiresAt":"2026-11-22T01:39:17Z","clientId":"CI","refreshToken":"RT"}"#;
        let read = token(text);
        assert_eq!(read.registration, None);
        assert!(!read.renewable_at(Timestamp::UNIX_EPOCH));
        assert_eq!(token(read.to_json().expose()), read);
        assert!(read.to_json().expose().contains(r#""clientId":"CI""#));
    }

    #[test]
    fn a_token_is_renewable_until_its_registration_ends() {
        let read = token(FULL);
        let end = read.registration.as_ref().unwrap().expires_at;
        assert!(read.renewable_at(end - Duration::from_secs(1)) && !read.renewable_at(end));
        assert!(read.usable_at(read.expires_at - Duration::from_secs(1)) && !read.usable_at(read.expires_at));
        assert!(!SsoToken { refresh_token: None, ..read }.renewable_at(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_registration_serves_a_sign_in_until_fifteen_minutes_before_its_end() {
        let read = token(FULL).registration.unwrap();
        let end = read.expires_at;
        assert!(read.usable_at(end - Duration::from_secs(901)) && !read.usable_at(end - Duration::from_secs(900)));
        assert!(read.may_grant("refresh_token"));
        let device = Registration { grant_types: vec!["device".into()], ..read };
        assert!(device.may_grant("device") && !device.may_grant("authorization_code"));
    }

    #[test]
    fn debug_shows_no_secret_not_even_an_unknown_one() {
        let text = FULL.replace(r#"{"x":[1,null]}"#, r#""hunter2""#);
        let shown = format!("{:?}", token(&text));
        assert!(shown.contains("toolkit"), "{shown}");
        for secret in ["hunter2", "\"AT\"", "\"CS\"", "\"RT\""] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_is_refused_and_never_panics(cut in 0..FULL.len()) {
            prop_assert!(SsoToken::from_json(&FULL[..cut]).is_err());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            SsoToken::from_json(&text).ok();
            Registration::from_json(&text).ok();
        }
    }
}
