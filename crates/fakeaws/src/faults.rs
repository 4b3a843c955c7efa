//! Faults on order: which calls they strike, how often, and what happens instead of the right answer.

use std::time::Duration;

use serde_json::Value;

use crate::{operation::Operation, settings};

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An error of the service, in the service's own format.
    Error {
        /// HTTP status.
        status: u16,
        /// `InternalError`, `AccessDenied`, …
        code: String,
    },
    /// The service's own throttling error: `SlowDown` 503, `Throttling` 400, `TooManyRequestsException` 429.
    Throttle,
    /// An HTML page with this status: a captive portal, a proxy's error page.
    Html(u16),
    /// No answer ever.
    Hang,
    /// The connection is reset.
    Reset,
    /// The body breaks off after so many bytes of the promised length.
    Truncate(usize),
    /// The body stops after so many bytes and the connection stays open.
    Stall(usize),
    /// The answer comes this much later.
    Latency(Duration),
}

/// One order: strikes calls that match, until its count is used up or it is cleared.
#[derive(Clone, Debug)]
pub struct Fault {
    at: String,
    object: Option<String>,
    effect: Effect,
    left: Option<u64>,
    ratio: f64,
    due: f64,
    after_work: bool,
}

/// The JSON is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fault: {0}")]
pub struct FaultError(String);

impl Fault {
    /// `effect` at every call of `at` until cleared. `at` is an operation as [`crate::Counts`] names it without the
    /// outcome; a trailing `*` takes all that begin so: `s3.GetObject`, `sts.*`, `*`.
    #[must_use]
    pub fn new(at: &str, effect: Effect) -> Self {
        Self { at: at.to_owned(), object: None, effect, left: None, ratio: 1.0, due: 0.0, after_work: false }
    }

    /// Only the next `calls` that match.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.left = Some(calls);
        self
    }

    /// Only this share (0 to 1) of the calls that match, evenly spread: 0.25 strikes every fourth.
    #[must_use]
    pub fn ratio(mut self, share: f64) -> Self {
        self.ratio = share.clamp(0.0, 1.0);
        self
    }

    /// Only S3 calls whose `bucket/key` contains `part`.
    #[must_use]
    pub fn object(mut self, part: &str) -> Self {
        self.object = Some(part.to_owned());
        self
    }

    /// The call does its work first and only the answer is lost: a refresh token rotates and nobody learns the new one.
    #[must_use]
    pub fn after_work(mut self) -> Self {
        self.after_work = true;
        self
    }

    /// Reads `{"at": "s3.GetObject", "effect": "truncate", "bytes": 10, "times": 3, "ratio": 0.5, "object": "a.jar",
    /// "after_work": true}`. Effects: `error` (`status`, `code`), `throttle`, `html` (`status`), `hang`, `reset`,
    /// `truncate` and `stall` (`bytes`), `latency` (`time`: `"200ms"`).
    ///
    /// # Errors
    /// [`FaultError`] that says what is missing.
    pub fn from_json(value: &Value) -> Result<Self, FaultError> {
        let missing = |what: &str| FaultError(format!("`{what}` is missing or has the wrong form"));
        let at = value.get("at").and_then(Value::as_str).ok_or_else(|| missing("at"))?;
        let mut fault = Self::new(at, effect(value)?);
        fault.left = value.get("times").and_then(Value::as_u64);
        fault.object = value.get("object").and_then(Value::as_str).map(str::to_owned);
        fault.after_work = value.get("after_work").and_then(Value::as_bool).unwrap_or(false);
        Ok(fault.ratio(value.get("ratio").and_then(Value::as_f64).unwrap_or(1.0)))
    }

    fn matches(&self, operation: &Operation) -> bool {
        let named = match self.at.strip_suffix('*') {
            Some(start) => operation.name.starts_with(start),
            None => operation.name == self.at,
        };
        let object = operation.object.as_deref().unwrap_or_default();
        named && self.left != Some(0) && self.object.as_ref().is_none_or(|part| object.contains(part))
    }

    /// Whether this matching call is struck; spends one.
    fn strikes(&mut self) -> bool {
        self.due += self.ratio;
        if self.due < 1.0 {
            return false;
        }
        self.due -= 1.0;
        self.left = self.left.map(|left| left.saturating_sub(1));
        true
    }
}

fn effect(value: &Value) -> Result<Effect, FaultError> {
    let missing = |what: &str| FaultError(format!("`{what}` is missing or has the wrong form"));
    let status = |fallback: u16| {
        let number = value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        number.unwrap_or(fallback)
    };
    let bytes = || {
        let number = value.get("bytes").and_then(Value::as_u64).and_then(|bytes| usize::try_from(bytes).ok());
        number.ok_or_else(|| missing("bytes"))
    };
    match value.get("effect").and_then(Value::as_str) {
        Some("error") => {
            let code = value.get("code").and_then(Value::as_str).unwrap_or("InternalError").to_owned();
            Ok(Effect::Error { status: status(500), code })
        }
        Some("throttle") => Ok(Effect::Throttle),
        Some("html") => Ok(Effect::Html(status(502))),
        Some("hang") => Ok(Effect::Hang),
        Some("reset") => Ok(Effect::Reset),
        Some("truncate") => Ok(Effect::Truncate(bytes()?)),
        Some("stall") => Ok(Effect::Stall(bytes()?)),
        Some("latency") => {
            let time = value.get("time").and_then(settings::duration).ok_or_else(|| missing("time"))?;
            Ok(Effect::Latency(time))
        }
        _ => Err(missing("effect")),
    }
}

/// What befalls one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) delay: Duration,
    pub(crate) effect: Option<Effect>,
    pub(crate) after_work: bool,
}

/// The orders in force, oldest first.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All latencies that match are added up; of the rest the oldest strikes.
    pub(crate) fn strike(&mut self, operation: &Operation) -> Strike {
        let mut strike = Strike::default();
        for fault in self.0.iter_mut().filter(|fault| fault.matches(operation)) {
            match &fault.effect {
                Effect::Latency(time) => {
                    let time = *time;
                    if fault.strikes() {
                        strike.delay += time;
                    }
                }
                _ if strike.effect.is_some() => {}
                effect => {
                    let effect = effect.clone();
                    if fault.strikes() {
                        strike.effect = Some(effect);
                        strike.after_work = fault.after_work;
                    }
                }
            }
        }
        self.0.retain(|fault| fault.left != Some(0));
        strike
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::Service;

    fn get(key: &str) -> Operation {
        Operation { service: Service::S3, name: "s3.GetObject".into(), object: Some(format!("maven/{key}")) }
    }

    fn struck(faults: &mut Faults, calls: usize) -> usize {
        (0..calls).filter(|_| faults.strike(&get("a.jar")).effect.is_some()).count()
    }

    #[test]
    fn a_count_and_a_ratio_are_kept_exactly() {
        let mut faults = Faults::default();
        faults.add(Fault::new("s3.*", Effect::Throttle).times(3));
        assert_eq!(struck(&mut faults, 10), 3);
        faults.add(Fault::new("s3.GetObject", Effect::Hang).ratio(0.25));
        assert_eq!(struck(&mut faults, 100), 25);
        faults.clear();
        faults.add(Fault::new("sts.*", Effect::Hang));
        faults.add(Fault::new("*", Effect::Hang).object("b.jar"));
        assert_eq!(struck(&mut faults, 10), 0);
        assert_eq!(faults.strike(&get("b.jar")).effect, Some(Effect::Hang));
    }

    #[test]
    fn latency_goes_with_another_fault() {
        let mut faults = Faults::default();
        let slow = json!({"at": "*", "effect": "latency", "time": "200ms"});
        let cut = json!({"at": "s3.GetObject", "effect": "truncate", "bytes": 10, "after_work": true});
        faults.add(Fault::from_json(&slow).unwrap());
        faults.add(Fault::from_json(&cut).unwrap());
        let expected =
            Strike { delay: Duration::from_millis(200), effect: Some(Effect::Truncate(10)), after_work: true };
        assert_eq!(faults.strike(&get("a")), expected);
        let error = Fault::from_json(&json!({"at": "*", "effect": "stall"})).unwrap_err();
        assert_eq!(error.to_string(), "not a fault: `bytes` is missing or has the wrong form");
    }
}
