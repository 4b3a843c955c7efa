//! Credentials as environment variables, with what would shadow them taken away: a child has exactly one source.

use std::{collections::BTreeMap, ffi::OsString};

use bowline_base::{Credentials, Fault, Secret, Timestamp, utc};

use super::{Shell, refuse_ended};

/// Every variable that we may set, and the old names beside them.
const OURS: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCOUNT_ID",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
];

/// What would make a tool look elsewhere first, or show it a set that is not ours.
const SHADOWS: [&str; 3] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN"];

/// Other sources that a child must not see.
const OTHER_SOURCES: [&str; 7] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
];

/// What to set and what to take away, in the order in which it is written.
#[derive(Clone, Debug)]
pub struct Variables {
    set: Vec<(&'static str, Secret)>,
    unset: Vec<&'static str>,
}

impl Variables {
    /// The variables for `credentials`, with `region` where the profile has one.
    ///
    /// # Errors
    /// `Unreachable` for a set that has ended at `now`.
    pub fn of(credentials: &Credentials, region: Option<&str>, now: Timestamp) -> Result<Self, Fault> {
        refuse_ended(credentials, now)?;
        let mut set = vec![
            ("AWS_ACCESS_KEY_ID", Secret::new(credentials.key_id.as_str())),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_key.clone()),
        ];
        set.extend(credentials.session_token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        set.extend(credentials.expires_at.map(|end| ("AWS_CREDENTIAL_EXPIRATION", Secret::new(utc(end)))));
        set.extend(credentials.account_id.as_deref().map(|account| ("AWS_ACCOUNT_ID", Secret::new(account))));
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            set.extend(region.map(|region| (name, Secret::new(region))));
        }
        // A token that a former set left behind would go with the new key.
        let left_over = OURS[..5].iter().filter(|name| set.iter().all(|(known, _)| known != *name));
        let unset = SHADOWS.iter().chain(left_over).copied().collect();
        Ok(Self { set, unset })
    }

    /// Takes away everything that [`Variables::of`] may have set.
    #[must_use]
    pub fn removal() -> Self {
        Self { set: Vec::new(), unset: OURS.iter().chain(&SHADOWS).copied().collect() }
    }

    /// The text to be evaluated by `shell`, or to be read as a file of it; ends with a newline.
    #[must_use]
    pub fn text(&self, shell: Shell) -> Secret {
        shell.render(&self.set, &self.unset)
    }
}

/// The environment of a child that gets `credentials` and no other source of any.
///
/// # Errors
/// `Unreachable` for a set that has ended at `now`.
pub fn child_environment(
    parent: impl IntoIterator<Item = (OsString, OsString)>,
    credentials: &Credentials,
    region: Option<&str>,
    now: Timestamp,
) -> Result<BTreeMap<OsString, OsString>, Fault> {
    let variables = Variables::of(credentials, region, now)?;
    let mut child: BTreeMap<OsString, OsString> = parent.into_iter().collect();
    for name in variables.unset.iter().chain(&OTHER_SOURCES) {
        child.remove(OsString::from(name).as_os_str());
    }
    for (name, value) in &variables.set {
        child.insert(OsString::from(name), OsString::from(value.expose()));
    }
    Ok(child)
}

/// The environment of a child whose one source is an endpoint: `exports` are its address and where its token is.
#[must_use]
pub fn endpoint_environment(
    parent: impl IntoIterator<Item = (OsString, OsString)>,
    exports: &[(&'static str, String)],
    region: Option<&str>,
) -> BTreeMap<OsString, OsString> {
    let mut child: BTreeMap<OsString, OsString> = parent.into_iter().collect();
    for name in OURS[..5].iter().chain(&SHADOWS).chain(&OTHER_SOURCES) {
        child.remove(OsString::from(name).as_os_str());
    }
    let regions = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(|name| Some((name, region?.to_owned())));
    for (name, value) in exports.iter().cloned().chain(regions) {
        child.insert(OsString::from(name), OsString::from(value));
    }
    child
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, credentials},
        *,
    };

    #[test]
    fn a_child_sees_one_source_only() {
        let parent =
            ["PATH", "AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_REGION"]
                .map(|name| (OsString::from(name), OsString::from("parent")));
        let child = child_environment(parent, &credentials(), Some("eu-central-1"), at()).unwrap();
        let names: Vec<&str> = child.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_ACCOUNT_ID",
                "AWS_CREDENTIAL_EXPIRATION",
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "PATH",
            ]
        );
        assert_eq!(child[&OsString::from("AWS_REGION")], "eu-central-1");
    }

    #[test]
    fn a_region_of_the_parent_stays_where_the_profile_has_none() {
        let parent = [(OsString::from("AWS_REGION"), OsString::from("us-west-2"))];
        let child = child_environment(parent, &credentials(), None, at()).unwrap();
        assert_eq!(child[&OsString::from("AWS_REGION")], "us-west-2");
    }

    #[test]
    fn the_token_of_a_former_set_is_taken_away() {
        let keys = Credentials { session_token: None, expires_at: None, ..credentials() };
        let text = Variables::of(&keys, None, at()).unwrap().text(Shell::Posix);
        assert!(text.expose().contains("unset AWS_SESSION_TOKEN;\n"), "{}", text.expose());
    }
}
