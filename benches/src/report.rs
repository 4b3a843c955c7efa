//! Rows of numbers with the targets that they have to meet, as a Markdown table.

use std::fmt;

#[derive(Default)]
pub(crate) struct Report(Vec<Row>);

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
    note: String,
}

/// What a number has to be.
#[derive(Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    /// A number.
    pub(crate) fn say(&mut self, what: impl Into<String>, value: f64, unit: &'static str) -> &mut Self {
        self.0.push(Row { what: what.into(), value, unit, target: None, note: String::new() });
        self
    }

    /// The last number must be at most this.
    pub(crate) fn at_most(&mut self, target: f64) -> &mut Self {
        self.must_be(Target::AtMost(target))
    }

    /// The last number must be at least this.
    pub(crate) fn at_least(&mut self, target: f64) -> &mut Self {
        self.must_be(Target::AtLeast(target))
    }

    /// Words beside the last number.
    pub(crate) fn note(&mut self, note: impl Into<String>) -> &mut Self {
        if let Some(row) = self.0.last_mut() {
            row.note = note.into();
        }
        self
    }

    /// What could not be measured here, and why.
    pub(crate) fn skip(&mut self, what: impl Into<String>, why: &str) {
        self.0.push(Row {
            what: what.into(),
            value: f64::NAN,
            unit: "",
            target: None,
            note: format!("skipped: {why}"),
        });
    }

    fn must_be(&mut self, target: Target) -> &mut Self {
        if let Some(row) = self.0.last_mut() {
            row.target = Some(target);
        }
        self
    }

    /// Whether no target was missed.
    pub(crate) fn is_met(&self) -> bool {
        self.0.iter().all(Row::is_met)
    }
}

impl Row {
    fn is_met(&self) -> bool {
        match self.target {
            None => true,
            Some(Target::AtMost(most)) => self.value <= most,
            Some(Target::AtLeast(least)) => self.value >= least,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | measured | target | |\n| --- | ---: | ---: | --- |")?;
        for row in &self.0 {
            let value = if row.value.is_nan() { "–".to_owned() } else { format!("{:.2} {}", row.value, row.unit) };
            let target = match row.target {
                None => String::new(),
                Some(Target::AtMost(most)) => format!("<= {most} {}", row.unit),
                Some(Target::AtLeast(least)) => format!(">= {least} {}", row.unit),
            };
            let verdict = match row.target {
                Some(_) if row.is_met() => "met ",
                Some(_) => "**missed** ",
                None => "",
            };
            writeln!(f, "| {} | {} | {} | {}{} |", row.what, value.trim_end(), target.trim_end(), verdict, row.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_too_small() {
        let mut report = Report::default();
        report.say("a", 1.2, "x").at_least(1.1);
        assert!(report.is_met());
        report.say("b", 1.0, "x").at_least(1.1);
        assert!(!report.is_met() && report.to_string().contains("| b | 1.00 x | >= 1.1 x | **missed**  |"), "{report}");
    }

    #[test]
    fn one_missed_target_is_a_missed_report() {
        let mut report = Report::default();
        report.say("a", 3.0, "ms").at_most(5.0).say("b", 7.0, "ms");
        assert!(report.is_met());
        report.say("c", 7.0, "ms").at_most(5.0).note("slow");
        report.skip("d", "no such tool");
        assert!(!report.is_met());
        let text = report.to_string();
        assert!(text.contains("| a | 3.00 ms | <= 5 ms | met  |\n| b | 7.00 ms |  |  |\n"), "{text}");
        assert!(
            text.contains("| c | 7.00 ms | <= 5 ms | **missed** slow |\n| d | – |  | skipped: no such tool |"),
            "{text}"
        );
    }
}
