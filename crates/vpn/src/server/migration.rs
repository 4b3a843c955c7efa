//! Makes steps in the store, one after the other.

use tracing::info;

use super::{
    layout::Step,
    store::{Store, StoreError, Value},
};

/// How far it came.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// What the store has now, name by name, in order.
    pub(crate) changed: Vec<(String, Option<Value>)>,
    /// Why it did not come to the end.
    pub(crate) stopped: Option<Stopped>,
}

/// Why steps stopped.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Somebody else has made this name a moment before.
    Taken,
    /// The store does not do it.
    Store(StoreError),
}

/// Whether a name that is there already stops the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It must be us who make it.
    First,
    /// It is as good if another server did.
    Anybody,
}

/// Makes `steps` until one cannot be made.
pub(crate) async fn run(store: &dyn Store, steps: Vec<Step>, haste: Haste) -> Made {
    let mut made = Made::default();
    for step in steps {
        let outcome = match &step {
            Step::Create(name, value) => match store.create(name, value).await {
                Err(StoreError::Taken(_)) if haste == Haste::First => Err(Stopped::Taken),
                Err(StoreError::Taken(_)) => continue,
                outcome => outcome.map_err(Stopped::Store),
            },
            Step::Replace(name, value) => store.replace(name, value).await.map_err(Stopped::Store),
            Step::Remove(name) => store.remove(name).await.map(drop).map_err(Stopped::Store),
        };
        if let Err(why) = outcome {
            made.stopped = Some(why);
            return made;
        }
        made.changed.push(match step {
            Step::Create(name, value) | Step::Replace(name, value) => (name, Some(value)),
            Step::Remove(name) => (name, None),
        });
    }
    made
}

/// The same for a predecessor's layout, told to people.
pub(crate) async fn migrate(store: &dyn Store, steps: Vec<Step>) -> Result<Made, StoreError> {
    let moved = steps.iter().filter(|step| matches!(step, Step::Create(name, _) if name.starts_with("users/"))).count();
    if moved > 0 {
        info!(users = moved, store = store.place(), "users of the predecessor become ours: hashes instead of keys");
    }
    let made = run(store, steps, Haste::Anybody).await;
    match made.stopped {
        Some(Stopped::Store(error)) => Err(error),
        _ => Ok(made),
    }
}
