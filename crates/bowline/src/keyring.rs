//! One profile's long-lived keys, wherever they lie: in plaintext, in iam-sorry's envelopes, or in the store.
//!
//! For whoever changes keys at AWS and has to know that the new ones are kept: [`Keyring::load`] gives what is there,
//! [`Keyring::replace`] returns when the new keys are on disk, in the place and the form of the old ones. The keyring
//! calls no AWS, and keeps no copy of what it gives away. A passphrase is asked for once, on the terminal.

use std::path::PathBuf;

use bowline_awsfiles::{
    Config, Document, EditError, Profile, RewriteError, Rule, SealedKeys, SealedPlace, Section, SectionName, Source,
    rewrite,
};
use bowline_base::{Fault, KeyId, Kind, Secret, utc};
use bowline_credentials::vault::{Vault, is_locked, key_file};
use bowline_host::client::random_bytes;
use bowline_vault::{
    Keys, ProfileName,
    envelope::SealingKey,
    store::{Contents, Entry, Replacing, StoreError, Unlocked},
};

use crate::{terminal, world::World};

const KEY_ID: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
/// How often a person is asked for a passphrase before we give up.
const TRIES: usize = 3;

/// A long-lived key, in plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongLived {
    pub(crate) key_id: KeyId,
    pub(crate) secret: Secret,
}

/// Where a profile's keys lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the file, in plaintext.
    Plain,
    /// In the file, in iam-sorry's envelopes.
    Envelope,
    /// In the store.
    Store,
}

/// The keys of every profile.
pub(crate) struct Keyring<'w> {
    world: &'w World,
    vault: Vault,
}

impl<'w> Keyring<'w> {
    /// The keyring of `world`: its AWS files, and the vault that its environment and `bowline.toml` name. Opens nothing.
    pub(crate) fn open(world: &'w World) -> Self {
        Self { world, vault: Vault::new(world.setup.vault.clone()) }
    }

    /// Where the keys of `profile` lie.
    ///
    /// # Errors
    /// `Config`: no such profile, or one that gets its credentials in another way.
    pub(crate) fn form(&self, profile: &str) -> Result<Form, Fault> {
        Ok(match source(&self.world.aws_config()?, profile)? {
            Source::Sealed(SealedKeys { place: SealedPlace::Store, .. }) => Form::Store,
            Source::Sealed(_) => Form::Envelope,
            _ => Form::Plain,
        })
    }

    /// The keys of `profile`.
    ///
    /// # Errors
    /// `Config`: no such profile, one without long-lived keys, an envelope that does not open (its likely cause is
    /// named); `LoginRequired`: the store wants a passphrase and nobody can be asked.
    pub(crate) fn load(&self, profile: &str) -> Result<LongLived, Fault> {
        match source(&self.world.aws_config()?, profile)? {
            Source::Static(keys) => Ok(LongLived { key_id: keys.key_id, secret: keys.secret_key }),
            Source::Sealed(sealed) => self.load_sealed(profile, &sealed),
            _ => Err(no_keys(profile)),
        }
    }

    /// Puts `new` in the place of `old_key_id`. When it returns, the new keys are on disk (fsync) and [`Keyring::load`]
    /// gives them; other lines, profiles and keys are as they were.
    ///
    /// # Errors
    /// As [`Keyring::load`], and `Config` when the profile holds another key than `old_key_id`. Then nothing has changed.
    pub(crate) fn replace(&self, profile: &str, old_key_id: &KeyId, new: &LongLived) -> Result<(), Fault> {
        match self.form(profile)? {
            Form::Store => self.replace_in_store(profile, old_key_id, new),
            Form::Plain => self.rewrite(profile, old_key_id, |value| Secret::new(value.expose()), new),
            Form::Envelope => {
                let (key, _) = SealingKey::new(&key_file(&self.vault.setup().ssh_key)?)?;
                let nonces = [random_bytes()?, random_bytes()?];
                let mut nonce = nonces.into_iter();
                let seal = move |value: &Secret| {
                    let nonce = nonce.next().expect("two values take two nonces");
                    Secret::new(key.seal(value, nonce))
                };
                self.rewrite(profile, old_key_id, seal, new)
            }
        }
    }

    /// A private key that opens the store; whoever sits at the terminal is asked if need be.
    ///
    /// # Errors
    /// `LoginRequired` when nobody can be asked.
    pub(crate) fn unlocked(&self) -> Result<Unlocked, Fault> {
        self.asking(|vault| vault.unlocked(self.world.wire.now()))
    }

    /// Does `work` with the vault, which is opened with a passphrase if need be.
    ///
    /// # Errors
    /// Those of `work`; `LoginRequired` when nobody can be asked.
    pub(crate) fn asking<T>(&self, work: impl Fn(&Vault) -> Result<T, Fault>) -> Result<T, Fault> {
        let first = work(&self.vault);
        let Err(locked) = &first else { return first };
        let Some(question) = self.vault.question().filter(|_| is_locked(locked)) else { return first };
        for _ in 0..TRIES {
            let Some(typed) = terminal::ask_hidden(&question)? else { return first };
            match self.vault.open_with(&typed, self.world.wire.now()) {
                Ok(()) => return work(&self.vault),
                Err(wrong) if wrong.kind == Kind::Refused => crate::output::say(&wrong.message),
                Err(fault) => return Err(fault),
            }
        }
        Err(StoreError::WrongPassphrase.into())
    }

    /// The keys of `profile` in the store, whatever the AWS files say.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub(crate) fn load_from_store(&self, profile: &str) -> Result<LongLived, Fault> {
        let keys = self.asking(|vault| vault.keys(profile, self.world.wire.now()))?;
        Ok(LongLived { key_id: KeyId::new(keys.key_id.expose()), secret: keys.secret_key })
    }

    /// The text that is kept in the store as `name`.
    ///
    /// # Errors
    /// As [`Keyring::load`]; `Config` where `name` is a key of AWS.
    pub(crate) fn text(&self, name: &str) -> Result<Secret, Fault> {
        let keys = self.asking(|vault| vault.keys(name, self.world.wire.now()))?;
        keys.text().cloned().ok_or_else(|| {
            Fault::new(Kind::Config, "vault", format!("`{name}` of the vault is a key of AWS, and no text"))
                .hint("keep a text under a name of its own: bowline vault add NAME --text")
        })
    }

    /// Opens the store, lets `change` change it, and writes it. Waits for other writers, who have it for
    /// milliseconds and never while they ask somebody.
    ///
    /// # Errors
    /// Those of `change`, and whatever keeps the store from being opened or written; then nothing has changed.
    pub(crate) fn change(&self, change: impl Fn(&mut Contents) -> Result<(), Fault>) -> Result<(), Fault> {
        let key = self.unlocked()?;
        let mut refused = None;
        self.vault.place().change(&key, Replacing::Held, |contents| {
            let before = contents.clone();
            if let Err(fault) = change(contents) {
                *contents = before;
                refused = Some(fault);
            }
            Ok(())
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// Throws away the keys that wait for `profile`; says how many there were.
    ///
    /// # Errors
    /// Whatever keeps the store from being opened, or their files from going.
    pub(crate) fn discard(&self, profile: &ProfileName) -> Result<usize, Fault> {
        let key = self.unlocked()?;
        Ok(self.vault.place().discard(&key, profile)?)
    }

    fn load_sealed(&self, profile: &str, sealed: &SealedKeys) -> Result<LongLived, Fault> {
        let (key_id, secret) = match &sealed.place {
            SealedPlace::Envelope { key_id, secret_key } => {
                let opened = self.vault.open_envelope(profile, key_id, secret_key)?;
                (opened.key_id, opened.secret_key)
            }
            SealedPlace::Store => return self.load_from_store(profile),
        };
        Ok(LongLived { key_id: KeyId::new(key_id.expose()), secret })
    }

    fn replace_in_store(&self, profile: &str, old_key_id: &KeyId, new: &LongLived) -> Result<(), Fault> {
        let name = ProfileName::new(profile)?;
        let keys =
            Keys { key_id: Secret::new(new.key_id.as_str()), secret_key: new.secret.clone(), session_token: None };
        let entry = Entry { keys, added: utc(self.world.wire.now().wall) };
        self.change(|contents| match contents.profiles.get_mut(&name) {
            Some(held) if held.keys.key_id.expose() == old_key_id.as_str() => {
                *held = entry.clone();
                Ok(())
            }
            _ => Err(another_key(profile)),
        })
    }

    fn rewrite(
        &self,
        profile: &str,
        old_key_id: &KeyId,
        mut written: impl FnMut(&Secret) -> Secret,
        new: &LongLived,
    ) -> Result<(), Fault> {
        let config = self.world.aws_config()?;
        let (path, rule, section) = self.section_with_keys(config.profile(profile)?);
        let values = [written(&Secret::new(new.key_id.as_str())), written(&new.secret)];
        let mut other = false;
        rewrite(&path, rule, |document| -> Result<(), RewriteError> {
            // Under the lock: what somebody wrote since is not overwritten.
            if self.key_id_in(document, rule, profile)?.as_ref() != Some(old_key_id) {
                other = true;
                return Ok(());
            }
            document.set(&section, KEY_ID, values[0].expose())?;
            Ok(document.set(&section, SECRET_KEY, values[1].expose())?)
        })?;
        if other { Err(another_key(profile)) } else { Ok(()) }
    }

    /// The file and the section that hold the keys: the credentials file wins, as in botocore.
    fn section_with_keys(&self, profile: &Profile) -> (PathBuf, Rule, SectionName) {
        let has = |section: Option<&Section>| section.is_some_and(|section| section.settings.contains_key(KEY_ID));
        let (locations, name) = (&self.world.setup.locations, profile.name().to_owned());
        if has(profile.in_credentials()) {
            (locations.credentials.clone(), Rule::Credentials, SectionName::Credentials(name))
        } else {
            (locations.config.clone(), Rule::Config, SectionName::Profile(name))
        }
    }

    /// The key id that `document` has for `profile` now, opened. `None` if it has none that opens.
    fn key_id_in(&self, document: &Document, rule: Rule, profile: &str) -> Result<Option<KeyId>, EditError> {
        let config = match rule {
            Rule::Credentials => Config::read(None, Some(document))?,
            Rule::Config => Config::read(Some(document), None)?,
        };
        Ok(match source(&config, profile) {
            Ok(Source::Static(keys)) => Some(keys.key_id),
            Ok(Source::Sealed(SealedKeys { place: SealedPlace::Envelope { key_id, secret_key }, .. })) => {
                let opened = self.vault.open_envelope(profile, &key_id, &secret_key).ok();
                opened.map(|opened| KeyId::new(opened.key_id.expose()))
            }
            _ => None,
        })
    }
}

/// What the profile's own keys are: those that an MFA device or a role builds on as well.
fn source(config: &Config, profile: &str) -> Result<Source, Fault> {
    match config.resolve(profile)? {
        keys @ (Source::Static(_) | Source::Sealed(_)) => Ok(keys),
        Source::SessionToken(session) => Ok(match session.keys {
            bowline_awsfiles::LongLivedKeys::Plain(keys) => Source::Static(keys),
            bowline_awsfiles::LongLivedKeys::Sealed(keys) => Source::Sealed(keys),
        }),
        _ => Err(no_keys(profile)),
    }
}

fn no_keys(profile: &str) -> Fault {
    Fault::new(Kind::Config, format!("profile `{profile}`"), format!("profile `{profile}` has no long-lived key"))
        .hint(format!("see where its credentials come from: bowline status {profile} --explain"))
}

fn another_key(profile: &str) -> Fault {
    Fault::new(
        Kind::Config,
        format!("profile `{profile}`"),
        format!("profile `{profile}` holds another key than the one to be replaced; nothing was changed"),
    )
    .hint("somebody else has changed it: run the command again")
}
