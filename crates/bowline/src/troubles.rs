//! The last warnings and errors that this process logged, kept in memory: for `status`, whose last error is here after
//! it is over, and for a support bundle. What is logged has no secrets, and so has this.

use std::{
    collections::VecDeque,
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use bowline_base::{Timestamp, utc};
use bowline_host::clock;
use serde_json::{Value, json};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// So many are kept.
const KEPT: usize = 50;

/// What went wrong lately; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles(Arc<Mutex<VecDeque<Trouble>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    at: Timestamp,
    level: &'static str,
    what: String,
    fix: Option<String>,
}

impl Troubles {
    /// The latest one, as `status --output json` shows it; null when there was none.
    pub(crate) fn last(&self) -> Value {
        self.kept().back().map_or(Value::Null, Trouble::shown)
    }

    /// All that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.kept().iter().map(Trouble::shown).collect()
    }

    fn add(&self, trouble: Trouble) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(trouble);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    fn shown(&self) -> Value {
        json!({ "at": utc(self.at), "level": self.level, "what": self.what, "fix": self.fix })
    }
}

impl<S: Subscriber> Layer<S> for Troubles {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => return,
        };
        let mut words = Words::default();
        event.record(&mut words);
        self.add(Trouble { at: clock::now().wall, level, what: words.what(), fix: words.fix });
    }
}

/// What an event says, in one line.
#[derive(Debug, Default)]
struct Words {
    message: String,
    more: String,
    fix: Option<String>,
}

impl Words {
    fn what(&self) -> String {
        format!("{}{}", self.message, self.more)
    }

    fn take(&mut self, name: &str, text: &str) {
        match name {
            "message" => text.clone_into(&mut self.message),
            "hint" | "fix" => self.fix = Some(text.to_owned()).filter(|text| !text.is_empty()),
            // The reason speaks for itself; of everything else it has to be said what it is.
            "reason" | "why" | "error" => write!(self.more, ": {text}").expect("a String takes everything"),
            _ => write!(self.more, ", {name} {text}").expect("a String takes everything"),
        }
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;

    #[test]
    fn a_warning_is_kept_with_its_reason_and_its_fix_and_talk_is_not() {
        let troubles = Troubles::default();
        tracing::subscriber::with_default(Registry::default().with(troubles.clone()), || {
            tracing::info!("all is well");
            tracing::warn!(name = "build", reason = "it ended", hint = "bowline login build", "cannot be renewed");
            tracing::warn!(hint = "", "no fix");
        });
        let all = troubles.all();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0]["what"], "cannot be renewed, name build: it ended");
        assert_eq!((&all[0]["fix"], &all[0]["level"]), (&"bowline login build".into(), &"warning".into()));
        assert_eq!((&troubles.last()["what"], &troubles.last()["fix"]), (&"no fix".into(), &Value::Null));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let troubles = Troubles::default();
        let trouble =
            |number: usize| Trouble { at: Timestamp::UNIX_EPOCH, level: "error", what: number.to_string(), fix: None };
        (0..KEPT + 3).for_each(|number| troubles.add(trouble(number)));
        assert_eq!((troubles.all().len(), &troubles.all()[0]["what"]), (KEPT, &"3".into()));
    }
}
