//! `[identity.NAME]`: who this machine is, where AWS's own files cannot say it. Paths may be relative to the file.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_awsfiles::{Password, RolesAnywhere};

use super::{mistakes::Mistake, table::Table};

const HOUR: Duration = Duration::from_secs(3600);

/// Reads every identity of the section.
pub(super) fn read(text: &str, section: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Vec<RolesAnywhere> {
    let tables = section.named_tables(mistakes);
    tables.into_iter().filter_map(|(name, table, span)| identity(text, name, table, &span, mistakes)).collect()
}

/// Puts `directory` before every relative path.
pub(super) fn below(identities: &mut [RolesAnywhere], directory: &Path) {
    for identity in identities {
        let password = match &mut identity.password {
            Some(Password::File(path)) => Some(path),
            Some(Password::Variable(_) | Password::Given(_)) | None => None,
        };
        let paths = [Some(&mut identity.certificate), identity.intermediates.as_mut(), identity.private_key.as_mut()];
        for path in paths.into_iter().chain([password]).flatten() {
            *path = directory.join(&*path);
        }
    }
}

fn identity(
    text: &str,
    name: String,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<RolesAnywhere> {
    let Some((certificate, at)) = table.table("roles-anywhere", mistakes) else {
        mistakes.push(Mistake::at(text, span, format!("identity `{name}` needs `roles-anywhere = {{ … }}`")));
        table.finish(mistakes);
        return None;
    };
    table.finish(mistakes);
    roles_anywhere(text, name, certificate, &at, mistakes)
}

fn roles_anywhere(
    text: &str,
    name: String,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<RolesAnywhere> {
    let certificate = table.value("certificate", mistakes, path);
    let intermediates = table.value("intermediates", mistakes, path);
    let private_key = table.table("private-key", mistakes).and_then(|(table, _)| private_key(table, mistakes));
    let password = table.table("password", mistakes).and_then(|(table, _)| password(table, mistakes));
    let [trust_anchor, profile, role] = ["trust-anchor", "profile", "role"].map(|key| table.value(key, mistakes, arn));
    let session_name = table.value("session-name", mistakes, session_name);
    let duration = table.duration("duration", mistakes);
    if duration.is_some_and(|time| time < HOUR / 4 || time > 12 * HOUR) {
        mistakes.push(Mistake::at(text, span, format!("`identity.{name}`: `duration` must be from 15m to 12h")));
    }
    let needed = ["certificate", "trust-anchor", "profile", "role"];
    if let Some(missing) = table.lacks(&needed) {
        mistakes.push(Mistake::at(text, span, format!("`identity.{name}` needs {missing}")));
    }
    table.finish(mistakes);
    Some(RolesAnywhere {
        name,
        certificate: certificate?,
        intermediates,
        private_key,
        password,
        trust_anchor: trust_anchor?,
        profile: profile?,
        role: role?,
        session_name,
        duration,
        region: None,
        edition: None,
    })
}

fn private_key(mut table: Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<PathBuf> {
    let file = table.value("file", mistakes, path);
    table.finish(mistakes);
    file
}

fn password(mut table: Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<Password> {
    let file = table.value("file", mistakes, path).map(Password::File);
    let variable = table.value("env", mistakes, |text| Ok(Password::Variable(text.to_owned())));
    table.finish(mistakes);
    file.or(variable)
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path must not be empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn arn(text: &str) -> Result<String, String> {
    let whole = text.starts_with("arn:") && text.split(':').count() >= 6;
    if whole { Ok(text.to_owned()) } else { Err(format!("`{text}` is not an ARN: write it as arn:aws:…")) }
}

fn session_name(text: &str) -> Result<String, String> {
    let fits = (2..=64).contains(&text.len());
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c));
    if fits && good {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a session name: 2 to 64 letters, digits and _+=,.@-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const GOOD: &str = r#"[identity.site]
roles-anywhere = { certificate = "site.pem", private-key = { file = "/k/site.key" }, password = { env = "P" }, trust-anchor = "arn:aws:rolesanywhere:eu-central-1:1:trust-anchor/t", profile = "arn:aws:rolesanywhere:eu-central-1:1:profile/p", role = "arn:aws:iam::1:role/r", duration = "2h" }
"#;

    #[test]
    fn the_example_of_the_design_is_read_and_its_paths_are_below_the_file() {
        let mut identities = parse(GOOD).unwrap().identities;
        below(&mut identities, Path::new("/etc/bowline"));
        let [site] = identities.as_slice() else { panic!() };
        assert_eq!((site.name.as_str(), site.duration), ("site", Some(2 * HOUR)));
        assert_eq!(site.certificate, Path::new("/etc/bowline/site.pem"));
        assert_eq!(site.private_key.as_deref(), Some(Path::new("/k/site.key")));
        assert_eq!(site.password, Some(Password::Variable("P".to_owned())));
    }

    #[test]
    fn what_is_missing_or_misspelt_is_told() {
        let told = |text: &str| parse(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(told(&GOOD.replace("role =", "rol =")).contains("did you mean `role`?"));
        assert!(told(&GOOD.replace("2h", "13h")).contains("from 15m to 12h"));
        assert!(told(&GOOD.replace("role =", "rol =")).contains("`identity.site` needs `role`"));
        assert!(!told(&GOOD.replace("\"arn:", "\"")).contains("needs"));
        assert!(told("[identity.site]\n").contains("needs `roles-anywhere"));
    }
}
