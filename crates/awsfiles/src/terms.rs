//! What a profile says of the role sessions made with it: tags, source identity, policies. Checked here, so that AWS is
//! not asked with what it must refuse.

use crate::{ConfigError, Profile, Setting, Terms};

/// The terms of `profile`; none at all for most.
pub(crate) fn terms(profile: &Profile) -> Result<Terms, ConfigError> {
    let tags = tags(profile)?;
    let transitive_tags = list(profile, "transitive_session_tags");
    if let Some(part) = transitive_tags.iter().find(|key| !tags.iter().any(|(tag, _)| tag == *key)) {
        return Err(bad(profile, "transitive_session_tags", part, "which is no key of `session_tags`"));
    }
    Ok(Terms {
        tags,
        transitive_tags,
        source_identity: text(profile, "source_identity"),
        policy: policy(profile)?,
        policy_arns: list(profile, "session_policy_arns"),
    })
}

fn tags(profile: &Profile) -> Result<Vec<(String, String)>, ConfigError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for part in list(profile, "session_tags") {
        let pair = part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        let Some(pair) = pair.filter(|(key, _)| !key.is_empty()) else {
            return Err(bad(profile, "session_tags", &part, "which is not key=value"));
        };
        if tags.iter().any(|(key, _)| key.eq_ignore_ascii_case(&pair.0)) {
            return Err(bad(profile, "session_tags", &part, "whose key stands there twice"));
        }
        tags.push(pair);
    }
    Ok(tags)
}

fn policy(profile: &Profile) -> Result<Option<String>, ConfigError> {
    let Some(policy) = text(profile, "session_policy") else { return Ok(None) };
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&policy) {
        Ok(_) => Ok(Some(policy)),
        Err(_) => Err(ConfigError::BadPolicy {
            profile: profile.name().to_owned(),
            origin: origin(profile.setting("session_policy"), profile),
        }),
    }
}

fn bad(profile: &Profile, key: &'static str, part: &str, why: &'static str) -> ConfigError {
    let origin = origin(profile.setting(key), profile);
    ConfigError::BadTags { profile: profile.name().to_owned(), key, part: part.to_owned(), why, origin }
}

fn origin(setting: Option<&Setting>, profile: &Profile) -> crate::Origin {
    setting.map_or_else(|| profile.origin().clone(), |setting| setting.origin.clone())
}

fn list(profile: &Profile, key: &str) -> Vec<String> {
    let parts = profile.text(key).unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
}

fn text(profile: &Profile, key: &str) -> Option<String> {
    profile.text(key).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Document};

    fn read(text: &str) -> Result<Terms, ConfigError> {
        let text = format!("[profile a]\n{text}");
        let document = Document::parse(std::path::Path::new("config"), text.as_bytes()).unwrap();
        terms(Config::read(Some(&document), None).unwrap().profile("a").unwrap())
    }

    #[test]
    fn tags_are_pairs_and_transitive_ones_are_among_them() {
        let found = read("session_tags = team = build, stage=a=b\ntransitive_session_tags = team\n").unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(found.tags, [pair("team", "build"), pair("stage", "a=b")]);
        assert_eq!(found.transitive_tags, ["team"]);
        assert_eq!(read("region = x\n").unwrap(), Terms::default());
    }

    #[test]
    fn what_aws_must_refuse_is_named_with_its_line() {
        for (text, words) in [
            ("session_tags = team\n", "config:2: `session_tags` of profile `a` has `team`, which is not key=value"),
            ("session_tags = t=1,T=2\n", "stands there twice"),
            ("transitive_session_tags = team\n", "no key of `session_tags`"),
            ("session_policy = [1]\n", "not one JSON object"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
