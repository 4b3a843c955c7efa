//! Conditions: operators, `…IfExists`, `ForAllValues:` and `ForAnyValue:`, and what a missing key means to each.

use std::cmp::Ordering;

use bowline_base::{Timestamp, parse_timestamp};
use serde_json::Value;

use super::{
    Context,
    document::{DocumentError, texts, wrong},
    pattern::{Pattern, Reading},
};

/// One operator on one key.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    quantifier: Quantifier,
    if_exists: bool,
    comparison: Comparison,
    negated: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    One,
    /// `ForAllValues:`; true where there are none.
    All,
    /// `ForAnyValue:`
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Text,
    TextAnyCase,
    Like,
    Arn,
    Bool,
    Number(Order),
    Date(Order),
    /// Whether the key is there at all.
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Reads a statement's `Condition`.
    pub(super) fn read_all(value: &Value) -> Result<Vec<Self>, DocumentError> {
        let object = |value: &'_ Value| value.as_object().cloned().ok_or_else(|| wrong("Syntax errors in policy."));
        let mut all = Vec::new();
        for (operator, keys) in &object(value)? {
            for (key, values) in &object(keys)? {
                all.push(Self::read(operator, key, values)?);
            }
        }
        Ok(all)
    }

    /// Whether the condition is met. A missing key meets the negated operators, `…IfExists` and `ForAllValues:`.
    pub(super) fn holds(&self, context: &Context, variables: Option<&Context>) -> bool {
        let found = context.values(&self.key);
        if self.comparison == Comparison::Null {
            return self.values.iter().any(|wanted| wanted.eq_ignore_ascii_case("true") == found.is_empty());
        }
        if found.is_empty() {
            return self.if_exists || self.met_by_nothing();
        }
        let good = |value: &String| {
            let equal = self.values.iter().any(|wanted| self.comparison.holds(wanted, value, variables));
            equal != self.negated
        };
        match (self.quantifier, self.negated) {
            (Quantifier::All, _) | (Quantifier::One, true) => found.iter().all(good),
            (Quantifier::Any, _) | (Quantifier::One, false) => found.iter().any(good),
        }
    }

    fn met_by_nothing(&self) -> bool {
        match self.quantifier {
            Quantifier::All => true,
            Quantifier::Any => false,
            Quantifier::One => self.negated,
        }
    }

    fn read(operator: &str, key: &str, values: &Value) -> Result<Self, DocumentError> {
        let unknown = || wrong(&format!("Invalid Condition type : {operator}."));
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(_) => return Err(unknown()),
            None => (Quantifier::One, operator),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (comparison, negated) = comparison(name).ok_or_else(unknown)?;
        if comparison == Comparison::Null && (if_exists || quantifier != Quantifier::One) {
            return Err(unknown());
        }
        if !key.contains(':') {
            return Err(wrong(&format!("Condition key {key} is not prefaced by a vendor.")));
        }
        let values = texts(values)?;
        Ok(Self { quantifier, if_exists, comparison, negated, key: key.to_owned(), values })
    }
}

fn comparison(name: &str) -> Option<(Comparison, bool)> {
    Some(match name {
        "StringEquals" => (Comparison::Text, false),
        "StringNotEquals" => (Comparison::Text, true),
        "StringEqualsIgnoreCase" => (Comparison::TextAnyCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::TextAnyCase, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        "Null" => (Comparison::Null, false),
        _ => return ordered(name),
    })
}

fn ordered(name: &str) -> Option<(Comparison, bool)> {
    let (rest, make): (&str, fn(Order) -> Comparison) = match name.strip_prefix("Numeric") {
        Some(rest) => (rest, Comparison::Number),
        None => (name.strip_prefix("Date")?, Comparison::Date),
    };
    let (order, negated) = match rest {
        "Equals" => (Order::Equal, false),
        "NotEquals" => (Order::Equal, true),
        "LessThan" => (Order::Less, false),
        "LessThanEquals" => (Order::LessOrEqual, false),
        "GreaterThan" => (Order::Greater, false),
        "GreaterThanEquals" => (Order::GreaterOrEqual, false),
        _ => return None,
    };
    Some((make(order), negated))
}

impl Comparison {
    /// Whether `value`, from the request, is what `wanted`, from the policy, asks for.
    fn holds(self, wanted: &str, value: &str, variables: Option<&Context>) -> bool {
        let wildcards = matches!(self, Self::Like | Self::Arn);
        let pattern = || Pattern::read(wanted, Reading { variables, wildcards });
        match self {
            Self::Text | Self::Like => pattern().is_some_and(|pattern| pattern.fits(value)),
            Self::TextAnyCase => {
                let folded = Pattern::read(&wanted.to_lowercase(), Reading { variables, wildcards });
                folded.is_some_and(|pattern| pattern.fits(&value.to_lowercase()))
            }
            Self::Arn => pattern().is_some_and(|pattern| pattern.fits_arn(value)),
            Self::Bool => wanted.eq_ignore_ascii_case(value),
            Self::Number(order) => {
                let number = |text: &str| text.parse::<f64>().ok();
                let found = number(value).zip(number(wanted)).and_then(|(value, wanted)| value.partial_cmp(&wanted));
                found.is_some_and(|found| order.admits(found))
            }
            Self::Date(order) => date(value).zip(date(wanted)).is_some_and(|(a, b)| order.admits(a.cmp(&b))),
            Self::Null => false,
        }
    }
}

impl Order {
    fn admits(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found == Ordering::Equal,
            Self::Less => found == Ordering::Less,
            Self::LessOrEqual => found != Ordering::Greater,
            Self::Greater => found == Ordering::Greater,
            Self::GreaterOrEqual => found != Ordering::Less,
        }
    }
}

/// ISO 8601, or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    let seconds = || text.parse::<i64>().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    parse_timestamp(text).ok().or_else(seconds)
}
