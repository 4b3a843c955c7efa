//! Secrets that `bowline.toml` names instead of holding them: `{ file = … }`, `{ env = … }` and `{ vault = … }`.

use bowline_base::{Fault, Kind, Secret, shell};

use crate::{config::SecretPlace, keyring::Keyring, world::World};

/// The secret at `place`, without blanks around it. The vault is opened for it, with a passphrase if somebody can be
/// asked.
pub(crate) fn read(world: &World, place: &SecretPlace) -> Result<Secret, Fault> {
    let wrong = |message: String| Fault::new(Kind::Config, "secret", message);
    let found = match place {
        SecretPlace::File(path) => {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|cause| {
                let hint = shell::to_have_a_secret_in(path, &cause);
                wrong(format!("cannot read the secret in `{}`", path.display())).cause(cause).hint(hint)
            })?;
            Secret::new(text.trim())
        }
        SecretPlace::Env(name) => {
            let text = world.environment.var(name).ok_or_else(|| {
                wrong(format!("the variable `{name}` with a secret is not set"))
                    .hint(format!("set `{name}`, for the daemon too"))
            })?;
            Secret::new(text.trim())
        }
        SecretPlace::Vault(name) => Keyring::open(world).text(name)?,
    };
    if found.is_blank() {
        let place = match place {
            SecretPlace::File(path) => path.display().to_string(),
            SecretPlace::Env(name) | SecretPlace::Vault(name) => name.clone(),
        };
        return Err(wrong(format!("`{place}` is blank")).hint("write a long random text into it: openssl rand -hex 32"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn a_secret_that_is_there_and_cannot_be_read_is_never_to_be_written_over() {
        let home = tempfile::tempdir().unwrap();
        let variables = [("HOME".to_owned(), home.path().display().to_string())].into();
        let world = World::new(Environment::of(variables)).unwrap();
        let file = home.path().join("it's mine");
        let hint = || read(&world, &SecretPlace::File(file.clone())).unwrap_err().hint.unwrap();
        assert!(hint().ends_with(r"it'\''s mine'"), "{}", hint());
        bowline_base::atomic::write_private(&file, b"\xff\xfe0123").unwrap();
        assert!(!hint().contains('>'), "{}", hint());
    }
}
