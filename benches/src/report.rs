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

    /// The rows of `part` that have a target, for the table of all of them.
    pub(crate) fn targets(&self, part: &str, load: &str) -> String {
        let row = |row: &Row| {
            let (target, verdict) = row.judged()?;
            Some(format!("| {part} | {} | {} | {target} | {verdict} | {load} |\n", row.what, row.measured()))
        };
        self.0.iter().filter_map(row).collect()
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

impl Row {
    fn measured(&self) -> String {
        let measured = if self.value.is_nan() { "–".to_owned() } else { format!("{:.2} {}", self.value, self.unit) };
        measured.trim_end().to_owned()
    }

    /// The target and what became of it, if there is one.
    fn judged(&self) -> Option<(String, &'static str)> {
        let target = match self.target? {
            Target::AtMost(most) => format!("<= {most} {}", self.unit),
            Target::AtLeast(least) => format!(">= {least} {}", self.unit),
        };
        Some((target.trim_end().to_owned(), if self.is_met() { "met" } else { "**missed**" }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | measured | target | |\n| --- | ---: | ---: | --- |")?;
        for row in &self.0 {
            let (target, verdict) = row.judged().unwrap_or_default();
            let space = if verdict.is_empty() { "" } else { " " };
            writeln!(f, "| {} | {} | {target} | {verdict}{space}{} |", row.what, row.measured(), row.note)?;
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
        assert_eq!(report.targets("t", "0.10"), "| t | a | 1.20 x | >= 1.1 x | met | 0.10 |\n");
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
