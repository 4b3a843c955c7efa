//! What can be set: lifetimes, strictness and the shape of the world, from the program or as JSON.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bowline_base::{Secret, units};
use jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::{VpnManners, accounts::Account};

/// When a token answer leaves out the refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OmitRefresh {
    /// A client that may refresh always gets one.
    #[default]
    Never,
    /// The answer to a refresh has none; the token that was used stays good.
    OnRefresh,
    /// Not even a login gets one.
    Always,
}

/// Everything that can be set, at the start and while running.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Region of SSO, and the default of buckets.
    pub region: String,
    /// Accounts and the roles that the one SSO user has in them.
    pub accounts: Vec<Account>,
    /// The only start URL that device authorization takes; `None` takes any.
    pub start_url: Option<String>,
    /// How long after it began a login is approved by itself; `None` waits for a person (or [`crate::Cloud::approve`]).
    pub approve_after: Option<Duration>,
    /// The polling interval that device authorization asks for; whole seconds.
    pub poll_interval: Duration,
    /// Life of a device code and of an authorization code.
    pub device_code_lifetime: Duration,
    /// Life of an SSO access token; never past the end of its session.
    pub access_token_lifetime: Duration,
    /// Life of an SSO session; no refresh after it.
    pub session_lifetime: Duration,
    /// Life of a client registration.
    pub registration_lifetime: Duration,
    /// Life of what `GetRoleCredentials` gives.
    pub role_lifetime: Duration,
    /// Life of what STS gives, whatever `DurationSeconds` says; `None` obeys `DurationSeconds`.
    pub sts_lifetime: Option<Duration>,
    /// Life of what `CreateSession` of Roles Anywhere gives, whatever `durationSeconds` says; `None` obeys it.
    pub anywhere_lifetime: Option<Duration>,
    /// The certificates, PEM, that trust anchors of Roles Anywhere stand for.
    pub trust_anchors: Vec<String>,
    /// Profiles of Roles Anywhere take a `roleSessionName`.
    pub accept_role_session_name: bool,
    /// Each refresh gives a new refresh token and ends the old one.
    pub rotate_refresh_tokens: bool,
    /// Using a refresh token twice ends its whole session.
    pub revoke_on_reuse: bool,
    /// When refresh tokens are left out of answers.
    pub omit_refresh_token: OmitRefresh,
    /// New keys are unknown to STS and S3 for this long; what IAM is told is seen by readers, IAM's own too, after it.
    pub propagation_delay: Duration,
    /// IAM gives at most so many items a page, however many are asked for.
    pub largest_iam_page: usize,
    /// How far the server's clock is ahead (or, negative, behind).
    pub clock_skew: SignedDuration,
    /// How far a signature's time may be from the server's clock.
    pub signature_window: Duration,
    /// Tokens that `AssumeRoleWithWebIdentity` takes.
    pub web_identity_tokens: Vec<Secret>,
    /// Names of roles that may not be assumed.
    pub denied_roles: Vec<String>,
    /// Names of roles that are assumed with an MFA device only.
    pub mfa_roles: Vec<String>,
    /// MFA devices by serial number, and the codes that each takes, every code once.
    pub mfa_devices: BTreeMap<String, Vec<String>>,
    /// What the container endpoint wants as `Authorization`; `None` wants nothing.
    pub container_token: Option<Secret>,
    /// The role of the container endpoint.
    pub task_role: String,
    /// The role of the instance; `None`: it has none.
    pub instance_role: Option<String>,
    /// The metadata service answers without a token too.
    pub imds_v1: bool,
    /// The metadata service gives no tokens (403).
    pub imds_v1_only: bool,
    /// How EC2 behaves with VPNs.
    pub vpn: VpnManners,
    /// A file (0600) to which every secret is appended when it is issued, one a line. Read at the start only.
    pub secret_ledger: Option<PathBuf>,
    /// Start of the sequence that secrets are drawn from; `None` takes the time of the start. Read at the start only.
    pub seed: Option<u64>,
}

impl Default for Settings {
    /// AWS's own lifetimes, strict rotation, logins approved at once, one account with the roles `build` and `admin`.
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            accounts: vec![Account::new("111122223333", "bowline-dev", &["build", "admin"])],
            start_url: None,
            approve_after: Some(Duration::ZERO),
            poll_interval: Duration::from_secs(1),
            device_code_lifetime: Duration::from_secs(600),
            access_token_lifetime: Duration::from_secs(3600),
            session_lifetime: Duration::from_secs(8 * 3600),
            registration_lifetime: Duration::from_secs(90 * 86400),
            role_lifetime: Duration::from_secs(3600),
            sts_lifetime: None,
            anywhere_lifetime: None,
            trust_anchors: Vec::new(),
            accept_role_session_name: false,
            rotate_refresh_tokens: true,
            revoke_on_reuse: true,
            omit_refresh_token: OmitRefresh::Never,
            propagation_delay: Duration::ZERO,
            largest_iam_page: 1000,
            clock_skew: SignedDuration::ZERO,
            signature_window: Duration::from_secs(300),
            web_identity_tokens: Vec::new(),
            denied_roles: Vec::new(),
            mfa_roles: Vec::new(),
            mfa_devices: BTreeMap::new(),
            container_token: None,
            task_role: "task".to_owned(),
            instance_role: Some("instance".to_owned()),
            imds_v1: false,
            imds_v1_only: false,
            vpn: VpnManners::default(),
            secret_ledger: None,
            seed: None,
        }
    }
}

/// The JSON names a setting that does not exist, or gives it a value of the wrong form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting `{name}`: {reason}")]
pub struct SettingsError {
    name: String,
    reason: String,
}

impl Settings {
    /// Changes what `patch` names and leaves the rest. Names are those of the fields, durations texts like `"10s"`,
    /// `clock_skew` may begin with `-`, `approve_after` may be `null`, `omit_refresh_token` is `never`, `on-refresh` or `always`,
    /// `vpn` an object with fields of [`VpnManners`].
    ///
    /// # Errors
    /// The first name or value that is wrong; then nothing is changed.
    pub fn patch(&mut self, patch: &Value) -> Result<(), SettingsError> {
        let wrong = |name: &str, reason: &str| SettingsError { name: name.to_owned(), reason: reason.to_owned() };
        let fields: &Map<String, Value> = patch.as_object().ok_or_else(|| wrong("", "not a JSON object"))?;
        let mut next = self.clone();
        for (name, value) in fields {
            let done = next.patch_duration(name, value).or_else(|| next.patch_other(name, value));
            match done {
                Some(true) => {}
                Some(false) => return Err(wrong(name, &format!("`{value}` has the wrong form"))),
                None => return Err(wrong(name, "there is no such setting")),
            }
        }
        *self = next;
        Ok(())
    }

    /// `None`: no duration of that name. `Some(false)`: the value is wrong.
    fn patch_duration(&mut self, name: &str, value: &Value) -> Option<bool> {
        let target = match name {
            "poll_interval" => &mut self.poll_interval,
            "device_code_lifetime" => &mut self.device_code_lifetime,
            "access_token_lifetime" => &mut self.access_token_lifetime,
            "session_lifetime" => &mut self.session_lifetime,
            "registration_lifetime" => &mut self.registration_lifetime,
            "role_lifetime" => &mut self.role_lifetime,
            "propagation_delay" => &mut self.propagation_delay,
            "signature_window" => &mut self.signature_window,
            "sts_lifetime" => return Some(assign(optional_duration(value), &mut self.sts_lifetime)),
            "anywhere_lifetime" => return Some(assign(optional_duration(value), &mut self.anywhere_lifetime)),
            "approve_after" => return Some(assign(optional_duration(value), &mut self.approve_after)),
            "clock_skew" => return Some(assign(signed_duration(value), &mut self.clock_skew)),
            _ => return None,
        };
        Some(assign(duration(value), target))
    }

    fn patch_other(&mut self, name: &str, value: &Value) -> Option<bool> {
        let text = || value.as_str().map(str::to_owned);
        Some(match name {
            "region" => assign(text(), &mut self.region),
            "start_url" => assign(optional_text(value), &mut self.start_url),
            "accounts" => assign(accounts(value), &mut self.accounts),
            "rotate_refresh_tokens" => assign(value.as_bool(), &mut self.rotate_refresh_tokens),
            "revoke_on_reuse" => assign(value.as_bool(), &mut self.revoke_on_reuse),
            "omit_refresh_token" => assign(omit_refresh(value), &mut self.omit_refresh_token),
            "web_identity_tokens" => {
                let tokens = texts(value).map(|tokens| tokens.into_iter().map(Secret::new).collect());
                assign(tokens, &mut self.web_identity_tokens)
            }
            "trust_anchors" => assign(texts(value), &mut self.trust_anchors),
            "accept_role_session_name" => assign(value.as_bool(), &mut self.accept_role_session_name),
            "largest_iam_page" => {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                assign(size, &mut self.largest_iam_page)
            }
            "denied_roles" => assign(texts(value), &mut self.denied_roles),
            "mfa_roles" => assign(texts(value), &mut self.mfa_roles),
            "mfa_devices" => assign(devices(value), &mut self.mfa_devices),
            "container_token" => {
                assign(optional_text(value).map(|text| text.map(Secret::new)), &mut self.container_token)
            }
            "task_role" => assign(text(), &mut self.task_role),
            "instance_role" => assign(optional_text(value), &mut self.instance_role),
            "imds_v1" => assign(value.as_bool(), &mut self.imds_v1),
            "imds_v1_only" => assign(value.as_bool(), &mut self.imds_v1_only),
            "vpn" => assign(self.vpn.patched(value), &mut self.vpn),
            "secret_ledger" => assign(text().map(|path| Some(path.into())), &mut self.secret_ledger),
            "seed" => assign(value.as_u64().map(Some), &mut self.seed),
            _ => return None,
        })
    }
}

fn assign<T>(value: Option<T>, target: &mut T) -> bool {
    value.map(|value| *target = value).is_some()
}

pub(crate) fn duration(value: &Value) -> Option<Duration> {
    units::parse_duration(value.as_str()?).ok()
}

fn optional_duration(value: &Value) -> Option<Option<Duration>> {
    if value.is_null() { Some(None) } else { duration(value).map(Some) }
}

fn optional_text(value: &Value) -> Option<Option<String>> {
    if value.is_null() { Some(None) } else { value.as_str().map(|text| Some(text.to_owned())) }
}

fn signed_duration(value: &Value) -> Option<SignedDuration> {
    let text = value.as_str()?;
    let size = SignedDuration::try_from(units::parse_duration(text.trim_start_matches('-')).ok()?).ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

fn omit_refresh(value: &Value) -> Option<OmitRefresh> {
    match value.as_str()? {
        "never" => Some(OmitRefresh::Never),
        "on-refresh" => Some(OmitRefresh::OnRefresh),
        "always" => Some(OmitRefresh::Always),
        _ => None,
    }
}

pub(crate) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn devices(value: &Value) -> Option<BTreeMap<String, Vec<String>>> {
    value.as_object()?.iter().map(|(serial, codes)| Some((serial.clone(), texts(codes)?))).collect()
}

fn accounts(value: &Value) -> Option<Vec<Account>> {
    value.as_array()?.iter().map(Account::from_json).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_when_it_is_wrong() {
        let mut settings = Settings::default();
        let good =
            json!({"role_lifetime": "5s", "clock_skew": "-10m", "approve_after": null, "revoke_on_reuse": false});
        settings.patch(&good).unwrap();
        assert_eq!(settings.role_lifetime, Duration::from_secs(5));
        assert_eq!(settings.clock_skew, SignedDuration::from_mins(-10));
        assert!(settings.approve_after.is_none() && !settings.revoke_on_reuse);
        let bad = settings.patch(&json!({"role_lifetime": "7s", "role_lifetimes": "5s"})).unwrap_err();
        assert_eq!(bad.to_string(), "setting `role_lifetimes`: there is no such setting");
        assert!(settings.patch(&json!({"seed": "x"})).is_err());
        assert_eq!(settings.role_lifetime, Duration::from_secs(5));
    }
}
