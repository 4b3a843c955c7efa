//! What the journal of a temporary key says: whether one was made, by its id.

use base::{KeyId, Timestamp};
use bowline_base as base;
use serde_json::{Value, json};

use crate::journal::{ids, key_in, keys_in, time, time_in};

/// A temporary key that was begun. Whose it is stands in the journal's name and beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the step was reached.
    pub at: Timestamp,
    /// How far it came.
    pub step: Step,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key was or will be asked for; there were these before.
    Creating {
        /// Not to be taken for the new one.
        known: Vec<KeyId>,
    },
    /// This key was made, and is to be deleted.
    Created {
        /// The temporary key.
        key: KeyId,
    },
}

impl Step {
    /// The temporary key, once it has an id.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Creating { .. } => None,
            Self::Created { key } => Some(key),
        }
    }
}

impl Record {
    /// As the journal keeps it.
    #[must_use]
    pub fn to_json(&self, user: &str) -> Value {
        let (step, what, value) = match &self.step {
            Step::Creating { known } => ("creating", "known", ids(known)),
            Step::Created { key } => ("created", "key", key.as_str().into()),
        };
        let mut fields = json!({ "user": user, "step": step, "at": time(self.at) });
        fields[what] = value;
        fields
    }

    /// Reads what [`Record::to_json`] wrote: whose it is, and the record.
    #[must_use]
    pub fn from_json(fields: &Value) -> Option<(String, Self)> {
        let step = match fields["step"].as_str()? {
            "creating" => Step::Creating { known: keys_in(&fields["known"])? },
            "created" => Step::Created { key: key_in(&fields["key"])? },
            _ => return None,
        };
        Some((fields["user"].as_str()?.to_owned(), Self { at: time_in(&fields["at"])?, step }))
    }
}
