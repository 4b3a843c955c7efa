//! Where a secret is read from: `{ file = … }`, `{ env = … }` or `{ vault = … }`. It never stands in the file itself.

use std::{ops::Range, path::PathBuf};

use super::{
    Mistake,
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
