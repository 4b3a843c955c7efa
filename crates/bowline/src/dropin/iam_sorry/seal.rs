//! `--encrypt`: the manager's two values are sealed where they stand, and every other byte of the file stays.

use std::path::Path;

use bowline_awsfiles::{Document, EditError, Rule, SectionName, rewrite};
use bowline_base::{Fault, Secret};
use bowline_host::client::random_bytes;
use bowline_vault::{
    Field, ProfileName,
    envelope::{Pair, SealingKey, is_sealed, open_pair},
};

use super::{
    key_file::SshKey,
    section::{Standing, standing, value},
    task::{refused, wrong},
};
use crate::output;

/// Seals profile `name` of `file` with `key`.
pub(super) fn run(file: &Path, name: &str, key: &SshKey) -> Result<(), Fault> {
    let name = ProfileName::new(name)?;
    let (sealing, bytes) = key.for_sealing()?;
    let mut outcome = Ok(());
    let written = rewrite(file, Rule::Credentials, |document| {
        let mut sealed = document.clone();
        outcome = seal(&mut sealed, &name, &sealing, &bytes);
        if outcome.is_ok() {
            *document = sealed;
        }
        Ok::<_, EditError>(())
    });
    outcome?;
    if written?.tightened {
        output::say(&format!("note: others could read `{}`; now only you can", file.display()));
    }
    output::say(&format!(
        "sealed: the keys of `{name}`, with the bytes of the SSH key file: keep a copy of it, as `ssh-keygen -p` changes them\n\
         note: other tools now take the sealed text of `{name}` for a key; `bowline vault migrate {name}` moves it where they do not see it"
    ));
    Ok(())
}

fn seal(document: &mut Document, name: &ProfileName, key: &SealingKey, bytes: &[u8]) -> Result<(), Fault> {
    let section = document.sections()?.into_iter().find(|section| section.name == name.as_str());
    let section = section.ok_or_else(|| missing(name.as_str()))?;
    match standing(&section) {
        Standing::Open => {}
        Standing::Sealed => return Err(refused(format!("profile `{name}` is sealed already"))),
        Standing::Temporary => {
            return Err(refused(format!("profile `{name}` holds temporary credentials, which end by themselves"))
                .hint("name the profile with a manager's keys: iam-sorry --profile NAME --encrypt"));
        }
        Standing::NoKeys => return Err(wrong(format!("profile `{name}` has no key id and secret key to seal"))),
    }
    let [key_id, secret_key] = [Field::KeyId, Field::SecretKey].map(|field| value(&section, field.name()));
    let (Some(key_id), Some(secret_key)) = (key_id, secret_key) else { return Err(missing(name.as_str())) };
    let opened = |pair: [&Secret; 2]| {
        open_pair(Pair { profile: name.as_str(), key_id: pair[0].expose(), secret_key: pair[1].expose() }, bytes)
    };
    // Of a pair of which one half is sealed already, that half has to open with this key.
    let plain = opened([&key_id, &secret_key])?;
    let enclosed = |value: Secret| -> Result<Secret, Fault> {
        if is_sealed(value.expose()) { Ok(value) } else { Ok(Secret::new(key.seal(&value, random_bytes()?))) }
    };
    let (key_id, secret_key) = (enclosed(key_id)?, enclosed(secret_key)?);
    let again = opened([&key_id, &secret_key])?;
    if again.key_id != plain.key_id || again.secret_key != plain.secret_key {
        return Err(wrong("what was sealed does not open to what it was; nothing is written"));
    }
    let place = SectionName::Credentials(name.as_str().to_owned());
    for (field, value) in [(Field::KeyId, &key_id), (Field::SecretKey, &secret_key)] {
        document.set(&place, field.name(), value.expose())?;
    }
    Ok(())
}

pub(super) fn missing(name: &str) -> Fault {
    wrong(format!("there is no profile `{name}` in the credentials file")).hint(
        "iam-sorry --profile NAME names another; with a manager's keys in the environment, `iam-sorry` alone makes it",
    )
}
