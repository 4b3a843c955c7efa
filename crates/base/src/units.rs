//! Durations and sizes as people write them: `500ms`, `10m`, `20 GiB`.

use std::time::Duration;

/// The text has no number, no known unit, or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: write a number and a unit, for example {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

const DURATIONS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];
const SIZES: [(&str, f64); 8] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// Reads `500ms`, `1s`, `1.5m`, `8h`, `90d`; a space before the unit is allowed, the unit is not optional.
///
/// # Errors
/// [`UnitError`] that shows the text and an example.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError { text: text.to_owned(), what: "duration", example: "`500ms`, `10m` or `8h`" };
    let seconds = scaled(text, &DURATIONS).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Reads `20 GiB`, `64MiB`, `1.5 TiB`, `1000 B`, into bytes.
///
/// # Errors
/// [`UnitError`] that shows the text and an example.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in 0..2^53 just before")]
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError { text: text.to_owned(), what: "size", example: "`512 MiB` or `20 GiB`" };
    let bytes = scaled(text, &SIZES).filter(|bytes| *bytes < 9e15).ok_or_else(wrong)?;
    Ok(bytes as u64)
}

/// A duration for people: `45s`, `12m 05s`, `3h 20m`, `89d 4h`, `250ms`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..=59 => format!("{seconds}s"),
        60..=3599 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..=86399 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A size for people: `512 B`, `1.5 MiB`, `20.0 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn size(bytes: u64) -> String {
    let (unit, scale) = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes >> shift > 0)
        .unwrap_or(("B", 0));
    if scale == 0 { format!("{bytes} B") } else { format!("{:.1} {unit}", bytes as f64 / (1_u64 << scale) as f64) }
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5 h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_size("20 GiB"), Ok(20 << 30));
        assert_eq!(parse_size("1000B"), Ok(1000));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let error = parse_duration("90").unwrap_err().to_string();
        assert_eq!(error, "`90` is not a duration: write a number and a unit, for example `500ms`, `10m` or `8h`");
        assert!(parse_size("20 gigs").is_err() && parse_duration("-3s").is_err() && parse_duration("").is_err());
    }

    #[test]
    fn prints_what_people_read() {
        let shown = [0, 45, 600, 725, 12_000, 7_700_000].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(shown, ["0ms", "45s", "10m", "12m 05s", "3h 20m", "89d 2h"]);
        assert_eq!([size(512), size(1_572_864)], ["512 B", "1.5 MiB"]);
    }
}
