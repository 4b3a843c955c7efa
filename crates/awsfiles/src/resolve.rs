//! From a profile's name to its [`Source`], by botocore's order and rules. Pure: nothing is read, called or prompted.
//!
//! Order within a profile: assumed role, web identity, SSO, keys of the credentials file, `login_session`,
//! `credential_process`, keys of the config file. What the environment adds comes before and after, by the caller.

use std::time::Duration;

use base::{KeyId, Secret, parse_timestamp};
use bowline_base as base;

use crate::{
    AssumeRole, Config, ConfigError, CredentialSource, LongLivedKeys, Mfa, Origin, Process, Profile, RoleSource,
    SealedKeys, SealedPlace, Section, SessionToken, Setting, Source, SsoKey, SsoLogin, SsoRole, StaticKeys,
    WebIdentity, error::nearest, terms::terms, words,
};

const KEY_ID: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
/// What iam-sorry's sealed values begin with; SDKs would send such a value to AWS as a key.
const ENVELOPE: &str = "__encrypted__:";

impl Config {
    /// What the credentials of `profile` are made of.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the profile, the key and the line.
    pub fn resolve(&self, profile: &str) -> Result<Source, ConfigError> {
        if let Some(identity) = self.identity(profile) {
            return Ok(Source::RolesAnywhere(identity.clone()));
        }
        let top = self.profile(profile)?;
        let mut walk = Walk { config: self, region: top.region(), visited: vec![profile.to_owned()] };
        if assumes_role(top) {
            return walk.assume_role(top);
        }
        let source = walk
            .without_role(top)?
            .ok_or_else(|| ConfigError::NoCredentials { profile: profile.to_owned(), origin: top.origin().clone() })?;
        walk.with_mfa(top, source)
    }

    /// What a sign-in for `name` needs: that of the profile itself, else of the root of its chain; else `name` is taken
    /// for an `[sso-session]`. `None` for a profile that needs no sign-in.
    ///
    /// # Errors
    /// As [`Config::resolve`], and [`ConfigError::NoProfile`] when neither exists.
    pub fn login(&self, name: &str) -> Result<Option<SsoLogin>, ConfigError> {
        if self.identity(name).is_some() {
            return Ok(None);
        }
        let Some(profile) = self.profiles.get(name) else {
            let session = self.sso_sessions().find(|session| session.name() == name);
            return session.map_or_else(|| self.profile(name).map(|_| None), |session| session.login().map(Some));
        };
        if let Some(setting) = profile.setting("sso_session") {
            return self.session_login(profile, setting).map(Some);
        }
        Ok(self.resolve(name)?.sso_login().cloned())
    }

    fn session_login(&self, profile: &Profile, setting: &Setting) -> Result<SsoLogin, ConfigError> {
        let session = self.sso_session(setting.text().unwrap_or_default(), &setting.origin)?;
        for (key, theirs) in &session.section.settings {
            if let Some(ours) = profile.setting(key).filter(|ours| ours.content != theirs.content) {
                return Err(ConfigError::Disagreement {
                    profile: profile.name().to_owned(),
                    key: key.clone(),
                    origin: ours.origin.clone(),
                    session_origin: theirs.origin.clone(),
                });
            }
        }
        session.login()
    }
}

struct Walk<'a> {
    config: &'a Config,
    region: Option<&'a str>,
    visited: Vec<String>,
}

impl<'a> Walk<'a> {
    fn assume_role(&mut self, profile: &'a Profile) -> Result<Source, ConfigError> {
        let from = self.role_source(profile)?;
        Ok(Source::AssumeRole(AssumeRole {
            profile: profile.name().to_owned(),
            role_arn: owned(profile, "role_arn").unwrap_or_default(),
            from,
            session_name: owned(profile, "role_session_name"),
            external_id: owned(profile, "external_id"),
            duration: duration(profile)?,
            mfa: mfa(profile)?,
            terms: terms(profile)?,
            region: self.region_for(profile),
        }))
    }

    fn role_source(&mut self, profile: &'a Profile) -> Result<RoleSource, ConfigError> {
        let role = profile.setting("role_arn").filter(|role| role.text().is_some_and(|text| !text.is_empty()));
        let Some(role) = role else {
            return Err(missing(profile, vec!["role_arn"]));
        };
        match (profile.setting("source_profile"), profile.setting("credential_source")) {
            (Some(source), Some(_)) => {
                Err(ConfigError::BothSources { profile: profile.name().to_owned(), origin: source.origin.clone() })
            }
            (None, None) => Err(partial(profile, "role_arn", "`source_profile` or `credential_source`", &role.origin)),
            (None, Some(named)) => named_source(profile, named).map(RoleSource::Named),
            (Some(source), None) => self.source_profile(profile, source),
        }
    }

    fn source_profile(&mut self, profile: &'a Profile, setting: &Setting) -> Result<RoleSource, ConfigError> {
        let name = setting.text().unwrap_or_default();
        if let Some(identity) = self.config.identity(name) {
            let source = Box::new(Source::RolesAnywhere(identity.clone()));
            return Ok(RoleSource::Profile { name: name.to_owned(), source });
        }
        let source = self.config.profiles.get(name).ok_or_else(|| ConfigError::NoSource {
            profile: profile.name().to_owned(),
            source_profile: name.to_owned(),
            origin: setting.origin.clone(),
            nearest: nearest(name, self.config.profiles.keys()),
        })?;
        self.refuse_circle(profile, source, &setting.origin)?;
        let credentials = if has_static_keys(source) || !assumes_role(source) {
            self.without_role(source)?.ok_or_else(|| ConfigError::EmptySource {
                profile: profile.name().to_owned(),
                source_profile: name.to_owned(),
                origin: setting.origin.clone(),
            })?
        } else {
            self.assume_role(source)?
        };
        Ok(RoleSource::Profile { name: name.to_owned(), source: Box::new(credentials) })
    }

    /// A profile may name itself to use its own keys; any other return to a profile is a circle.
    fn refuse_circle(&mut self, from: &Profile, to: &Profile, origin: &Origin) -> Result<(), ConfigError> {
        let seen = self.visited.iter().any(|name| name == to.name());
        let own_keys = from.name() == to.name() && has_static_keys(to);
        self.visited.push(to.name().to_owned());
        if seen && !own_keys {
            return Err(ConfigError::Loop { visited: std::mem::take(&mut self.visited), origin: origin.clone() });
        }
        Ok(())
    }

    /// Every source but an assumed role, in botocore's order.
    fn without_role(&self, profile: &Profile) -> Result<Option<Source>, ConfigError> {
        if let Some(setting) = profile.setting("web_identity_token_file").filter(|file| file.text() != Some("")) {
            return self.web_identity(profile, setting).map(Some);
        }
        if profile.setting("sso_role_name").or_else(|| profile.setting("sso_account_id")).is_some() {
            return self.sso(profile).map(Some);
        }
        if let Some(keys) = static_keys(profile, profile.in_credentials())? {
            return Ok(Some(told_apart(profile, keys)));
        }
        if let Some(setting) = profile.setting("login_session") {
            let (profile, origin) = (profile.name().to_owned(), setting.origin.clone());
            return Err(ConfigError::LoginSession { profile, origin });
        }
        if let Some(setting) = profile.setting("credential_process") {
            return process(profile, setting).map(Some);
        }
        if let Some(keys) = static_keys(profile, profile.in_config())? {
            return Ok(Some(told_apart(profile, keys)));
        }
        half_configured(profile).map_or(Ok(None), Err)
    }

    fn web_identity(&self, profile: &Profile, token_file: &Setting) -> Result<Source, ConfigError> {
        let role_arn = owned(profile, "role_arn").filter(|arn| !arn.is_empty());
        let Some(role_arn) = role_arn else {
            return Err(partial(profile, "web_identity_token_file", "`role_arn`", &token_file.origin));
        };
        Ok(Source::WebIdentity(WebIdentity {
            profile: profile.name().to_owned(),
            token_file: token_file.text().unwrap_or_default().into(),
            role_arn,
            session_name: owned(profile, "role_session_name"),
            duration: duration(profile)?,
            region: self.region_for(profile),
        }))
    }

    /// Keys with an `mfa_serial` and no role mean a session that knows of the device. As somebody's `source_profile`
    /// the keys are used as they are, as in botocore.
    fn with_mfa(&self, profile: &Profile, source: Source) -> Result<Source, ConfigError> {
        let (keys, mfa) = match (source, mfa(profile)?) {
            (Source::Static(keys), Some(mfa)) if keys.session_token.is_none() => (LongLivedKeys::Plain(keys), mfa),
            (Source::Sealed(keys), Some(mfa)) => (LongLivedKeys::Sealed(keys), mfa),
            (source, _) => return Ok(source),
        };
        Ok(Source::SessionToken(SessionToken {
            profile: profile.name().to_owned(),
            keys,
            mfa,
            duration: duration(profile)?,
            region: self.region_for(profile),
        }))
    }

    fn sso(&self, profile: &Profile) -> Result<Source, ConfigError> {
        let login = match profile.setting("sso_session") {
            Some(setting) => self.config.session_login(profile, setting)?,
            None => legacy_login(profile)?,
        };
        let role = [non_empty(profile, "sso_account_id"), non_empty(profile, "sso_role_name")];
        let [Some(account_id), Some(role_name)] = role else {
            return Err(missing(profile, lacking(profile, &["sso_account_id", "sso_role_name"])));
        };
        Ok(Source::Sso(SsoRole { login, account_id, role_name }))
    }

    fn region_for(&self, profile: &Profile) -> Option<String> {
        self.region.or_else(|| profile.region()).map(ToOwned::to_owned)
    }
}

/// What botocore passes over in silence, though somebody meant it as credentials.
fn half_configured(profile: &Profile) -> Option<ConfigError> {
    if let Some(setting) = profile.setting(SECRET_KEY) {
        return Some(partial(profile, SECRET_KEY, "`aws_access_key_id`", &setting.origin));
    }
    let setting = profile.setting("sso_session")?;
    Some(partial(profile, "sso_session", "`sso_account_id` and `sso_role_name`", &setting.origin))
}

/// A token file takes the profile out of the chain of assumed roles altogether.
fn assumes_role(profile: &Profile) -> bool {
    profile.setting("role_arn").is_some() && profile.setting("web_identity_token_file").is_none()
}

fn has_static_keys(profile: &Profile) -> bool {
    profile.setting(KEY_ID).or_else(|| profile.setting(SECRET_KEY)).is_some()
}

/// The keys of one of the two files; a key id without its secret in the same file is an error, as in botocore.
fn static_keys(profile: &Profile, section: Option<&Section>) -> Result<Option<StaticKeys>, ConfigError> {
    let Some(section) = section else { return Ok(None) };
    let Some(key_id) = section.settings.get(KEY_ID) else { return Ok(None) };
    let secret = |key| section.settings.get(key).and_then(Setting::secret).filter(|secret| !secret.is_blank()).cloned();
    let text = |key| section.settings.get(key).and_then(Setting::text).filter(|text| !text.is_empty());
    let Some(secret_key) = secret(SECRET_KEY) else {
        return Err(partial(profile, KEY_ID, "`aws_secret_access_key` beside it", &key_id.origin));
    };
    let Some(id) = text(KEY_ID) else {
        return Err(partial(profile, SECRET_KEY, "`aws_access_key_id` that is not empty", &key_id.origin));
    };
    let session_token = session_token(&secret);
    // A key without a token has no end, whatever stands beside it.
    let end = text("expiration").filter(|_| session_token.is_some());
    Ok(Some(StaticKeys {
        key_id: KeyId::new(id),
        secret_key,
        session_token,
        account_id: text("aws_account_id").map(ToOwned::to_owned),
        expires_at: end.and_then(|end| parse_timestamp(end).ok()),
        origin: key_id.origin.clone(),
    }))
}

/// The old name wins where both stand, as in botocore.
fn session_token(secret: &dyn Fn(&'static str) -> Option<Secret>) -> Option<Secret> {
    secret("aws_security_token").or_else(|| secret("aws_session_token"))
}

fn process(profile: &Profile, setting: &Setting) -> Result<Source, ConfigError> {
    let argv = words(setting.text().unwrap_or_default()).ok().filter(|argv| !argv.is_empty());
    let origin = setting.origin.clone();
    match argv {
        Some(argv) if asks_for_itself(profile, &argv) => Ok(Source::Sealed(SealedKeys {
            profile: profile.name().to_owned(),
            place: SealedPlace::Store,
            account_id: owned(profile, "aws_account_id"),
            origin,
        })),
        Some(argv) => Ok(Source::Process(Process { argv, account_id: owned(profile, "aws_account_id"), origin })),
        None => Err(ConfigError::BadCommand { profile: profile.name().to_owned(), key: "credential_process", origin }),
    }
}

/// `bowline creds X` in profile X: it would go round in circles, so it means the store.
fn asks_for_itself(profile: &Profile, argv: &[String]) -> bool {
    let [program, command, name] = argv else { return false };
    let ours = std::path::Path::new(program).file_name().is_some_and(|file| file == "bowline");
    ours && command == "creds" && name == profile.name()
}

/// Sealed values are never keys, whichever of the two is sealed.
fn told_apart(profile: &Profile, keys: StaticKeys) -> Source {
    let sealed = keys.key_id.as_str().starts_with(ENVELOPE) || keys.secret_key.expose().starts_with(ENVELOPE);
    if !sealed {
        return Source::Static(keys);
    }
    let place = SealedPlace::Envelope { key_id: Secret::new(keys.key_id.as_str()), secret_key: keys.secret_key };
    let (profile, account_id) = (profile.name().to_owned(), keys.account_id);
    Source::Sealed(SealedKeys { profile, place, account_id, origin: keys.origin })
}

fn legacy_login(profile: &Profile) -> Result<SsoLogin, ConfigError> {
    let values = [non_empty(profile, "sso_start_url"), non_empty(profile, "sso_region")];
    let [Some(start_url), Some(region)] = values else {
        let wanted = ["sso_start_url", "sso_region", "sso_account_id", "sso_role_name"];
        return Err(missing(profile, lacking(profile, &wanted)));
    };
    Ok(SsoLogin { key: SsoKey::Legacy(start_url.clone()), start_url, region, scopes: Vec::new() })
}

fn named_source(profile: &Profile, setting: &Setting) -> Result<CredentialSource, ConfigError> {
    match setting.text().unwrap_or_default() {
        "Environment" => Ok(CredentialSource::Environment),
        "EcsContainer" => Ok(CredentialSource::EcsContainer),
        "Ec2InstanceMetadata" => Ok(CredentialSource::Ec2InstanceMetadata),
        other => Err(ConfigError::UnknownCredentialSource {
            profile: profile.name().to_owned(),
            value: other.to_owned(),
            origin: setting.origin.clone(),
        }),
    }
}

fn mfa(profile: &Profile) -> Result<Option<Mfa>, ConfigError> {
    let Some(serial) = non_empty(profile, "mfa_serial") else { return Ok(None) };
    let Some(setting) = profile.setting("mfa_process") else { return Ok(Some(Mfa { serial, process: None })) };
    match words(setting.text().unwrap_or_default()).ok().filter(|argv| !argv.is_empty()) {
        Some(argv) => Ok(Some(Mfa { serial, process: Some(argv) })),
        None => Err(ConfigError::BadCommand {
            profile: profile.name().to_owned(),
            key: "mfa_process",
            origin: setting.origin.clone(),
        }),
    }
}

/// botocore ignores a duration that is no number, and the session is shorter than its owner thinks. We refuse it.
fn duration(profile: &Profile) -> Result<Option<Duration>, ConfigError> {
    let Some(setting) = profile.setting("duration_seconds") else { return Ok(None) };
    let text = setting.text().unwrap_or_default();
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
        Err(_) => Err(ConfigError::BadSeconds {
            profile: profile.name().to_owned(),
            key: "duration_seconds",
            value: text.to_owned(),
            origin: setting.origin.clone(),
        }),
    }
}

fn owned(profile: &Profile, key: &str) -> Option<String> {
    profile.text(key).map(ToOwned::to_owned)
}

fn non_empty(profile: &Profile, key: &str) -> Option<String> {
    owned(profile, key).filter(|text| !text.is_empty())
}

fn lacking(profile: &Profile, keys: &[&'static str]) -> Vec<&'static str> {
    keys.iter().copied().filter(|key| non_empty(profile, key).is_none()).collect()
}

fn missing(profile: &Profile, missing: Vec<&'static str>) -> ConfigError {
    let section = format!("profile `{}`", profile.name());
    ConfigError::Missing { section, missing, origin: profile.origin().clone() }
}

fn partial(profile: &Profile, present: &'static str, missing: &'static str, origin: &Origin) -> ConfigError {
    ConfigError::Partial { profile: profile.name().to_owned(), present, missing, origin: origin.clone() }
}
