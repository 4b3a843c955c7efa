//! What can be wrong with AWS files, as values; at the border each becomes a [`Fault`] with the next step.

use std::path::PathBuf;

use base::{Fault, Kind};
use bowline_base as base;

use crate::sections::Origin;

/// Why a file cannot be read at all. One such line makes botocore lose every profile of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// What.
    pub problem: Problem,
}

/// The kinds of [`Mistake`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Text that is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotUtf8,
    /// Something stands above the first section.
    #[error("there is text before the first `[section]`")]
    Homeless,
    /// The beginning of a header and not its end.
    #[error("the `]` of the section is missing")]
    OpenBracket,
    /// A line that is no setting.
    #[error("the line has no `=`")]
    NoDelimiter,
    /// A value without a key.
    #[error("the line has no key before the `=`")]
    NoKey,
    /// The same section twice.
    #[error("section `[{name}]` stands already on line {first}")]
    DuplicateSection {
        /// Between the brackets.
        name: String,
        /// Line of the first one.
        first: usize,
    },
    /// The same key twice in one section, upper and lower case being the same.
    #[error("key `{key}` of `[{section}]` stands already on line {first}")]
    DuplicateKey {
        /// In lower case.
        key: String,
        /// Between the brackets.
        section: String,
        /// Line of the first one.
        first: usize,
    },
    /// The indented block below an empty value has a line without `=`.
    #[error("the indented block of `{key}` has a line without `=`")]
    FlatNested {
        /// The key above the block.
        key: String,
    },
}

impl Problem {
    fn hint(&self) -> &'static str {
        match self {
            Self::NotUtf8 => "save the file as UTF-8",
            Self::Homeless => "put a header such as `[default]` above it, or `#` in front of it",
            Self::OpenBracket => "write `[name]`",
            Self::NoDelimiter => "write `key = value`, or put `#` in front of the line",
            Self::NoKey => "write `key = value`, or remove the line",
            Self::DuplicateSection { .. } => "join the two sections into one",
            Self::DuplicateKey { .. } => "remove one of the two lines",
            Self::FlatNested { .. } => "write `key = value` on each line of the block",
        }
    }
}

impl From<Mistake> for Fault {
    fn from(mistake: Mistake) -> Self {
        let hint = mistake.problem.hint();
        Self::new(Kind::Config, mistake.origin.to_string(), mistake.to_string()).hint(hint)
    }
}

/// The AWS config file that was looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigFile {
    /// Nobody said which.
    #[default]
    Unsaid,
    /// It was read.
    There(PathBuf),
    /// There is none.
    Missing(PathBuf),
}

fn without(file: &ConfigFile) -> String {
    match file {
        ConfigFile::Missing(path) => format!(": there is no file `{}`", path.display()),
        ConfigFile::There(_) | ConfigFile::Unsaid => String::new(),
    }
}

/// Why a profile has no answer. Names profiles, keys and lines, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say in order what the message shows")]
pub enum ConfigError {
    /// A file cannot be read.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// No such profile in either file.
    #[error("profile `{name}` does not exist{}", without(.file))]
    NoProfile { name: String, nearest: Option<String>, file: ConfigFile },
    /// No such `[sso-session]`.
    #[error("{origin}: sso-session `{session}` does not exist")]
    NoSession { session: String, origin: Origin, nearest: Option<String> },
    /// No such `[services]`.
    #[error("{origin}: services section `{section}` of profile `{profile}` does not exist")]
    NoServices { profile: String, section: String, origin: Origin, nearest: Option<String> },
    /// `source_profile` names nothing.
    #[error("{origin}: source_profile `{source_profile}` of profile `{profile}` does not exist")]
    NoSource { profile: String, source_profile: String, origin: Origin, nearest: Option<String> },
    /// `source_profile` goes in a circle.
    #[error("{origin}: source_profile goes in a circle: {}", chain(.visited))]
    Loop { visited: Vec<String>, origin: Origin },
    /// A key is there and its companion is not.
    #[error("{origin}: profile `{profile}` has `{present}` but no {missing}")]
    Partial { profile: String, present: &'static str, missing: &'static str, origin: Origin },
    /// Both `source_profile` and `credential_source`.
    #[error("{origin}: profile `{profile}` has both `source_profile` and `credential_source`")]
    BothSources { profile: String, origin: Origin },
    /// A `credential_source` that nobody knows.
    #[error("{origin}: credential_source `{value}` of profile `{profile}` is not known")]
    UnknownCredentialSource { profile: String, value: String, origin: Origin },
    /// The end of a chain has nothing to begin with.
    #[error("{origin}: source_profile `{source_profile}` of profile `{profile}` has no credentials")]
    EmptySource { profile: String, source_profile: String, origin: Origin },
    /// The profile says nothing about credentials.
    #[error("{origin}: profile `{profile}` has no credentials")]
    NoCredentials { profile: String, origin: Origin },
    /// A section lacks keys that it needs.
    #[error("{origin}: {section} lacks {}", missing.join(", "))]
    Missing { section: String, missing: Vec<&'static str>, origin: Origin },
    /// Profile and `[sso-session]` say different things.
    #[error("{origin}: `{key}` of profile `{profile}` differs from {session_origin}")]
    Disagreement { profile: String, key: String, origin: Origin, session_origin: Origin },
    /// A whole number was wanted.
    #[error("{origin}: `{key}` of profile `{profile}` is not a whole number of seconds: `{value}`")]
    BadSeconds { profile: String, key: &'static str, value: String, origin: Origin },
    /// A command cannot be split into words, or has none.
    #[error("{origin}: the {key} of profile `{profile}` is empty or has an open quote")]
    BadCommand { profile: String, key: &'static str, origin: Origin },
    /// A list of session tags cannot be read.
    #[error("{origin}: `{key}` of profile `{profile}` has `{part}`, {why}")]
    BadTags { profile: String, key: &'static str, part: String, why: &'static str, origin: Origin },
    /// A session policy is no JSON object.
    #[error("{origin}: the session_policy of profile `{profile}` is not one JSON object")]
    BadPolicy { profile: String, origin: Origin },
    /// `aws login` sessions are the AWS CLI's alone.
    #[error("{origin}: profile `{profile}` uses `login_session`, which only the AWS CLI can renew")]
    LoginSession { profile: String, origin: Origin },
    /// The environment lacks a variable.
    #[error("`HOME` is not set, so there is no `~/.aws`")]
    NoHome,
}

impl ConfigError {
    /// The exact next command or edit.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Mistake(mistake) => mistake.problem.hint().to_owned(),
            Self::NoProfile { name, nearest, file } => {
                let place = match file {
                    ConfigFile::There(path) | ConfigFile::Missing(path) => format!("`{}`", path.display()),
                    ConfigFile::Unsaid => "the AWS config file".to_owned(),
                };
                suggestion(nearest, &format!("add `[profile {name}]` to {place}"))
            }
            Self::NoSession { session, nearest, .. } => {
                suggestion(nearest, &format!("add `[sso-session {session}]` with sso_start_url and sso_region"))
            }
            Self::NoServices { section, nearest, .. } => suggestion(nearest, &format!("add `[services {section}]`")),
            Self::NoSource { source_profile, nearest, .. } => {
                suggestion(nearest, &format!("add `[profile {source_profile}]`"))
            }
            Self::Loop { .. } => "let the last of them use keys, sso_session or credential_process".to_owned(),
            Self::Partial { missing, .. } => format!("add {missing} to the profile"),
            Self::BothSources { .. } => "remove one of the two lines".to_owned(),
            Self::UnknownCredentialSource { .. } => {
                "write `Environment`, `EcsContainer` or `Ec2InstanceMetadata`".to_owned()
            }
            Self::EmptySource { source_profile, .. } => no_credentials_hint(source_profile),
            Self::NoCredentials { profile, .. } => no_credentials_hint(profile),
            Self::Missing { missing, section, .. } => format!("add {} to {section}", missing.join(", ")),
            Self::Disagreement { key, .. } => format!("remove `{key}` from the profile"),
            Self::BadSeconds { key, .. } => format!("write a number, for example `{key} = 3600`"),
            Self::BadTags { .. } => "write `session_tags = key=value,key=value`".to_owned(),
            Self::BadPolicy { .. } => "write the policy document in one line, `{\"Version\": …}`".to_owned(),
            Self::BadCommand { .. } => "close every quote; no shell runs the line".to_owned(),
            Self::LoginSession { profile, .. } => format!(
                "in another profile: `credential_process = aws configure export-credentials --profile {profile}`"
            ),
            Self::NoHome => "set `HOME`, for example `export HOME=/home/me`".to_owned(),
        }
    }

    /// Where it stands, if it stands anywhere.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::NoProfile { .. } | Self::NoHome => None,
            Self::Mistake(mistake) => Some(&mistake.origin),
            Self::NoSession { origin, .. }
            | Self::NoServices { origin, .. }
            | Self::NoSource { origin, .. }
            | Self::Loop { origin, .. }
            | Self::Partial { origin, .. }
            | Self::BothSources { origin, .. }
            | Self::UnknownCredentialSource { origin, .. }
            | Self::EmptySource { origin, .. }
            | Self::NoCredentials { origin, .. }
            | Self::Missing { origin, .. }
            | Self::Disagreement { origin, .. }
            | Self::BadSeconds { origin, .. }
            | Self::BadCommand { origin, .. }
            | Self::BadTags { origin, .. }
            | Self::BadPolicy { origin, .. }
            | Self::LoginSession { origin, .. } => Some(origin),
        }
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let origin = error.origin().map_or_else(|| "AWS config".to_owned(), ToString::to_string);
        Self::new(Kind::Config, origin, error.to_string()).hint(error.hint())
    }
}

/// The known name that `wanted` is most likely a misspelling of.
pub(crate) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let allowed = (wanted.chars().count() / 3).max(1);
    let scored = known.map(|name| (strsim::damerau_levenshtein(wanted, name), name));
    scored.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name.clone())
}

fn suggestion(nearest: &Option<String>, otherwise: &str) -> String {
    nearest.as_ref().map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
}

fn chain(visited: &[String]) -> String {
    let quoted: Vec<String> = visited.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" -> ")
}

fn no_credentials_hint(profile: &str) -> String {
    format!("add sso_session, credential_process or access keys to profile `{profile}`")
}
