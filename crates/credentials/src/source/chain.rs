//! Which source a profile's credentials come from, in botocore's order, and why not from the others. Pure: what the
//! environment and the files say comes in, a [`Source`] and the steps that led to it come out.
//!
//! A profile that is named skips the keys of the environment. The name `env` (or `default`, where the files have no such
//! profile) means the whole chain: keys of the environment, the profile that the environment names, a token file,
//! the container, the instance. `AWS_ROLE_ARN` without a token file is a role assumed with whatever that found.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bowline_awsfiles::{
    AssumeRole, Config, ConfigError, CredentialSource, DefaultProfile, Profile, RoleSource, SealedKeys, SealedPlace,
    Source, Terms, WebIdentity,
};
use bowline_base::{Fault, Kind};
use serde::Serialize;

use super::describe::describe;
use crate::setup::Setup;

/// The name of the chain that begins with the environment, where no profile has that name.
pub const ENVIRONMENT: &str = "env";

/// AWS gives a role that is assumed so an hour, whatever the role allows.
const USUAL: Duration = Duration::from_secs(3600);

/// One place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `environment`, `assume-role`, `web-identity`, `sso`, `credentials-file`, `process`, `config-file`, `container`,
    /// `instance-metadata`; `AWS_ROLE_ARN` for the role on top of it.
    pub source: &'static str,
    /// Whether the credentials come from here.
    pub won: bool,
    /// Why, or why not.
    pub why: String,
}

/// What a profile of the files can say, in order, with what is missing where it does not.
const OF_PROFILE: [(&str, &str); 6] = [
    ("assume-role", "no `role_arn`, or it goes with a token file"),
    ("web-identity", "no `web_identity_token_file`"),
    ("sso", "no `sso_account_id` and `sso_role_name`"),
    ("credentials-file", "no `aws_access_key_id` in the credentials file"),
    ("process", "no `credential_process`"),
    ("config-file", "no `aws_access_key_id` in the config file"),
];

/// What was found.
pub(super) struct Found {
    pub(super) source: Source,
    /// The profile of the files that took part.
    pub(super) profile: Option<String>,
    /// What to say when the last resort, an instance's metadata service, is not there.
    pub(super) otherwise: Option<(String, String)>,
}

/// What makes another container or instance metadata service answer, or none.
const OUTSIDE: [&str; 6] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
];

/// Whether `profile` means what the environment in `setup` says, which another process, such as a daemon, cannot know:
/// the chain of the environment, or a container or an instance that a variable points to.
#[must_use]
pub fn is_of_the_environment(setup: &Setup, profile: &str) -> bool {
    let pointed = OUTSIDE.iter().any(|name| setup.environment.get(*name).is_some_and(|text| !text.is_empty()));
    if profile == ENVIRONMENT || (profile != "default" && !pointed) {
        return profile == ENVIRONMENT;
    }
    let Ok(config) = setup.config() else { return false };
    let named = config.identity(profile).is_some() || config.profile(profile).is_ok();
    if !named || !pointed {
        return !named && profile == "default";
    }
    match Walk::new(&config, &setup.environment).find(profile).map(|found| found.source) {
        Ok(source) => begins_outside(&source),
        Err(_) => true,
    }
}

/// Whether a profile that says nothing about credentials gets them from somewhere: a container's endpoint or an instance.
#[must_use]
pub fn asks_outside(setup: &Setup) -> bool {
    Walk::new(&Config::default(), &setup.environment).outside(None, String::new(), String::new()).is_ok()
}

fn begins_outside(source: &Source) -> bool {
    let named = match source {
        Source::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => {
            return begins_outside(source);
        }
        Source::AssumeRole(AssumeRole { from: RoleSource::Named(named), .. }) | Source::Named(named) => named,
        _ => return false,
    };
    matches!(named, CredentialSource::EcsContainer | CredentialSource::Ec2InstanceMetadata)
}

/// One walk along the chain.
pub(super) struct Walk<'a> {
    config: &'a Config,
    environment: &'a BTreeMap<String, String>,
    pub(super) steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(config: &'a Config, environment: &'a BTreeMap<String, String>) -> Self {
        Self { config, environment, steps: Vec::new() }
    }

    /// What `name` is made of.
    pub(super) fn find(&mut self, name: &str) -> Result<Found, Fault> {
        if self.config.identity(name).is_some() {
            let why = "`[identity]` of bowline.toml, or the ROLESANYWHERE_* variables".to_owned();
            self.steps.push(Step { source: "roles-anywhere", won: true, why });
            return Ok(Found { source: self.config.resolve(name)?, profile: None, otherwise: None });
        }
        let exists = self.config.profile(name).is_ok();
        if !exists && (name == ENVIRONMENT || name == "default") {
            return self.surroundings();
        }
        self.lost("environment", "the profile is named, which skips the keys of the environment");
        match self.of_profile(self.config.profile(name)?)? {
            Ok(source) => Ok(Found { source, profile: Some(name.to_owned()), otherwise: None }),
            Err(nothing) => self.outside(Some(name.to_owned()), nothing.to_string(), nothing.hint()),
        }
    }

    fn surroundings(&mut self) -> Result<Found, Fault> {
        if let Some(source) = self.keys()? {
            return Ok(self.with_role(Found { source, profile: None, otherwise: None }));
        }
        let default = DefaultProfile::from_environment(&|name| self.text(name));
        let profile = match self.config.profile(&default.name) {
            Ok(profile) => Some(profile),
            Err(error) if default.variable.is_some() => return Err(error.into()),
            Err(_) => None,
        };
        let name = profile.map(|profile| profile.name().to_owned());
        if let Some(source) = self.token_file(profile) {
            return Ok(Found { source, profile: name, otherwise: None });
        }
        let of_profile = match profile {
            Some(profile) => self.of_profile(profile)?.ok(),
            None => {
                OF_PROFILE.iter().for_each(|(step, _)| self.lost(step, "there is no profile `default`"));
                None
            }
        };
        let found = match of_profile {
            Some(source) => Found { source, profile: name, otherwise: None },
            None => self.outside(
                name,
                "there are no credentials: none in the environment, in the AWS files or from a container".to_owned(),
                "run `bowline status env --explain`, name a profile, or set AWS_PROFILE".to_owned(),
            )?,
        };
        Ok(self.with_role(found))
    }

    fn keys(&mut self) -> Result<Option<Source>, Fault> {
        if self.text("AWS_ACCESS_KEY_ID").is_none() {
            self.lost("environment", "AWS_ACCESS_KEY_ID is not set");
            return Ok(None);
        }
        if self.text("AWS_SECRET_ACCESS_KEY").is_none() {
            let message = "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not";
            self.lost("environment", message);
            return Err(Fault::new(Kind::Config, "environment", message).hint("set both, or `unset AWS_ACCESS_KEY_ID`"));
        }
        let source = Source::Named(CredentialSource::Environment);
        self.won("environment", &source);
        Ok(Some(source))
    }

    /// The token file of the environment: after the profile's `role_arn`, before everything else of it.
    fn token_file(&mut self, profile: Option<&Profile>) -> Option<Source> {
        let text = |profile: Option<&Profile>, key: &str| profile?.text(key).map(str::to_owned);
        let token_file = self.text("AWS_WEB_IDENTITY_TOKEN_FILE");
        let assumes = text(profile, "role_arn").is_some() && text(profile, "web_identity_token_file").is_none();
        let role_arn = self.text("AWS_ROLE_ARN").or_else(|| text(profile, "role_arn"));
        let (token_file, role_arn) = token_file.filter(|_| !assumes).zip(role_arn)?;
        let source = Source::WebIdentity(WebIdentity {
            profile: ENVIRONMENT.to_owned(),
            token_file: PathBuf::from(token_file),
            role_arn,
            session_name: self.text("AWS_ROLE_SESSION_NAME").or_else(|| text(profile, "role_session_name")),
            duration: None,
            region: None,
        });
        self.lost(OF_PROFILE[0].0, OF_PROFILE[0].1);
        self.won("web-identity", &source);
        Some(source)
    }

    /// `Ok(Err(_))`: the profile says nothing about credentials.
    fn of_profile(&mut self, profile: &Profile) -> Result<Result<Source, ConfigError>, Fault> {
        match self.config.resolve(profile.name()) {
            Ok(source) => {
                let winner = step_of(&source, profile);
                for (step, missing) in OF_PROFILE {
                    if step == winner {
                        break;
                    }
                    self.lost(step, format!("profile `{}`: {missing}", profile.name()));
                }
                self.won(winner, &source);
                Ok(Ok(source))
            }
            Err(nothing @ ConfigError::NoCredentials { .. }) => {
                for (step, missing) in OF_PROFILE {
                    self.lost(step, format!("profile `{}`: {missing}", profile.name()));
                }
                Ok(Err(nothing))
            }
            Err(mistake) => {
                self.lost("profile", mistake.to_string());
                Err(mistake.into())
            }
        }
    }

    /// The container, then the instance.
    fn outside(&mut self, profile: Option<String>, message: String, hint: String) -> Result<Found, Fault> {
        let names = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        if names.iter().any(|name| self.text(name).is_some()) {
            let source = Source::Named(CredentialSource::EcsContainer);
            self.won("container", &source);
            return Ok(Found { source, profile, otherwise: None });
        }
        self.lost("container", "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor …_FULL_URI is set");
        if self.text("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            self.lost("instance-metadata", "AWS_EC2_METADATA_DISABLED is true");
            return Err(Fault::new(Kind::Config, "credentials", message).hint(hint));
        }
        let source = Source::Named(CredentialSource::Ec2InstanceMetadata);
        self.won("instance-metadata", &source);
        Ok(Found { source, profile, otherwise: Some((message, hint)) })
    }

    /// SDKs use `AWS_ROLE_ARN` with a token file only; we take it as the wish that it is.
    fn with_role(&mut self, found: Found) -> Found {
        let Some(role_arn) = self.text("AWS_ROLE_ARN") else { return found };
        let session_name = self.text("AWS_ROLE_SESSION_NAME");
        let source = match found.source {
            // As in botocore, the variable stands over the profile's own role.
            Source::WebIdentity(web) => {
                let session_name = session_name.or(web.session_name);
                Source::WebIdentity(WebIdentity { role_arn, session_name, ..web })
            }
            base => Source::AssumeRole(AssumeRole {
                profile: ENVIRONMENT.to_owned(),
                role_arn,
                from: RoleSource::Profile { name: ENVIRONMENT.to_owned(), source: Box::new(base) },
                session_name,
                external_id: None,
                duration: Some(USUAL),
                mfa: None,
                terms: Terms::default(),
                region: None,
            }),
        };
        self.won("AWS_ROLE_ARN", &source);
        Found { source, ..found }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|text| !text.is_empty()).cloned()
    }

    fn lost(&mut self, source: &'static str, why: impl Into<String>) {
        self.steps.push(Step { source, won: false, why: why.into() });
    }

    fn won(&mut self, step: &'static str, source: &Source) {
        self.steps.push(Step { source: step, won: true, why: describe(source) });
    }
}

fn step_of(source: &Source, profile: &Profile) -> &'static str {
    let in_credentials =
        || profile.in_credentials().is_some_and(|section| section.settings.contains_key("aws_access_key_id"));
    match source {
        Source::AssumeRole(_) => "assume-role",
        Source::WebIdentity(_) => "web-identity",
        Source::Sso(_) => "sso",
        Source::Process(_) => "process",
        Source::Sealed(SealedKeys { place: SealedPlace::Store, .. }) => "process",
        Source::Static(_) | Source::Sealed(_) | Source::SessionToken(_) if in_credentials() => "credentials-file",
        Source::Static(_) | Source::Sealed(_) | Source::SessionToken(_) => "config-file",
        Source::RolesAnywhere(_) => "roles-anywhere",
        Source::Named(_) => "environment",
    }
}

#[cfg(test)]
mod tests {
    use bowline_awsfiles::Document;

    use super::*;

    const KEYS: &str = "aws_access_key_id = AKIAFILE\naws_secret_access_key = s\n";
    const ROLE: &str = "arn:aws:iam::111122223333:role/x";

    /// Winning step and description, or the message; and all steps.
    fn walk(name: &str, config: &str, environment: &[(&str, &str)]) -> (Result<Source, Fault>, Vec<Step>) {
        let document = Document::parse(std::path::Path::new("config"), config.as_bytes()).unwrap();
        let config = Config::read(Some(&document), None).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut walk = Walk::new(&config, &environment);
        let found = walk.find(name).map(|found| found.source);
        (found, walk.steps)
    }

    fn winner(name: &str, config: &str, environment: &[(&str, &str)]) -> &'static str {
        let (found, steps) = walk(name, config, environment);
        found.unwrap();
        steps.iter().rfind(|step| step.won).unwrap().source
    }

    const IN_ENVIRONMENT: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
    const CONTAINER: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/x");

    #[test]
    fn the_order_is_botocores() {
        let profile = format!("[default]\n{KEYS}");
        let both = [IN_ENVIRONMENT.as_slice(), &[CONTAINER]].concat();
        assert_eq!(winner("env", &profile, &both), "environment");
        assert_eq!(winner("default", &profile, &both), "config-file", "a named profile skips the environment");
        assert_eq!(winner("env", &profile, &[CONTAINER]), "config-file");
        assert_eq!(winner("env", "", &[CONTAINER]), "container");
        assert_eq!(winner("default", "", &[CONTAINER]), "container");
        assert_eq!(winner("env", "", &[]), "instance-metadata");
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", ROLE)];
        assert_eq!(winner("env", &profile, &web), "web-identity");
        let role = format!("[profile r]\nrole_arn = {ROLE}\nsource_profile = k\n[profile k]\n{KEYS}");
        let named = [web.as_slice(), &[("AWS_PROFILE", "r")]].concat();
        let (found, steps) = walk("env", &role, &named);
        assert!(matches!(found.unwrap(), Source::AssumeRole(_)), "a role of the profile comes before a token file");
        assert_eq!(steps[1].source, "assume-role");
        assert_eq!(winner("x", "[profile x]\nregion = r\n", &[CONTAINER]), "container");
    }

    #[test]
    fn a_role_without_a_token_file_is_assumed_with_what_was_found() {
        let environment =
            [IN_ENVIRONMENT.as_slice(), &[("AWS_ROLE_ARN", ROLE), ("AWS_ROLE_SESSION_NAME", "me")]].concat();
        let (found, steps) = walk("env", "", &environment);
        let Source::AssumeRole(role) = found.unwrap() else { panic!("{steps:?}") };
        assert_eq!((role.role_arn.as_str(), role.session_name.as_deref()), (ROLE, Some("me")));
        assert_eq!(role.duration, Some(USUAL));
        let RoleSource::Profile { source, .. } = role.from else { panic!() };
        assert_eq!(*source, Source::Named(CredentialSource::Environment));
    }

    #[test]
    fn every_step_before_the_winner_says_why_not() {
        let (_, steps) = walk("env", &format!("[default]\n{KEYS}"), &[]);
        let names: Vec<&str> = steps.iter().map(|step| step.source).collect();
        let before = ["environment", "assume-role", "web-identity", "sso", "credentials-file", "process"];
        assert_eq!(names, [before.as_slice(), &["config-file"]].concat());
        assert!(steps.iter().all(|step| !step.why.is_empty()));
    }

    #[test]
    fn half_a_key_a_profile_that_is_not_there_and_nothing_at_all_are_told() {
        let half = walk("env", "", &[("AWS_ACCESS_KEY_ID", "A")]).0.unwrap_err();
        assert!(half.message.contains("AWS_SECRET_ACCESS_KEY is not"), "{half}");
        let gone = walk("env", "", &[("AWS_PROFILE", "gone"), CONTAINER]).0.unwrap_err();
        assert!(gone.message.contains("`gone`"), "{gone}");
        let nothing = walk("env", "", &[("AWS_EC2_METADATA_DISABLED", "true")]).0.unwrap_err();
        assert!(nothing.message.contains("no credentials") && nothing.hint.is_some(), "{nothing}");
        let named = walk("x", "[profile x]\nregion = r\n", &[("AWS_EC2_METADATA_DISABLED", "true")]).0.unwrap_err();
        assert!(named.message.contains("profile `x` has no credentials"), "{named}");
    }
}
