//! Whose a delegated user is, read from its tags: who may hand out its credentials, and who may give it away.

use base::Fault;
use bowline_base as base;

use crate::{
    policy::{DELEGATED_BY, MANAGER, OWNER},
    refusal::refused,
};

/// Tags of a user, key and value.
pub type Tags = [(String, String)];

/// What is to be done to make `wanted` the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chown {
    /// It is already.
    Already,
    /// Set these tags.
    Tag(Vec<(String, String)>),
}

/// The owner that the tags name.
#[must_use]
pub fn owner(tags: &Tags) -> Option<&str> {
    value(tags, OWNER)
}

/// The tags of a new user.
#[must_use]
pub fn birth_tags(owner: &str, manager: &str) -> Vec<(String, String)> {
    vec![(OWNER.to_owned(), owner.to_owned()), (DELEGATED_BY.to_owned(), manager.to_owned())]
}

/// Whether `me` may hand out credentials of `user`: it is its own, or nobody's yet. What is marked as a manager is
/// nobody's to hand out.
///
/// # Errors
/// It is somebody else's.
pub fn may_hand_out(user: &str, tags: &Tags, me: &str) -> Result<(), Fault> {
    not_a_manager(user, tags)?;
    match owner(tags) {
        Some(owner) if owner != me => {
            Err(refused(format!("`{user}` belongs to `{owner}`, and only its owner hands it out")).hint(format!(
                "ask `{owner}` for credentials, or an administrator to set the tag `owner` of `{user}` to `{me}`"
            )))
        }
        _ => Ok(()),
    }
}

/// What makes `wanted` the owner of `user`, by these tags, when `me` asks.
///
/// # Errors
/// It is neither mine nor nobody's: then nothing may be overwritten.
pub fn chown(user: &str, tags: &Tags, me: &str, wanted: &str) -> Result<Chown, Fault> {
    not_a_manager(user, tags)?;
    match owner(tags) {
        Some(owner) if owner == wanted => Ok(Chown::Already),
        Some(owner) if owner != me => {
            Err(refused(format!("`{user}` belongs to `{owner}`, and only its owner gives it away"))
                .hint(format!("ask `{owner}`, or an administrator; nothing was changed")))
        }
        _ => Ok(Chown::Tag(birth_tags(wanted, me))),
    }
}

fn not_a_manager(user: &str, tags: &Tags) -> Result<(), Fault> {
    match value(tags, MANAGER) {
        Some(_) => Err(refused(format!("`{user}` is a manager, and managers do not manage each other"))),
        None => Ok(()),
    }
}

/// IAM does not look at the case of a tag's key.
fn value<'a>(tags: &'a Tags, key: &str) -> Option<&'a str> {
    tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_the_owner_hands_out_and_gives_away() {
        let (mine, nobodys, theirs) = (tags(&[("Owner", "me")]), tags(&[]), tags(&[("owner", "eve")]));
        assert!(may_hand_out("u", &mine, "me").is_ok() && may_hand_out("u", &nobodys, "me").is_ok());
        assert!(may_hand_out("u", &theirs, "me").unwrap_err().message.contains("`eve`"));
        let given = Chown::Tag(birth_tags("bob", "me"));
        assert_eq!(chown("u", &mine, "me", "bob").unwrap(), given);
        assert_eq!(chown("u", &nobodys, "me", "bob").unwrap(), given);
        assert_eq!(chown("u", &theirs, "me", "eve").unwrap(), Chown::Already);
        assert!(chown("u", &theirs, "me", "bob").is_err());
    }

    #[test]
    fn a_manager_is_out_of_reach_whoever_owns_it() {
        let manager = tags(&[("owner", "me"), (MANAGER, "dirk")]);
        assert!(may_hand_out("u", &manager, "me").is_err() && chown("u", &manager, "me", "bob").is_err());
    }
}
