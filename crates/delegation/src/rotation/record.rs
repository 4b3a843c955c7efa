//! What the journal of a rotation says: how far it came, by ids, and how long the old key is to sleep.

use std::time::Duration;

use base::{KeyId, Timestamp};
use bowline_base as base;
use serde_json::{Value, json};

use crate::journal::{ids, key_in, keys_in, time, time_in};

/// A rotation that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key that is to be replaced.
    pub old: KeyId,
    /// When the step was reached.
    pub at: Timestamp,
    /// How long the old key sleeps before it is deleted; not in records of earlier versions.
    pub grace: Option<Duration>,
    /// How far it came.
    pub step: Step,
}

/// How far a rotation came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key was or will be asked for; there were these before.
    Creating {
        /// Not to be taken for the new one.
        known: Vec<KeyId>,
    },
    /// This key was made; its secret is in memory at most.
    Created {
        /// The new key.
        new: KeyId,
    },
    /// It is stored; the old one still works.
    Stored {
        /// The new key.
        new: KeyId,
    },
    /// The old one sleeps.
    Idle {
        /// The new key.
        new: KeyId,
    },
}

impl Step {
    /// The new key, once it has an id.
    #[must_use]
    pub fn new_key(&self) -> Option<&KeyId> {
        match self {
            Self::Creating { .. } => None,
            Self::Created { new } | Self::Stored { new } | Self::Idle { new } => Some(new),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Creating { .. } => "creating",
            Self::Created { .. } => "created",
            Self::Stored { .. } => "stored",
            Self::Idle { .. } => "idle",
        }
    }
}

impl Record {
    /// As the journal keeps it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = json!({ "step": self.step.name(), "old": self.old.as_str(), "at": time(self.at) });
        if let Some(grace) = self.grace {
            fields["grace"] = grace.as_secs_f64().into();
        }
        match &self.step {
            Step::Creating { known } => fields["known"] = ids(known),
            Step::Created { new } | Step::Stored { new } | Step::Idle { new } => fields["new"] = new.as_str().into(),
        }
        fields
    }

    /// Reads what [`Record::to_json`] wrote.
    #[must_use]
    pub fn from_json(fields: &Value) -> Option<Self> {
        let new = || key_in(&fields["new"]);
        let step = match fields["step"].as_str()? {
            "creating" => Step::Creating { known: keys_in(&fields["known"])? },
            "created" => Step::Created { new: new()? },
            "stored" => Step::Stored { new: new()? },
            "idle" => Step::Idle { new: new()? },
            _ => return None,
        };
        let grace = fields["grace"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Some(Self { old: key_in(&fields["old"])?, at: time_in(&fields["at"])?, grace, step })
    }
}
