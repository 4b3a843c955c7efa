//! Where the AWS files are and which profile is meant, from the environment that the caller hands in.

use std::path::PathBuf;

use crate::ConfigError;

/// The paths of everything that this crate reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// `AWS_CONFIG_FILE`, else `~/.aws/config`.
    pub config: PathBuf,
    /// `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub credentials: PathBuf,
    /// `~/.aws/sso/cache`; no variable moves it.
    pub sso_cache: PathBuf,
}

impl Locations {
    /// Reads `HOME`, `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` through `lookup`; `$NAME`, `${NAME}` and a
    /// leading `~` in the latter two are expanded, names that are not set stay as they are.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] without a `HOME`.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let home = lookup("HOME").filter(|home| !home.is_empty()).ok_or(ConfigError::NoHome)?;
        let aws = PathBuf::from(&home).join(".aws");
        let path = |variable: &str, default: &str| match lookup(variable) {
            Some(text) => PathBuf::from(with_home(expand(&text, lookup), &home)),
            None => aws.join(default),
        };
        Ok(Self {
            config: path("AWS_CONFIG_FILE", "config"),
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            sso_cache: aws.join("sso/cache"),
        })
    }
}

/// The profile that is meant when none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultProfile {
    /// Its name.
    pub name: String,
    /// The variable that says so; then the profile has to exist.
    pub variable: Option<&'static str>,
}

impl DefaultProfile {
    /// `AWS_DEFAULT_PROFILE`, else `AWS_PROFILE` (botocore's order), else `default`. An empty variable is none.
    #[must_use]
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |variable| lookup(variable).filter(|name| !name.is_empty()).map(|name| (name, variable));
        match set("AWS_DEFAULT_PROFILE").or_else(|| set("AWS_PROFILE")) {
            Some((name, variable)) => Self { name, variable: Some(variable) },
            None => Self { name: "default".to_owned(), variable: None },
        }
    }
}

fn with_home(path: String, home: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home.trim_end_matches('/')),
        _ => path,
    }
}

/// Python's `expandvars`: a name is letters, digits and `_`, or anything between braces.
fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, variable) = rest.split_at(at);
        expanded.push_str(before);
        let (name, length) = name_after_dollar(&variable[1..]);
        match lookup(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&variable[..=length]),
        }
        rest = &variable[1 + length..];
    }
    expanded + rest
}

/// The name and how many bytes it takes, braces included.
fn name_after_dollar(text: &str) -> (&str, usize) {
    if let Some((name, _)) = text.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
        return (name, name.len() + 2);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (&text[..end], end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let map: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        move |name| map.get(name).cloned()
    }

    #[test]
    fn files_are_in_the_home_directory() {
        let found = Locations::from_environment(&environment(&[("HOME", "/home/me")])).unwrap();
        assert_eq!(found.config, PathBuf::from("/home/me/.aws/config"));
        assert_eq!(found.credentials, PathBuf::from("/home/me/.aws/credentials"));
        assert_eq!(found.sso_cache, PathBuf::from("/home/me/.aws/sso/cache"));
    }

    #[test]
    fn tilde_and_variables_are_expanded_in_both_paths() {
        let set = |config: &'static str, expected: &str| {
            let pairs = [("HOME", "/h"), ("WHO", "me"), ("AWS_CONFIG_FILE", config)];
            let found = Locations::from_environment(&environment(&pairs)).unwrap();
            assert_eq!(found.config, PathBuf::from(expected), "{config}");
        };
        set("~/x", "/h/x");
        set("$HOME/${WHO}/c", "/h/me/c");
        set("/a/$NOBODY/${NONE}/$", "/a/$NOBODY/${NONE}/$");
        set("~other/x", "~other/x");
        let pairs = [("HOME", "/h"), ("AWS_SHARED_CREDENTIALS_FILE", "$HOME/keys")];
        assert_eq!(Locations::from_environment(&environment(&pairs)).unwrap().credentials, PathBuf::from("/h/keys"));
    }

    #[test]
    fn without_a_home_the_hint_says_what_to_set() {
        let error = Locations::from_environment(&environment(&[])).unwrap_err();
        assert!(error.hint().contains("HOME"), "{}", error.hint());
    }

    #[test]
    fn the_profile_comes_from_the_variables_in_botocores_order() {
        let name = |pairs: &[(&str, &str)]| DefaultProfile::from_environment(&environment(pairs)).name;
        assert_eq!(name(&[]), "default");
        assert_eq!(name(&[("AWS_PROFILE", "a")]), "a");
        assert_eq!(name(&[("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")]), "b");
        assert_eq!(name(&[("AWS_PROFILE", "")]), "default");
    }
}
