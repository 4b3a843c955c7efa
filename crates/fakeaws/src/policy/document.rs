//! Policy documents as AWS takes them: version, statements, and in each who may do what to which resource and when.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Context, Question,
    condition::Condition,
    pattern::{Pattern, Reading},
};

/// An identity policy or a permissions boundary, read and found well-formed.
#[derive(Clone, Debug)]
pub struct Document {
    statements: Vec<Statement>,
}

/// What is wrong with a document, in few words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(pub(super) String);

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    actions: Selection,
    resources: Selection,
    conditions: Vec<Condition>,
    /// The version is the one that knows policy variables.
    variables: bool,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug)]
struct Selection {
    patterns: Vec<String>,
    inverted: bool,
}

impl Document {
    /// Reads a document from its text.
    ///
    /// # Errors
    /// It is no JSON, or no identity policy, or has something in it that this evaluator does not know.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let value: Value = serde_json::from_str(text).map_err(|_| wrong("Syntax errors in policy."))?;
        Self::from_json(&value)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is no identity policy, or has something in it that this evaluator does not know.
    pub fn from_json(value: &Value) -> Result<Self, DocumentError> {
        let document = value.as_object().ok_or_else(|| wrong("Syntax errors in policy."))?;
        only(document, &["Version", "Id", "Statement"])?;
        let variables = match document.get("Version").map(|version| version.as_str()) {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) => false,
            Some(_) => return Err(wrong("The policy must contain a valid version string.")),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) => list.iter().map(|value| Statement::read(value, variables)).collect(),
            Some(single @ Value::Object(_)) => Statement::read(single, variables).map(|statement| vec![statement]),
            _ => Err(wrong("Syntax errors in policy.")),
        }?;
        unique_sids(document)?;
        Ok(Self { statements })
    }

    pub(super) fn allows(&self, question: &Question) -> bool {
        self.statements.iter().any(|statement| statement.allows && statement.applies(question))
    }

    pub(super) fn denies(&self, question: &Question) -> bool {
        self.statements.iter().any(|statement| !statement.allows && statement.applies(question))
    }
}

impl Statement {
    fn read(value: &Value, variables: bool) -> Result<Self, DocumentError> {
        let fields = value.as_object().ok_or_else(|| wrong("Syntax errors in policy."))?;
        only(fields, &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"])?;
        let allows = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(wrong("Policy statement must contain an effect of Allow or Deny.")),
        };
        let actions = Selection::read(fields, "Action", "NotAction")?;
        let resources = Selection::read(fields, "Resource", "NotResource")?;
        if let Some(bad) = actions.patterns.iter().find(|action| !is_action(action)) {
            return Err(wrong(&format!("Actions/Conditions must be prefaced by a vendor: {bad}")));
        }
        if let Some(bad) = resources.patterns.iter().find(|resource| !is_resource(resource)) {
            return Err(wrong(&format!("Resource {bad} must be in ARN format or \"*\".")));
        }
        let conditions = fields.get("Condition").map(Condition::read_all).transpose()?.unwrap_or_default();
        Ok(Self { allows, actions, resources, conditions, variables })
    }

    fn applies(&self, question: &Question) -> bool {
        let variables = self.variables.then_some(&question.context);
        self.actions.takes_action(&question.action)
            && self.resources.takes_resource(&question.resource, variables)
            && self.conditions.iter().all(|condition| condition.holds(&question.context, variables))
    }
}

impl Selection {
    fn read(fields: &Map<String, Value>, name: &str, inverse: &str) -> Result<Self, DocumentError> {
        match (fields.get(name), fields.get(inverse)) {
            (Some(value), None) => Ok(Self { patterns: texts(value)?, inverted: false }),
            (None, Some(value)) => Ok(Self { patterns: texts(value)?, inverted: true }),
            _ => Err(wrong(&format!("Policy statement must contain one of {name} and {inverse}."))),
        }
    }

    fn takes_action(&self, action: &str) -> bool {
        let reading = Reading { variables: None, wildcards: true };
        let fits = |text: &String| {
            let pattern = Pattern::read(&text.to_ascii_lowercase(), reading);
            pattern.is_some_and(|pattern| pattern.fits(&action.to_ascii_lowercase()))
        };
        self.patterns.iter().any(fits) != self.inverted
    }

    fn takes_resource(&self, arn: &str, variables: Option<&Context>) -> bool {
        let reading = Reading { variables, wildcards: true };
        let fits = |text: &String| Pattern::read(text, reading).is_some_and(|pattern| pattern.fits_arn(arn));
        self.patterns.iter().any(fits) != self.inverted
    }
}

fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), DocumentError> {
    let foreign = fields.keys().find(|key| !known.contains(&key.as_str()));
    foreign.map_or(Ok(()), |key| Err(wrong(&format!("Policy document has an element that does not belong: {key}"))))
}

fn unique_sids(document: &Map<String, Value>) -> Result<(), DocumentError> {
    let mut seen = BTreeSet::new();
    for statement in document.get("Statement").and_then(Value::as_array).into_iter().flatten() {
        let Some(sid) = statement.get("Sid") else { continue };
        let sid = sid.as_str().filter(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric()));
        let sid = sid.ok_or_else(|| wrong("Statement IDs (SID) in a single policy must be alphanumeric."))?;
        if !seen.insert(sid) {
            return Err(wrong("Statement IDs (SID) in a single policy must be unique."));
        }
    }
    Ok(())
}

/// One text, or a list of at least one.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, DocumentError> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let all: Option<Vec<String>> = match value {
        Value::Array(list) => list.iter().map(text).collect(),
        single => text(single).map(|text| vec![text]),
    };
    all.filter(|list| !list.is_empty()).ok_or_else(|| wrong("Syntax errors in policy."))
}

fn is_action(text: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-*?".contains(c));
    text == "*" || text.split_once(':').is_some_and(|(vendor, name)| word(vendor) && word(name))
}

fn is_resource(text: &str) -> bool {
    text == "*" || (text.starts_with("arn:") && text.splitn(6, ':').count() == 6)
}

pub(super) fn wrong(why: &str) -> DocumentError {
    DocumentError(why.to_owned())
}
