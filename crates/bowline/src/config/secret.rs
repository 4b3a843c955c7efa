//! Where a secret is read from: `{ file = … }`, `{ env = … }` or `{ vault = … }`. It never stands in the file itself.

use std::{ops::Range, path::PathBuf};

use super::{
    AccessSection, Config, Mistake,
    sections::name,
    table::{Table, absolute},
};

/// `{ file = … }`, `{ env = … }` or `{ vault = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SecretPlace {
    File(PathBuf),
    Env(String),
    /// A text in the vault.
    Vault(String),
}

impl Config {
    /// Every file that one of its secrets is read from.
    pub(crate) fn secret_files(&self) -> Vec<PathBuf> {
        let keys = self.artifacts.iter().flat_map(|section| match &section.access {
            AccessSection::Keys(keys) => keys.iter().map(|key| &key.secret).collect::<Vec<_>>(),
            AccessSection::Local | AccessSection::Open => Vec::new(),
        });
        let vpn = self.vpn.iter().filter_map(|vpn| vpn.master_key.as_ref());
        let gateway = self.gateway.iter().filter_map(|gateway| gateway.webhook.as_ref()?.secret.as_ref());
        let notify = self.notify.webhook.iter().map(|webhook| &webhook.secret);
        let files = keys.chain(vpn).chain(gateway).chain(notify).filter_map(|secret| match secret {
            SecretPlace::File(path) => Some(path.clone()),
            SecretPlace::Env(_) | SecretPlace::Vault(_) => None,
        });
        files.collect()
    }
}

/// Reads these keys of `table`, which may have others. `span` is what a mistake points at.
pub(super) fn secret(
    text: &str,
    table: &mut Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<SecretPlace> {
    let before = mistakes.len();
    let file = table.value("file", mistakes, absolute).map(SecretPlace::File);
    let env = table.value("env", mistakes, name).map(SecretPlace::Env);
    let vault = table.value("vault", mistakes, name).map(SecretPlace::Vault);
    let mut places = [file, env, vault].into_iter().flatten();
    match (places.next(), places.next()) {
        (Some(place), None) => Some(place),
        _ if mistakes.len() > before => None,
        _ => {
            let message = "a secret is read from one place: `file = \"…\"`, `env = \"…\"` or `vault = \"…\"`";
            mistakes.push(Mistake::at(text, span, message));
            None
        }
    }
}

/// A table of its own that has nothing else: `KEY = { file = … }`.
pub(super) fn of_key(
    text: &str,
    section: &mut Table<'_>,
    key: &'static str,
    mistakes: &mut Vec<Mistake>,
) -> Option<SecretPlace> {
    let (mut table, span) = section.table(key, mistakes)?;
    let place = secret(text, &mut table, &span, mistakes);
    table.finish(mistakes);
    place
}
