//! The documents that an administrator attaches: what a manager, an owner and a deployer may do, and nothing more.
//!
//! Two styles. Ours holds everything in the namespace: users are made with their tags (and, where there is one, their
//! boundary), a tag that names an owner cannot be overwritten by others, other managers are out of reach, and roles
//! are not touched. The predecessor's is kept for those who must have it: it reaches over the whole account.
//! Deterministic: the same question always gives the same text. Does not attach anything, and asks AWS nothing.

mod ours;
mod predecessor;

use serde_json::{Value, json};

use crate::namespace::Prefix;

/// Names the owner of a delegated user.
pub const OWNER: &str = "owner";
/// Names the manager that made a user.
pub const DELEGATED_BY: &str = "delegated-by";
/// Marks a manager; its value is the prefix. Only an administrator sets it.
pub const MANAGER: &str = "bowline:manager";

/// Whose namespace a document is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'static str,
    /// Twelve digits.
    pub account: String,
    /// What its users begin with.
    pub prefix: Prefix,
}

impl Scope {
    fn iam(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition, self.account)
    }

    fn regional(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:*:{}:{resource}", self.partition, self.account)
    }

    fn s3(&self, resource: &str) -> String {
        format!("arn:{}:s3:::{resource}", self.partition)
    }

    /// `user/dirk` and `user/dirk-*`.
    fn users(&self) -> [String; 2] {
        let prefix = &self.prefix;
        [self.iam(&format!("user/{prefix}")), self.iam(&format!("user/{prefix}-*"))]
    }
}

/// What a manager may do: make users, tag them, and handle the keys of those that it owns. With `boundary`, the ARN of a
/// managed policy, every user that it makes has to have that permissions boundary. Longer than an inline policy of a
/// user may be: attach it as a managed policy.
///
/// A user of the namespace that has no owner yet can be claimed, since AWS asks the same right of a user that is being
/// made: before attaching this, an administrator tags those that were there before.
#[must_use]
pub fn admin(scope: &Scope, boundary: Option<&str>) -> Value {
    ours::admin(scope, boundary)
}

/// What the owner of delegated users may do: hand out their temporary credentials.
#[must_use]
pub fn refresh(scope: &Scope) -> Value {
    ours::refresh(scope)
}

/// What a role may do that deploys Lambda functions, with buckets and tables, all named after the namespace.
#[must_use]
pub fn lambda(scope: &Scope) -> Value {
    ours::lambda(scope)
}

/// The predecessor's document for a manager, as JSON. It lets a manager make and tag any user of the account.
#[must_use]
pub fn iam_sorry_admin(scope: &Scope) -> Value {
    predecessor::admin(scope)
}

/// The predecessor's document for those who only refresh.
#[must_use]
pub fn iam_sorry_refresh(scope: &Scope) -> Value {
    predecessor::refresh(scope)
}

/// The predecessor's document for a role that deploys Lambda functions; `namespaced` where the role's name begins with
/// `iam-sorry-PREFIX-`, so that buckets and tables of that prefix are in it.
#[must_use]
pub fn iam_sorry_lambda(scope: &Scope, namespaced: bool) -> Value {
    predecessor::lambda(scope, namespaced)
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn allow(sid: &str, actions: &[&str], resources: impl Into<Value>) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources.into() })
}

fn deny(sid: &str, actions: &[&str], resources: impl Into<Value>) -> Value {
    json!({ "Sid": sid, "Effect": "Deny", "Action": actions, "Resource": resources.into() })
}

fn when(mut statement: Value, conditions: Value) -> Value {
    statement["Condition"] = conditions;
    statement
}

#[cfg(test)]
mod tests;
