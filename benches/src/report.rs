//! Rows of numbers with the targets that they have to meet, as a Markdown table; and one table of what counts of all parts.

use std::fmt;

/// The unit of what is so many times another.
const RATIO: &str = "x";

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

    /// What counts of `part`: its ratios, what has a target, and what could not be measured; each with the load beside it.
    fn lines(&self, part: &str, load: &str) -> String {
        let (mut about, mut lines) = ("", String::new());
        for row in &self.0 {
            // `… CPU` says more of a row before, whose name it needs where that is not in the table.
            let what = match row.what.strip_prefix("… ") {
                Some(more) => format!("{about}: {more}"),
                None => row.what.clone(),
            };
            if !row.what.starts_with("… ") {
                about = row.what.split(": median").next().unwrap_or(&row.what);
            }
            let (target, verdict) = row.judged().unwrap_or_default();
            let verdict = if verdict.is_empty() { row.reason() } else { verdict };
            if row.counts() {
                lines += &format!("| {part} | {what} | {} | {target} | {verdict} | {load} |\n", row.measured());
            }
        }
        lines
    }

    /// Whether no target was missed.
    pub(crate) fn is_met(&self) -> bool {
        self.0.iter().all(Row::is_met)
    }
}

/// One table of what counts in all parts: each with its name and the load of the machine while it was measured.
pub(crate) fn overview<'a>(parts: impl IntoIterator<Item = &'a (&'static str, Report, String)>) -> String {
    let lines: String = parts.into_iter().map(|(part, report, load)| report.lines(part, load)).collect();
    format!("| part | what | measured | target | | load |\n| --- | --- | ---: | ---: | --- | ---: |\n{lines}")
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
    /// Whether it stands in the table of all parts.
    fn counts(&self) -> bool {
        self.target.is_some() || self.unit == RATIO || self.value.is_nan()
    }

    /// Why it was not measured.
    fn reason(&self) -> &str {
        if self.value.is_nan() { &self.note } else { "" }
    }

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

    #[test]
    fn one_table_has_every_ratio_and_target_of_all_parts_with_the_load_beside_it() {
        let (mut tunnel, mut credentials) = (Report::default(), Report::default());
        tunnel.say("up: Mbit/s against wireguard-go", 1.32, "x").at_least(1.1);
        tunnel.say("… server CPU per GB", 0.64, "x").at_most(0.6);
        tunnel.say("bowline: up", 3138.9, "Mbit/s").say("… server CPU", 1.5, "s/GB");
        tunnel.say("memory off / nginx", 2.13, "x");
        tunnel.skip("wireguard-go, current", "no --wireguard-go");
        credentials.say("`bowline --help`: median", 3.4, "ms").at_most(5.0);
        credentials.say("… 99 of 100 below", 4.0, "ms").at_most(5.0);
        let parts =
            [("tunnel", tunnel, "0.1 to 1.9".to_owned()), ("credentials", credentials, "2.0 to 2.1".to_owned())];
        let table = "\
| part | what | measured | target | | load |
| --- | --- | ---: | ---: | --- | ---: |
| tunnel | up: Mbit/s against wireguard-go | 1.32 x | >= 1.1 x | met | 0.1 to 1.9 |
| tunnel | up: Mbit/s against wireguard-go: server CPU per GB | 0.64 x | <= 0.6 x | **missed** | 0.1 to 1.9 |
| tunnel | memory off / nginx | 2.13 x |  |  | 0.1 to 1.9 |
| tunnel | wireguard-go, current | – |  | skipped: no --wireguard-go | 0.1 to 1.9 |
| credentials | `bowline --help`: median | 3.40 ms | <= 5 ms | met | 2.0 to 2.1 |
| credentials | `bowline --help`: 99 of 100 below | 4.00 ms | <= 5 ms | met | 2.0 to 2.1 |
";
        assert_eq!(overview(&parts), table);
    }
}
