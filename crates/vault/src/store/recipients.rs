//! To whom the store is sealed, and the public list of them that `age -R` reads as well.

use std::collections::BTreeSet;

use super::{contents::StoreId, error::StoreError};
use crate::{
    agent::Enrolment,
    ssh::{Doubt, PublicKey, of_kind},
};

const HEAD: &str = "# bowline vault recipients, version 1";
const STORE: &str = "# store ";
const PASSPHRASE: &str = "# passphrase";
/// More recipients than this are not taken: each costs every opening.
const MOST: usize = 64;
const LONGEST_LIST: usize = 1024 * 1024;
const LONGEST_COMMENT: usize = 128;

/// Somebody who can open the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The owner of an SSH key.
    Ssh {
        /// ed25519 or RSA.
        key: PublicKey,
        /// What stands behind it, usually `name@host`.
        comment: String,
    },
    /// Whoever has the recovery key.
    Recovery {
        /// `age1…`
        public: String,
    },
    /// Whoever knows the passphrase of `passphrase.age`.
    Passphrase {
        /// `age1…` of the identity in that file.
        public: String,
    },
    /// Whoever has a key in their ssh-agent. Experimental.
    Agent(Enrolment),
}

/// Whether one way in is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insist {
    /// Two at least.
    No,
    /// The owner said so.
    OnOne,
}

/// A list that a store may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

/// For people: what kind of way in it is, and whose.
impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ssh { key, comment } if comment.is_empty() => write!(f, "SSH key {}", key.fingerprint()),
            Self::Ssh { key, comment } => write!(f, "SSH key {} {comment}", key.fingerprint()),
            Self::Recovery { public } => write!(f, "recovery key {public}"),
            Self::Passphrase { .. } => f.write_str("passphrase"),
            Self::Agent(enrolment) => write!(f, "ssh-agent {}", enrolment.fingerprint()),
        }
    }
}

impl Recipient {
    /// Reads a line: `ssh-ed25519 …`, `ssh-rsa …` or `age1…`. A doubt is for the owner to read.
    ///
    /// # Errors
    /// [`StoreError::NotARecipient`], [`StoreError::UnfitRecipient`]
    pub fn from_line(line: &str) -> Result<(Self, Option<Doubt>), StoreError> {
        let line = line.trim();
        if line.starts_with("age1") {
            return known(line).map(|public| (Self::Recovery { public }, None));
        }
        let key = PublicKey::from_line(line).map_err(|_| not_a_recipient(line))?;
        let doubt =
            of_kind(key.kind()).map_err(|why| StoreError::UnfitRecipient { fingerprint: key.fingerprint(), why })?;
        let comment = line.splitn(3, char::is_whitespace).nth(2).unwrap_or_default();
        let comment = comment.chars().filter(|c| !c.is_control()).take(LONGEST_COMMENT).collect();
        Ok((Self::Ssh { key, comment }, doubt))
    }

    fn to_lines(&self) -> String {
        match self {
            Self::Ssh { key, comment } => format!("{} {comment}", key.line()).trim_end().to_owned(),
            Self::Recovery { public } => public.clone(),
            Self::Passphrase { public } => format!("{PASSPHRASE}\n{public}"),
            Self::Agent(enrolment) => enrolment.to_line(),
        }
    }

    /// What tells recipients apart.
    fn identity(&self) -> String {
        match self {
            Self::Ssh { key, .. } => key.line(),
            Self::Recovery { public } | Self::Passphrase { public } => public.clone(),
            Self::Agent(enrolment) => enrolment.to_line(),
        }
    }

    fn for_age(&self) -> Result<Box<dyn age::Recipient>, StoreError> {
        let not = |line: &str| not_a_recipient(line);
        Ok(match self {
            Self::Ssh { key, .. } => Box::new(key.line().parse::<age::ssh::Recipient>().map_err(|_| not(&key.line()))?),
            Self::Recovery { public } | Self::Passphrase { public } => {
                Box::new(public.parse::<age::x25519::Recipient>().map_err(|_| not(public))?)
            }
            Self::Agent(enrolment) => Box::new(enrolment.clone()),
        })
    }
}

impl Recipients {
    /// Takes a list if losing one key does not lose everything. Whoever stands on it twice counts once, and ssh-agent
    /// does not count: its key can be lost like the file's, and an agent may change how it signs.
    ///
    /// # Errors
    /// [`StoreError::OnlyAgent`], [`StoreError::TooFewRecipients`], [`StoreError::TooLong`]
    pub fn new(list: Vec<Recipient>, insist: Insist) -> Result<Self, StoreError> {
        let recipients = Self::distinct(list)?;
        let lasting = recipients.iter().filter(|recipient| !matches!(recipient, Recipient::Agent(_))).count();
        match (lasting, insist) {
            (0, _) if !recipients.0.is_empty() => Err(StoreError::OnlyAgent),
            (0, _) | (1, Insist::No) => Err(StoreError::TooFewRecipients(lasting)),
            _ => Ok(recipients),
        }
    }

    fn distinct(list: Vec<Recipient>) -> Result<Self, StoreError> {
        let mut seen = BTreeSet::new();
        let list: Vec<Recipient> = list.into_iter().filter(|recipient| seen.insert(recipient.identity())).collect();
        if list.len() > MOST { Err(StoreError::TooLong("the list of recipients")) } else { Ok(Self(list)) }
    }

    /// In the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter()
    }

    /// Without whoever needs an agent to be asked: what `age` itself would seal to.
    pub(super) fn for_age(&self) -> Result<Vec<Box<dyn age::Recipient>>, StoreError> {
        self.0.iter().map(Recipient::for_age).collect()
    }

    /// The public list.
    pub(super) fn to_text(&self, store: &StoreId) -> String {
        let lines: Vec<String> = self.0.iter().map(Recipient::to_lines).collect();
        format!("{HEAD}\n{STORE}{}\n{}\n", store.as_str(), lines.join("\n"))
    }

    /// Reads the public list.
    pub(super) fn from_text(text: &str) -> Result<(StoreId, Self), StoreError> {
        if text.len() > LONGEST_LIST {
            return Err(StoreError::TooLong("`recipients.txt`"));
        }
        let (mut store, mut list, mut passphrase) = (None, Vec::new(), false);
        for line in text.lines().map(str::trim_end) {
            if let Some(enrolment) = Enrolment::from_line(line) {
                list.push(Recipient::Agent(enrolment.ok_or_else(|| not_a_recipient(line))?));
            } else if let Some(id) = line.strip_prefix(STORE) {
                store = StoreId::parse(id);
            } else if line == PASSPHRASE {
                passphrase = true;
            } else if !line.is_empty() && !line.starts_with('#') {
                let (recipient, _) = Recipient::from_line(line)?;
                list.push(match recipient {
                    Recipient::Recovery { public } if passphrase => Recipient::Passphrase { public },
                    other => other,
                });
                passphrase = false;
            }
        }
        let no_store = || StoreError::NotOurs { what: "`recipients.txt`", why: "it names no store".to_owned() };
        Ok((store.ok_or_else(no_store)?, Self::distinct(list)?))
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }
}

fn known(public: &str) -> Result<String, StoreError> {
    public.parse::<age::x25519::Recipient>().map(|key| key.to_string()).map_err(|_| not_a_recipient(public))
}

fn not_a_recipient(line: &str) -> StoreError {
    StoreError::NotARecipient(line.escape_debug().take(80).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN dirk@laptop";
    const AGE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn one(line: &str) -> Recipient {
        Recipient::from_line(line).unwrap().0
    }

    #[test]
    fn one_way_in_is_refused_unless_insisted_on() {
        let twice = vec![one(SSH), one(SSH)];
        assert!(matches!(Recipients::new(twice.clone(), Insist::No), Err(StoreError::TooFewRecipients(1))));
        assert_eq!(Recipients::new(twice, Insist::OnOne).unwrap().iter().count(), 1);
        assert!(matches!(Recipients::new(Vec::new(), Insist::OnOne), Err(StoreError::TooFewRecipients(0))));
        assert!(Recipients::new(vec![one(SSH), one(AGE)], Insist::No).is_ok());
    }

    #[test]
    fn the_public_list_comes_back_as_it_was() {
        let passphrase = Recipient::Passphrase { public: AGE.to_owned() };
        let list = Recipients::new(vec![one(SSH), passphrase], Insist::No).unwrap();
        let store = StoreId::new([1; 16]);
        assert_eq!(Recipients::from_text(&list.to_text(&store)).unwrap(), (store, list));
    }

    #[test]
    fn what_age_cannot_use_is_no_recipient() {
        for line in ["", "age1nonsense", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "hello"] {
            assert!(Recipient::from_line(line).is_err(), "{line}");
        }
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBDSh0pUW3A6a4KXpFd/DMTEaz10/1pX0fnEB8RMgsx3uwsWCrI7HPUUDzgRlXS8p1blzQc8Hv8nFDDS8WY1JZ4=";
        assert!(matches!(Recipient::from_line(ecdsa), Err(StoreError::UnfitRecipient { .. })));
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(text in "(# (store|passphrase) ?|age1|ssh-rsa AAAA|#bowline/ssh-agent-v1 |[ -~\n]){0,40}") {
            Recipients::from_text(&text).ok();
        }
    }
}
