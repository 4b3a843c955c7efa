//! The account's users and managed policies, as they are and as readers see them.

use std::collections::{BTreeMap, BTreeSet};

use bowline_base::Timestamp;
use serde_json::Value;

use crate::{
    policy::{Document, DocumentError},
    slow::Slow,
};

/// Tags by their keys in lower case: IAM keeps the case of a key and does not look at it.
pub(crate) type Tags = BTreeMap<String, (String, String)>;

/// A document and its text.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) text: String,
    pub(crate) document: Document,
}

impl Policy {
    pub(crate) fn read(text: &str) -> Result<Self, DocumentError> {
        Ok(Self { text: text.to_owned(), document: Document::parse(text)? })
    }
}

/// One user, for as long as it is remembered.
pub(crate) struct User {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created_at: Timestamp,
    pub(crate) exists: Slow<bool>,
    pub(crate) tags: Slow<Tags>,
    /// The ARN of the managed policy that bounds it.
    pub(crate) boundary: Slow<Option<String>>,
    pub(crate) inline: Slow<BTreeMap<String, Policy>>,
    /// ARNs of managed policies.
    pub(crate) attached: Slow<BTreeSet<String>>,
}

impl User {
    pub(crate) fn new(account: &str, path: &str, name: &str, id: String, created_at: Timestamp) -> Self {
        let past = Timestamp::MIN;
        Self {
            account: account.to_owned(),
            name: name.to_owned(),
            path: path.to_owned(),
            id,
            arn: user_arn(account, path, name),
            created_at,
            exists: Slow::new(past, true),
            tags: Slow::new(past, Tags::new()),
            boundary: Slow::new(past, None),
            inline: Slow::new(past, BTreeMap::new()),
            attached: Slow::new(past, BTreeSet::new()),
        }
    }

    fn is_seen(&self, now: Timestamp) -> bool {
        self.exists.at(now) == Some(&true)
    }

    fn truly_is(&self) -> bool {
        *self.exists.truth()
    }
}

/// Everybody, those too who are gone: their keys and sessions are refused.
#[derive(Default)]
pub(crate) struct Directory {
    users: Vec<User>,
    managed: BTreeMap<String, Policy>,
}

/// AWS's own policy that allows everything.
pub(crate) const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

impl Directory {
    /// The user of that name, if readers see it.
    pub(crate) fn named(&self, name: &str, now: Timestamp) -> Option<&User> {
        self.users.iter().rev().find(|user| user.name == name && user.is_seen(now))
    }

    pub(crate) fn named_mut(&mut self, name: &str, now: Timestamp) -> Option<&mut User> {
        self.users.iter_mut().rev().find(|user| user.name == name && user.is_seen(now))
    }

    /// The user with that unique id, if readers see it.
    pub(crate) fn by_id(&self, id: &str, now: Timestamp) -> Option<&User> {
        self.users.iter().find(|user| user.id == id && user.is_seen(now))
    }

    /// The users that readers see, by name.
    pub(crate) fn seen(&self, now: Timestamp) -> Vec<&User> {
        let mut users: Vec<&User> = self.users.iter().filter(|user| user.is_seen(now)).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// The user that really has this name, seen or not. Two names that differ in case only are one to IAM.
    pub(crate) fn truth(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name.eq_ignore_ascii_case(name) && user.truly_is())
    }

    pub(crate) fn true_id(&self, name: &str) -> Option<String> {
        self.truth(name).map(|user| user.id.clone())
    }

    pub(crate) fn true_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.users.iter().filter(|user| user.truly_is()).map(|user| user.name.clone()).collect();
        names.sort();
        names
    }

    pub(crate) fn add(&mut self, user: User) {
        self.users.push(user);
    }

    pub(crate) fn managed(&self, arn: &str) -> Option<&Policy> {
        self.managed.get(arn)
    }

    pub(crate) fn add_managed(&mut self, arn: &str, text: &str) -> Result<(), DocumentError> {
        self.managed.insert(arn.to_owned(), Policy::read(text)?);
        Ok(())
    }

    /// Everything that says what `user` may do.
    pub(crate) fn documents(&self, user: &User, now: Timestamp) -> Vec<Document> {
        let inline = user.inline.at(now).into_iter().flat_map(BTreeMap::values);
        let attached = user.attached.at(now).into_iter().flatten().filter_map(|arn| self.managed.get(arn));
        inline.chain(attached).map(|policy| policy.document.clone()).collect()
    }

    /// The user of that name, made when there is none.
    pub(crate) fn furnish(&mut self, account: &str, name: &str, created_at: Timestamp, id: impl FnOnce() -> String) {
        if self.truth(name).is_none() {
            self.users.push(User::new(account, "/", name, id(), created_at));
        }
    }

    /// Lets the user do everything.
    pub(crate) fn administrator(&mut self, name: &str) {
        let all = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
        self.add_managed(ADMINISTRATOR, all).expect("the document is well-formed");
        if let Some(user) = self.true_mut(name) {
            let mut attached = user.attached.truth().clone();
            attached.insert(ADMINISTRATOR.to_owned());
            user.attached.set(Timestamp::MIN, attached);
        }
    }

    pub(crate) fn furnish_policy(&mut self, name: &str, policy: &str, document: &Value) -> Result<(), DocumentError> {
        let read = Policy::read(&document.to_string())?;
        if let Some(user) = self.true_mut(name) {
            let mut inline = user.inline.truth().clone();
            inline.insert(policy.to_owned(), read);
            user.inline.set(Timestamp::MIN, inline);
        }
        Ok(())
    }

    pub(crate) fn furnish_tag(&mut self, name: &str, key: &str, value: &str) {
        if let Some(user) = self.true_mut(name) {
            let mut tags = user.tags.truth().clone();
            tags.insert(key.to_ascii_lowercase(), (key.to_owned(), value.to_owned()));
            user.tags.set(Timestamp::MIN, tags);
        }
    }

    fn true_mut(&mut self, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(name) && user.truly_is())
    }
}

/// `path` begins and ends with a slash.
pub(crate) fn user_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:user{path}{name}")
}

pub(crate) fn policy_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}
