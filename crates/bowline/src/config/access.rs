//! Who may read the repositories, with which certificate they are served, and how this machine reads somebody else's.

use std::{ops::Range, path::PathBuf};

use super::{
    ArtifactsSection, Mistake,
    secret::{self, SecretPlace},
    sections::name,
    table::Table,
};

/// `access = …`
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum AccessSection {
    /// Nothing is said: loopback only.
    #[default]
    Local,
    /// `"open"`
    Open,
    /// `{ tokens = […], basic = […] }`
    Keys(Vec<KeySection>),
}

/// One key and where it is read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeySection {
    pub(crate) name: String,
    pub(crate) scheme: bowline_artifacts::Scheme,
    pub(crate) secret: SecretPlace,
}

/// `tls = { certificate = …, private-key = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TlsSection {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

/// `[artifacts-client]`: a repository of ours on another machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientSection {
    pub(crate) url: String,
    pub(crate) token: Option<SecretPlace>,
}

pub(super) fn access(text: &str, section: &mut Table<'_>, mistakes: &mut Vec<Mistake>) -> AccessSection {
    if section.is_text("access") {
        return section.value("access", mistakes, open).unwrap_or_default();
    }
    let Some((mut table, span)) = section.table("access", mistakes) else { return AccessSection::Local };
    let mut keys = Vec::new();
    for (key, label, scheme) in
        [("tokens", "name", bowline_artifacts::Scheme::Token), ("basic", "user", bowline_artifacts::Scheme::Basic)]
    {
        for (mut entry, span) in table.tables(key, mistakes) {
            let name = entry.value(label, mistakes, name);
            let secret = secret::secret(text, &mut entry, &span, mistakes);
            entry.finish(mistakes);
            match (name, secret) {
                (Some(name), Some(secret)) => keys.push(KeySection { name, scheme, secret }),
                (None, _) => {
                    mistakes.push(Mistake::at(text, &span, format!("an entry of `access.{key}` needs `{label}`")));
                }
                (Some(_), None) => {}
            }
        }
    }
    table.finish(mistakes);
    if keys.is_empty() {
        mistakes.push(Mistake::at(text, &span, "`access` lets nobody in: add `tokens` or `basic`, or say \"open\""));
    }
    AccessSection::Keys(keys)
}

pub(super) fn tls(text: &str, section: &mut Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<TlsSection> {
    let (mut table, span) = section.table("tls", mistakes)?;
    let (certificate, private_key) = (table.path("certificate", mistakes), table.path("private-key", mistakes));
    table.finish(mistakes);
    match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => Some(TlsSection { certificate, private_key }),
        _ => {
            let message =
                "`artifacts.tls` needs `certificate` and `private-key`; `bowline artifacts tls init` makes both";
            mistakes.push(Mistake::at(text, &span, message));
            None
        }
    }
}

/// An address that others reach needs a word about who may read.
pub(super) fn reachable(text: &str, span: &Range<usize>, artifacts: &ArtifactsSection, mistakes: &mut Vec<Mistake>) {
    let others = artifacts.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
    if let Some(address) = others.filter(|_| artifacts.access == AccessSection::Local) {
        let message = format!(
            "other machines reach {address}: say who may read with `access = {{ tokens = […] }}`, or `access = \"open\"`"
        );
        mistakes.push(Mistake::at(text, span, message));
    }
}

pub(super) fn client(
    text: &str,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<ClientSection> {
    let url = table.value("url", mistakes, bowline_artifacts::upstream::http::repository_url);
    let token = secret::of_key(text, &mut table, "token", mistakes);
    table.finish(mistakes);
    let Some(url) = url else {
        if mistakes.is_empty() {
            mistakes.push(Mistake::at(text, span, "`artifacts-client` needs `url`, where the repository is"));
        }
        return None;
    };
    Some(ClientSection { url, token })
}

fn open(text: &str) -> Result<AccessSection, String> {
    match text {
        "open" => Ok(AccessSection::Open),
        _ => Err(format!(
            "`{text}` is not `open`; keys are written `access = {{ tokens = [{{ name = …, file = … }}] }}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn artifacts(lines: &str) -> Result<ArtifactsSection, Vec<String>> {
        let text = format!("[artifacts]\n{lines}\n[[artifacts.repository]]\nfrom = \"/srv/maven\"\n");
        parse(&text)
            .map(|config| config.artifacts.unwrap())
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn keys_are_named_and_read_from_elsewhere() {
        let read = artifacts(
            "listen = \"0.0.0.0:9000\"\naccess = { tokens = [{ name = \"ci\", env = \"T\" }, { name = \"farm\", vault = \"farm\" }], basic = [{ user = \"ann\", file = \"/p\" }] }",
        )
        .unwrap();
        let AccessSection::Keys(keys) = read.access else { panic!("{:?}", read.access) };
        assert_eq!(keys[0].secret, SecretPlace::Env("T".to_owned()));
        assert_eq!(keys[1].secret, SecretPlace::Vault("farm".to_owned()));
        assert_eq!((keys[2].name.as_str(), &keys[2].secret), ("ann", &SecretPlace::File("/p".into())));
    }

    #[test]
    fn an_address_for_others_without_a_word_is_a_mistake() {
        let wrong = artifacts("listen = \"0.0.0.0:9000\"").unwrap_err();
        assert!(wrong[0].contains("other machines reach 0.0.0.0:9000"), "{wrong:?}");
        assert_eq!(artifacts("listen = \"0.0.0.0:9000\"\naccess = \"open\"").unwrap().access, AccessSection::Open);
        assert_eq!(artifacts("").unwrap().access, AccessSection::Local);
    }

    #[test]
    fn half_of_it_is_a_mistake_with_a_hint() {
        for (line, part) in [
            ("access = \"opn\"", "is not `open`"),
            ("access = {}", "lets nobody in"),
            ("access = { token = [] }", "did you mean `tokens`?"),
            ("access = { tokens = [{ name = \"ci\" }] }", "one place"),
            ("access = { tokens = [{ name = \"ci\", env = \"A\", file = \"/b\" }] }", "one place"),
            ("access = { basic = [{ name = \"ann\", env = \"A\" }] }", "needs `user`"),
            ("tls = { certificate = \"/c\" }", "needs `certificate` and `private-key`"),
            ("tls = { certificate = \"/c\", private-kye = \"/k\" }", "did you mean `private-key`?"),
        ] {
            let wrong = artifacts(line).unwrap_err();
            assert!(wrong.iter().any(|one| one.contains(part)), "{line}: {wrong:?}");
        }
    }

    #[test]
    fn a_client_names_a_url_and_may_have_a_token() {
        let config = parse("[artifacts-client]\nurl = \"https://repo.corp:9000/\"\ntoken = { env = \"T\" }\n").unwrap();
        assert_eq!(config.artifacts_client.unwrap().url, "https://repo.corp:9000");
        assert!(parse("[artifacts-client]\nurl = \"http://repo.corp/\"\n").is_err());
        assert!(parse("[artifacts-client]\n").is_err());
    }
}
