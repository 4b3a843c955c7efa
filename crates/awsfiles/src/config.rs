//! Both AWS files as one view: profiles, sso-sessions and services, with the places where things stand.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use base::{Fault, Kind, Secret};
use bowline_base as base;

use crate::{
    ConfigError, ConfigFile, Content, Document, Locations, Mistake, Origin, RolesAnywhere, Section, Setting, SsoKey,
    SsoLogin, error::nearest, words,
};

/// Everything that the two files say.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub(crate) profiles: BTreeMap<String, Profile>,
    sessions: BTreeMap<String, SsoSession>,
    services: BTreeMap<String, Section>,
    pub(crate) identities: BTreeMap<String, RolesAnywhere>,
    warnings: Vec<Warning>,
    /// Where it came from.
    file: ConfigFile,
}

/// A profile: what the config file and the credentials file say of it together.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    config: Option<Section>,
    credentials: Option<Section>,
}

/// An `[sso-session NAME]` section.
#[derive(Clone, Debug)]
pub struct SsoSession {
    name: String,
    pub(crate) section: Section,
}

/// Something that works, but hardly as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub origin: Origin,
    /// What, and what to do about it.
    pub message: String,
}

impl Config {
    /// Reads both files. What does not exist or is no plain file says nothing; keys that others can read are warned of.
    ///
    /// # Errors
    /// A [`Fault`] of kind `Config` for a file that cannot be opened or parsed; it names file and line.
    pub fn load(locations: &Locations) -> Result<Self, Fault> {
        let config = document(&locations.config)?;
        let credentials = document(&locations.credentials)?;
        let mut view = Self::read(config.as_ref(), credentials.as_ref())?;
        let path = locations.config.clone();
        view.file = if config.is_some() { ConfigFile::There(path) } else { ConfigFile::Missing(path) };
        view.warnings.extend(credentials.as_ref().and_then(|_| open_to_others(&locations.credentials)));
        Ok(view)
    }

    /// Puts together what two documents say, the credentials file winning key by key.
    ///
    /// # Errors
    /// The first [`Mistake`] for which botocore refuses one of the files.
    pub fn read(config: Option<&Document>, credentials: Option<&Document>) -> Result<Self, Mistake> {
        let mut view = Self::default();
        for section in sections(config)? {
            view.add_config(section);
        }
        for section in sections(credentials)? {
            view.add_credentials(section);
        }
        Ok(view)
    }

    /// Puts identities that stand in no AWS file beside the profiles. One with a profile's name takes its place.
    #[must_use]
    pub fn with_identities(mut self, identities: impl IntoIterator<Item = RolesAnywhere>) -> Self {
        self.identities.extend(identities.into_iter().map(|identity| (identity.name.clone(), identity)));
        self
    }

    /// The identity of that name, if it is one of [`Config::with_identities`].
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&RolesAnywhere> {
        self.identities.get(name)
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// [`ConfigError::NoProfile`], naming one that looks alike.
    pub fn profile(&self, name: &str) -> Result<&Profile, ConfigError> {
        self.profiles.get(name).ok_or_else(|| ConfigError::NoProfile {
            name: name.to_owned(),
            nearest: nearest(name, self.profiles.keys()),
            file: self.file.clone(),
        })
    }

    /// All `[sso-session]`s, by name.
    pub fn sso_sessions(&self) -> impl Iterator<Item = &SsoSession> {
        self.sessions.values()
    }

    /// The `[sso-session]` of that name, asked for by whatever stands at `origin`.
    ///
    /// # Errors
    /// [`ConfigError::NoSession`], naming one that looks alike.
    pub fn sso_session(&self, name: &str, origin: &Origin) -> Result<&SsoSession, ConfigError> {
        self.sessions.get(name).ok_or_else(|| ConfigError::NoSession {
            session: name.to_owned(),
            origin: origin.clone(),
            nearest: nearest(name, self.sessions.keys()),
        })
    }

    /// Where the files send calls to `service` (`s3`, `sso_oidc`: lower case, `_` for `-`) that are made as `profile`:
    /// its `services` section first, then its `endpoint_url`. The environment is asked before by the caller.
    ///
    /// # Errors
    /// [`ConfigError::NoProfile`], and [`ConfigError::NoServices`] when the profile names a section that is not there.
    pub fn endpoint_url(&self, profile: &str, service: &str) -> Result<Option<&str>, ConfigError> {
        let profile = self.profile(profile)?;
        if profile.text("ignore_configured_endpoint_urls").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let of_service = match self.services_of(profile)? {
            Some(section) => nested(section.settings.get(&service.replace('-', "_")), "endpoint_url"),
            None => None,
        };
        Ok(of_service.or_else(|| profile.text("endpoint_url")).filter(|url| !url.is_empty()))
    }

    /// What a person should know about the files.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn services_of(&self, profile: &Profile) -> Result<Option<&Section>, ConfigError> {
        let Some(setting) = profile.setting("services") else { return Ok(None) };
        let section = setting.text().unwrap_or_default();
        let found = self.services.get(section).filter(|found| !found.settings.is_empty());
        found.map(Some).ok_or_else(|| ConfigError::NoServices {
            profile: profile.name.clone(),
            section: section.to_owned(),
            origin: setting.origin.clone(),
            nearest: nearest(section, self.services.keys()),
        })
    }

    fn add_config(&mut self, section: Section) {
        match Meaning::of(&section.name) {
            Meaning::Profile(name) => self.add_profile(name, section),
            Meaning::Session(name) => {
                let replaced = self.sessions.insert(name.clone(), SsoSession { name, section: section.clone() });
                self.warn_if_replaced(replaced.map(|old| old.section), &section);
            }
            Meaning::Services(name) => {
                let replaced = self.services.insert(name, section.clone());
                self.warn_if_replaced(replaced, &section);
            }
            Meaning::Nothing(advice) => self.warn(&section, advice),
        }
    }

    fn add_profile(&mut self, name: String, section: Section) {
        let profile = Profile { name: name.clone(), config: Some(section.clone()), credentials: None };
        let replaced = self.profiles.insert(name, profile).and_then(|old| old.config);
        self.warn_if_replaced(replaced, &section);
    }

    fn add_credentials(&mut self, section: Section) {
        let name = section.name.clone();
        if let Some(short) = name.strip_prefix("profile ") {
            let advice = format!("in this file `[{name}]` is a profile called `{name}`; write `[{}]`", short.trim());
            self.warn(&section, advice);
        }
        let new = || Profile { name: name.clone(), config: None, credentials: None };
        self.profiles.entry(name.clone()).or_insert_with(new).credentials = Some(section);
    }

    /// botocore lets the later of two headers for one name win whole; other SDKs prefer `[profile default]`.
    fn warn_if_replaced(&mut self, replaced: Option<Section>, by: &Section) {
        if let Some(old) = replaced {
            let advice = format!("`[{}]` hides `[{}]` on line {}; join them", by.name, old.name, old.origin.line);
            self.warn(by, advice);
        }
    }

    fn warn(&mut self, section: &Section, message: String) {
        self.warnings.push(Warning { origin: section.origin.clone(), message });
    }
}

impl Profile {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of its header, in the config file if it stands in both.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        let section = self.config.as_ref().or(self.credentials.as_ref());
        &section.expect("a profile is made from a section").origin
    }

    /// The value of `key` (lower case) and where it stands; the credentials file wins.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        let of =
            |section: &'_ Option<Section>| section.as_ref().is_some_and(|section| section.settings.contains_key(key));
        let section = if of(&self.credentials) { &self.credentials } else { &self.config };
        section.as_ref()?.settings.get(key)
    }

    /// The plain text of `key`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.setting(key)?.text()
    }

    /// The plain text of `inner` in the indented block of `key`.
    #[must_use]
    pub fn nested(&self, key: &str, inner: &str) -> Option<&str> {
        nested(self.setting(key), inner)
    }

    /// Its `region`.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.text("region").filter(|region| !region.is_empty())
    }

    /// What the config file alone says.
    #[must_use]
    pub fn in_config(&self) -> Option<&Section> {
        self.config.as_ref()
    }

    /// What the credentials file alone says.
    #[must_use]
    pub fn in_credentials(&self) -> Option<&Section> {
        self.credentials.as_ref()
    }
}

impl Setting {
    /// The value, unless it is a secret or a nested block.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Secret(_) | Content::Nested(_) => None,
        }
    }

    /// The value, if its key is one of those that hold a secret.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match &self.content {
            Content::Secret(secret) => Some(secret),
            Content::Text(_) | Content::Nested(_) => None,
        }
    }
}

impl SsoSession {
    /// Its name, which also names its token in the cache.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of its header.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.section.origin
    }

    /// What a sign-in to it needs.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] without `sso_start_url` or `sso_region`.
    pub fn login(&self) -> Result<SsoLogin, ConfigError> {
        let text = |key| self.section.settings.get(key).and_then(Setting::text).filter(|text| !text.is_empty());
        let (Some(start_url), Some(region)) = (text("sso_start_url"), text("sso_region")) else {
            let missing = ["sso_start_url", "sso_region"].into_iter().filter(|key| text(key).is_none());
            return Err(ConfigError::Missing {
                section: format!("sso-session `{}`", self.name),
                missing: missing.collect(),
                origin: self.origin().clone(),
            });
        };
        let scopes = text("sso_registration_scopes").map(scopes).unwrap_or_default();
        let key = SsoKey::Session(self.name.clone());
        Ok(SsoLogin { key, start_url: start_url.to_owned(), region: region.to_owned(), scopes })
    }
}

/// The parts of a comma list, without blanks and without empty ones.
fn scopes(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(ToOwned::to_owned).collect()
}

fn nested<'a>(setting: Option<&'a Setting>, inner: &str) -> Option<&'a str> {
    match &setting?.content {
        Content::Nested(block) => block.get(inner).map(String::as_str),
        Content::Text(_) | Content::Secret(_) => None,
    }
}

fn document(path: &Path) -> Result<Option<Document>, Fault> {
    let bytes = fs::metadata(path).and_then(|found| if found.is_file() { fs::read(path).map(Some) } else { Ok(None) });
    match bytes {
        Ok(Some(bytes)) => Ok(Some(Document::parse(path, &bytes)?)),
        Ok(None) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => {
            let message = format!("cannot read `{}`", path.display());
            let hint = format!("look at `ls -l {}`", path.display());
            Err(Fault::new(Kind::Config, path.display().to_string(), message).hint(hint).cause(error))
        }
    }
}

fn open_to_others(path: &Path) -> Option<Warning> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let message = format!("others may read these keys; run `chmod 600 {}`", path.display());
    let origin = Origin { file: path.into(), line: 1 };
    (mode & 0o077 != 0).then_some(Warning { origin, message })
}

fn sections(document: Option<&Document>) -> Result<Vec<Section>, Mistake> {
    document.map_or(Ok(Vec::new()), Document::sections)
}

/// What a header of the config file stands for.
pub(crate) enum Meaning {
    Profile(String),
    Session(String),
    Services(String),
    Nothing(String),
}

impl Meaning {
    /// botocore looks at how the header begins and takes the second of exactly two words as the name.
    pub(crate) fn of(header: &str) -> Self {
        if header == "default" {
            return Self::Profile(header.to_owned());
        }
        let Some(kind) = ["profile", "sso-session", "services"].into_iter().find(|kind| header.starts_with(kind))
        else {
            return Self::Nothing(format!("`[{header}]` is not a profile; write `[profile {header}]`"));
        };
        match (kind, words(header).as_deref()) {
            ("profile", Ok([_, name])) => Self::Profile(name.clone()),
            ("sso-session", Ok([_, name])) => Self::Session(name.clone()),
            ("services", Ok([_, name])) => Self::Services(name.clone()),
            _ => Self::Nothing(format!(
                "`[{header}]` is ignored; write `[{kind} NAME]`, NAME in quotes if it has blanks"
            )),
        }
    }
}
