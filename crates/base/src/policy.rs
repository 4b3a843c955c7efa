//! IAM policy documents as values, and the text that AWS takes.
//!
//! Who may do what is said by the crates whose calls they are about; this file knows the form alone. Order is the
//! caller's, so that the same question always gives the same text.

use std::fmt;

use serde_json::{Map, Value, json};

/// The version of the policy language.
const LANGUAGE: &str = "2012-10-17";

/// A policy document: who may do what, or who may become a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Vec<Statement>);

/// One statement of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    sid: String,
    effect: Effect,
    principal: Option<Principal>,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// Whom a trust document is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An account's root, a role or a user, by ARN.
    Aws(String),
    /// A service of AWS: `ec2.amazonaws.com`.
    Service(String),
    /// An identity provider, by ARN.
    Federated(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    operator: String,
    key: String,
    values: Vec<String>,
}

impl Document {
    /// A document of these statements, in this order.
    #[must_use]
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        Self(statements.into_iter().collect())
    }

    /// The document as AWS takes it.
    #[must_use]
    pub fn json(&self) -> Value {
        let statements: Vec<Value> = self.0.iter().map(Statement::json).collect();
        json!({ "Version": LANGUAGE, "Statement": statements })
    }
}

/// Indented JSON, without a newline at its end.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.json())
    }
}

impl Statement {
    /// Allows what is to be said; `sid` is letters and digits.
    #[must_use]
    pub fn allow(sid: &str) -> Self {
        Self::new(sid, Effect::Allow)
    }

    /// Denies what is to be said, whatever else allows it.
    #[must_use]
    pub fn deny(sid: &str) -> Self {
        Self::new(sid, Effect::Deny)
    }

    fn new(sid: &str, effect: Effect) -> Self {
        let (actions, resources, conditions) = (Vec::new(), Vec::new(), Vec::new());
        Self { sid: sid.to_owned(), effect, principal: None, actions, resources, conditions }
    }

    /// Whom a trust document is about.
    #[must_use]
    pub fn principal(self, principal: Principal) -> Self {
        Self { principal: Some(principal), ..self }
    }

    /// Adds actions: `s3:GetObject`.
    #[must_use]
    pub fn actions<T: Into<String>>(mut self, actions: impl IntoIterator<Item = T>) -> Self {
        self.actions.extend(actions.into_iter().map(Into::into));
        self
    }

    /// Adds resources, by ARN. A trust document has none.
    #[must_use]
    pub fn resources<T: Into<String>>(mut self, resources: impl IntoIterator<Item = T>) -> Self {
        self.resources.extend(resources.into_iter().map(Into::into));
        self
    }

    /// Only when `key` is one of `values` by `operator`. Every condition has to hold; the same operator and key again
    /// adds values.
    #[must_use]
    pub fn when<T: Into<String>>(mut self, operator: &str, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values = values.into_iter().map(Into::into);
        match self.conditions.iter_mut().find(|known| known.operator == operator && known.key == key) {
            Some(known) => known.values.extend(values),
            None => self.conditions.push(Condition {
                operator: operator.to_owned(),
                key: key.to_owned(),
                values: values.collect(),
            }),
        }
        self
    }

    /// As [`Statement::when`] on a text, in which `*` and `?` stand for others.
    #[must_use]
    pub fn when_text(self, key: &str, value: &str) -> Self {
        let operator = if value.contains(['*', '?']) { "StringLike" } else { "StringEquals" };
        self.when(operator, key, [value])
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("Sid".to_owned(), self.sid.as_str().into());
        let effect = if self.effect == Effect::Allow { "Allow" } else { "Deny" };
        object.insert("Effect".to_owned(), effect.into());
        object.extend(self.principal.as_ref().map(|principal| ("Principal".to_owned(), principal.json())));
        object.insert("Action".to_owned(), one_or_more(&self.actions));
        if !self.resources.is_empty() {
            object.insert("Resource".to_owned(), one_or_more(&self.resources));
        }
        if !self.conditions.is_empty() {
            object.insert("Condition".to_owned(), self.conditions());
        }
        Value::Object(object)
    }

    fn conditions(&self) -> Value {
        let mut operators = Map::new();
        for condition in &self.conditions {
            let keys = operators.entry(condition.operator.as_str()).or_insert_with(|| json!({}));
            keys[condition.key.as_str()] = one_or_more(&condition.values);
        }
        Value::Object(operators)
    }
}

impl Principal {
    fn json(&self) -> Value {
        match self {
            Self::Aws(arn) => json!({ "AWS": arn }),
            Self::Service(name) => json!({ "Service": name }),
            Self::Federated(arn) => json!({ "Federated": arn }),
        }
    }
}

/// IAM prints a list of one as the one.
fn one_or_more(texts: &[String]) -> Value {
    match texts {
        [one] => one.as_str().into(),
        more => more.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_printed_as_iam_takes_it_and_always_the_same() {
        let statement = Statement::allow("Read")
            .actions(["s3:GetObject", "s3:ListBucket"])
            .resources(["arn:aws:s3:::a"])
            .when("StringEquals", "aws:SourceAccount", ["1"])
            .when("StringLike", "s3:prefix", ["a/*"])
            .when("StringEquals", "x", ["y"])
            .when("StringLike", "s3:prefix", ["b/*"]);
        let expected = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Read",
      "Effect": "Allow",
      "Action": [
        "s3:GetObject",
        "s3:ListBucket"
      ],
      "Resource": "arn:aws:s3:::a",
      "Condition": {
        "StringEquals": {
          "aws:SourceAccount": "1",
          "x": "y"
        },
        "StringLike": {
          "s3:prefix": [
            "a/*",
            "b/*"
          ]
        }
      }
    }
  ]
}"#;
        assert_eq!(Document::new([statement]).to_string(), expected);
    }

    #[test]
    fn a_trust_document_has_a_principal_and_no_resource() {
        let statement = Statement::deny("No").principal(Principal::Service("ec2.amazonaws.com".to_owned()));
        let json = Document::new([statement.actions(["sts:AssumeRole"]).when_text("k", "a*")]).json();
        let expected = json!({
            "Sid": "No", "Effect": "Deny", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole",
            "Condition": { "StringLike": { "k": "a*" } },
        });
        assert_eq!(json["Statement"][0], expected);
        assert_eq!(Statement::allow("x").when_text("k", "a").conditions(), json!({ "StringEquals": { "k": "a" } }));
    }
}
