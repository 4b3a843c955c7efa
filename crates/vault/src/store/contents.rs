//! What is inside the store: every profile's keys in one versioned JSON document, under one MAC.
//!
//! Name, field and value stand in one sealed text, so nobody can exchange them for one another. The list of recipients
//! is in it as well: the public list beside the store can be written by anybody who may write the folder, this one not.

use std::collections::BTreeMap;

use base::Secret;
use bowline_base as base;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    age_file,
    error::StoreError,
    identity::Unlocked,
    recipients::Recipients,
    text::{self, Text},
};
use crate::profile::{Keys, ProfileName};

pub(super) const WHAT: &str = "`vault.age`";
const KIND: &str = "bowline-vault";
const VERSION: u64 = 1;

/// Which store: an addition names the store that it is for. 1 to 64 letters and digits, chosen at creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreId(String);

impl StoreId {
    /// An identifier from 16 bytes of randomness.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One profile's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The keys.
    pub keys: Keys,
    /// When they were put in, `…SSZ`.
    pub added: String,
}

/// The opened store. Whoever holds it holds every key: see [`Opened`](super::Opened) for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Which store.
    pub store: StoreId,
    /// To whom it is sealed.
    pub recipients: Recipients,
    /// The keys by profile.
    pub profiles: BTreeMap<ProfileName, Entry>,
    /// Additions that were taken in and whose files may still be there.
    pub(super) taken: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    kind: String,
    version: u64,
    store: String,
    recipients: String,
    taken: Vec<String>,
    profiles: BTreeMap<String, EntryText>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EntryText {
    aws_access_key_id: Text,
    aws_secret_access_key: Text,
    aws_session_token: Option<Text>,
    added: String,
}

/// What every version of a document says of itself.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u64,
}

impl Contents {
    /// Opens the bytes of `vault.age`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open(sealed: &[u8], key: &Unlocked) -> Result<Self, StoreError> {
        Self::decode(&age_file::open(WHAT, sealed, key.for_age())?)
    }

    /// A store without keys.
    #[must_use]
    pub fn new(store: StoreId, recipients: Recipients) -> Self {
        Self { store, recipients, profiles: BTreeMap::new(), taken: Vec::new() }
    }

    /// The bytes that are sealed.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let profiles = self.profiles.iter().map(|(name, entry)| (name.to_string(), EntryText::of(entry))).collect();
        text::encode(&Document {
            kind: KIND.to_owned(),
            version: VERSION,
            store: self.store.0.clone(),
            recipients: self.recipients.to_text(&self.store),
            taken: self.taken.clone(),
            profiles,
        })
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`], [`StoreError::Newer`]; neither shows anything of the text.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        check_head(bytes, WHAT, KIND)?;
        let document: Document = parse(bytes, WHAT)?;
        let not_ours = |why: &str| StoreError::NotOurs { what: WHAT, why: why.to_owned() };
        let mut profiles = BTreeMap::new();
        for (name, entry) in document.profiles {
            let name = ProfileName::new(&name).map_err(|error| not_ours(&error.to_string()))?;
            profiles.insert(name, entry.entry());
        }
        Ok(Self {
            store: StoreId::parse(&document.store).ok_or_else(|| not_ours("its identifier is none"))?,
            recipients: Recipients::from_text(&document.recipients)?.1,
            profiles,
            taken: document.taken,
        })
    }
}

impl EntryText {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            aws_access_key_id: Text::of(&entry.keys.key_id),
            aws_secret_access_key: Text::of(&entry.keys.secret_key),
            aws_session_token: entry.keys.session_token.as_ref().map(Text::of),
            added: entry.added.clone(),
        }
    }

    pub(super) fn entry(self) -> Entry {
        let token: Option<Secret> = self.aws_session_token.map(|token| token.0);
        let keys =
            Keys { key_id: self.aws_access_key_id.0, secret_key: self.aws_secret_access_key.0, session_token: token };
        Entry { keys, added: self.added }
    }
}

/// Refuses another kind, and a version that is not ours.
pub(super) fn check_head(bytes: &[u8], what: &'static str, kind: &str) -> Result<(), StoreError> {
    let head: Head = parse(bytes, what)?;
    if head.kind != kind {
        return Err(StoreError::NotOurs { what, why: "its `kind` is another".to_owned() });
    }
    if head.version == VERSION { Ok(()) } else { Err(StoreError::Newer { what, version: head.version }) }
}

/// serde_json's messages may quote the text, which here is a secret: only the place is told.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::NotOurs {
        what,
        why: format!("line {}, column {} is not as we write it", error.line(), error.column()),
    })
}
