//! Time as a value: two clocks read once per event, and the one text form that every AWS client reads.
//!
//! Nothing here reads a clock. `boot` keeps counting while the machine sleeps and never jumps; `wall` is what AWS
//! and certificates speak of. Intervals are measured with `boot`, ends of sessions compared with `wall`.

use std::time::Duration;

pub use jiff::Timestamp;

/// One instant, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the machine started, suspend included.
    pub boot: Duration,
    /// Calendar time.
    pub wall: Timestamp,
}

impl Now {
    /// The instant `later` after this one, on both clocks: virtual time for tests and for planning ahead.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self { boot: self.boot + later, wall: self.wall + later }
    }
}

/// `2026-11-22T02:02:03Z`: whole seconds and `Z`, the only form that every SDK takes.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    let text = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    text.to_string()
}

/// The text was none of the forms that AWS tools write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time like 2026-11-22T02:02:03Z")]
pub struct TimestampError(String);

/// Reads `…Z`, fractions (`.000Z`), offsets (`+00:00`), the old `…UTC` suffix, and no offset at all (taken as UTC).
///
/// # Errors
/// [`TimestampError`] with the offending text.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, TimestampError> {
    let bare = text.trim();
    let candidate = match bare.strip_suffix("UTC") {
        Some(rest) => format!("{rest}Z"),
        None => bare.to_owned(),
    };
    candidate.parse().or_else(|_| format!("{candidate}Z").parse()).map_err(|_| TimestampError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_aws_tools_write_is_read() {
        for text in [
            "2026-11-22T01:39:17Z",
            "2026-11-22T01:39:17.000Z",
            "2026-11-22T01:39:17UTC",
            "2026-11-22T01:39:17+00:00",
            "2026-11-22T01:39:17",
        ] {
            assert_eq!(utc(parse_timestamp(text).unwrap()), "2026-11-22T01:39:17Z", "{text}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        assert_eq!(parse_timestamp("soon").unwrap_err().to_string(), "`soon` is not a time like 2026-11-22T02:02:03Z");
    }
}
