//! The namespace rule: `dirk-mgr` may manage `dirk` and `dirk-*`, and neither itself nor another manager.
//!
//! Decided from names alone, before any call. Case counts here, as it does in policies, though IAM does not let two
//! names differ in case only.

use std::{collections::BTreeSet, fmt};

use bowline_base::{Fault, Kind};

/// What all users of a namespace begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

/// The users that one manager may manage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    manager: String,
    prefix: Prefix,
    others: BTreeSet<String>,
}

/// Why a name is not in a namespace, or is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// Nothing, or nothing but white space.
    #[error("the {0} is blank")]
    Blank(&'static str),
    /// Not a name that IAM takes.
    #[error("`{0}` is not an IAM user name: at most 64 of letters, digits and `+=,.@_-`")]
    NoName(String),
    /// It begins or ends with a hyphen, so that the namespace would have no name, or the user none in it.
    #[error("`{0}` begins or ends with `-`, so that a part of the name is missing")]
    MissingPart(String),
    /// The manager itself.
    #[error("`{0}` is the manager itself, whose own key is not handed out")]
    Oneself(String),
    /// Somebody else who manages users.
    #[error("`{0}` is a manager too, and managers do not manage each other")]
    OtherManager(String),
    /// Somebody else's.
    #[error("`{name}` is outside the namespace of `{manager}`, which is `{prefix}` and `{prefix}-*`")]
    Outside {
        /// The user that was asked for.
        name: String,
        /// Who asked.
        manager: String,
        /// What names here begin with.
        prefix: Prefix,
    },
}

impl Prefix {
    /// Takes letters, digits and `+=,.@_`, and hyphens between them.
    ///
    /// # Errors
    /// [`NamespaceError`], which names the text.
    pub fn parse(text: &str) -> Result<Self, NamespaceError> {
        user_name("prefix", text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` may be in a namespace of this prefix, whoever its manager is.
    ///
    /// # Errors
    /// [`NamespaceError`], which says why not.
    pub fn admit(&self, name: &str) -> Result<(), NamespaceError> {
        let name = user_name("user name", name)?;
        let rest = name.strip_prefix(self.as_str());
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
            return Ok(());
        }
        Err(NamespaceError::Outside { name, manager: self.to_string(), prefix: self.clone() })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Namespace {
    /// The namespace of `manager`: what stands before the first `-` in its name, or all of it.
    ///
    /// # Errors
    /// [`NamespaceError`]: it is no IAM name, or one without a prefix.
    pub fn of(manager: &str) -> Result<Self, NamespaceError> {
        let manager = user_name("name of the manager", manager)?;
        let prefix = Prefix::parse(manager.split('-').next().unwrap_or_default())?;
        Ok(Self { manager, prefix, others: BTreeSet::new() })
    }

    /// The same, with the names of other managers that are known.
    #[must_use]
    pub fn beside<T: Into<String>>(mut self, managers: impl IntoIterator<Item = T>) -> Self {
        self.others.extend(managers.into_iter().map(Into::into));
        self
    }

    /// Whose it is.
    #[must_use]
    pub fn manager(&self) -> &str {
        &self.manager
    }

    /// What its users begin with.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether the manager may manage the user `name`.
    ///
    /// # Errors
    /// [`NamespaceError`], which says why not.
    pub fn admit(&self, name: &str) -> Result<(), NamespaceError> {
        self.prefix.admit(name).map_err(|error| match error {
            NamespaceError::Outside { name, prefix, .. } => {
                NamespaceError::Outside { name, manager: self.manager.clone(), prefix }
            }
            other => other,
        })?;
        let name = name.to_owned();
        // IAM has one user for all spellings of a name.
        if name.eq_ignore_ascii_case(&self.manager) {
            return Err(NamespaceError::Oneself(name));
        }
        let known = self.others.iter().any(|other| other.eq_ignore_ascii_case(&name));
        if known || name.eq_ignore_ascii_case(&format!("{}-iam-sorry", self.prefix)) {
            return Err(NamespaceError::OtherManager(name));
        }
        Ok(())
    }
}

impl From<NamespaceError> for Fault {
    fn from(error: NamespaceError) -> Self {
        let kind = match &error {
            NamespaceError::Blank(_) | NamespaceError::NoName(_) | NamespaceError::MissingPart(_) => Kind::Config,
            NamespaceError::Oneself(_) | NamespaceError::OtherManager(_) | NamespaceError::Outside { .. } => {
                Kind::Refused
            }
        };
        let hint = match &error {
            NamespaceError::Outside { prefix, .. } => Some(format!("take a name like `{prefix}-bedrock`")),
            NamespaceError::Oneself(_) => Some("renew the manager's own key with `bowline vault rotate`".to_owned()),
            _ => None,
        };
        let fault = Self::new(kind, "namespace", error.to_string());
        hint.into_iter().fold(fault, Self::hint)
    }
}

const LONGEST: usize = 64;

fn user_name(what: &'static str, text: &str) -> Result<String, NamespaceError> {
    if text.trim().is_empty() {
        return Err(NamespaceError::Blank(what));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if text.len() > LONGEST || !text.chars().all(allowed) {
        return Err(NamespaceError::NoName(text.escape_debug().to_string()));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NamespaceError::MissingPart(text.to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admitted(manager: &str, name: &str) -> bool {
        Namespace::of(manager).unwrap().beside(["dirk-deputy"]).admit(name).is_ok()
    }

    #[test]
    fn a_manager_has_its_prefix_and_what_begins_with_it() {
        for name in ["dirk", "dirk-bedrock", "dirk-a-b", "dirk-mgr2", "dirk-mgr-x"] {
            assert!(admitted("dirk-mgr", name), "{name}");
        }
        for name in ["alice", "dirkbedrock", "dirk_x", "Dirk-bedrock", "di", "a-dirk-b", "dirk/x", "dirk-*", "dirk-?"] {
            assert!(!admitted("dirk-mgr", name), "{name}");
        }
        assert!(admitted("dirk", "dirk-bedrock") && !admitted("dirk", "dirk"));
    }

    #[test]
    fn the_traps_are_closed() {
        let of = |manager: &str| Namespace::of(manager).unwrap_err();
        assert_eq!(of(""), NamespaceError::Blank("name of the manager"));
        assert_eq!(of("-x"), NamespaceError::MissingPart("-x".to_owned()));
        let dirk = Namespace::of("dirk-mgr").unwrap().beside(["dirk-deputy"]);
        let why = |name: &str| dirk.admit(name).unwrap_err();
        assert_eq!(why(" \t"), NamespaceError::Blank("user name"));
        assert_eq!(why("dirk-"), NamespaceError::MissingPart("dirk-".to_owned()));
        assert_eq!(why("dirk-mgr"), NamespaceError::Oneself("dirk-mgr".to_owned()));
        assert_eq!(why("dirk-MGR"), NamespaceError::Oneself("dirk-MGR".to_owned()));
        assert_eq!(why("dirk-deputy"), NamespaceError::OtherManager("dirk-deputy".to_owned()));
        assert_eq!(why("dirk-iam-sorry"), NamespaceError::OtherManager("dirk-iam-sorry".to_owned()));
        assert_eq!(why("dirk-\n"), NamespaceError::NoName("dirk-\\n".to_owned()));
        assert_eq!(
            why(&format!("dirk-{}", "x".repeat(60))),
            NamespaceError::NoName(format!("dirk-{}", "x".repeat(60)))
        );
    }

    #[test]
    fn a_refusal_says_what_why_and_what_to_do() {
        let fault = Fault::from(Namespace::of("dirk-mgr").unwrap().admit("alice").unwrap_err());
        assert_eq!(fault.message, "`alice` is outside the namespace of `dirk-mgr`, which is `dirk` and `dirk-*`");
        assert_eq!((fault.kind, fault.hint.as_deref()), (Kind::Refused, Some("take a name like `dirk-bedrock`")));
        assert_eq!(Fault::from(NamespaceError::Blank("user name")).kind, Kind::Config);
    }

    proptest! {
        #[test]
        fn nobody_manages_himself_or_somebody_of_another_prefix(manager in "[a-zA-Z0-9-]{1,9}", name in "[a-zA-Z0-9 -]{0,9}") {
            if let Ok(namespace) = Namespace::of(&manager) {
                let admitted = namespace.admit(&name).is_ok();
                let prefix = name.split('-').next().unwrap();
                prop_assert!(!admitted || (name != manager && prefix == namespace.prefix().as_str() && !prefix.is_empty()));
                prop_assert!(namespace.admit(&manager).is_err());
            }
        }
    }
}
