//! Counts passed, failed and skipped tests in what the runners print, and says the closing line that CI reads.

use std::{fmt, ops::AddAssign};

/// How a test that cannot run here says so: one line on its output, with the reason.
const SKIP: &str = "skipped: ";

/// Tests by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// One line for each skipped test: why.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// One check of ours.
    pub(crate) fn check(good: bool) -> Self {
        Self { passed: u64::from(good), failed: u64::from(!good), skipped: Vec::new() }
    }

    /// One check that cannot be made here.
    pub(crate) fn skip(reason: &str) -> Self {
        Self { skipped: vec![reason.to_owned()], ..Self::default() }
    }

    /// Reads nextest's summary: `Summary [ 0.1s] 3 tests run: 1 passed (1 slow), 1 failed, 1 timed out, 0 skipped`.
    /// What a filter leaves out is no skipped test.
    pub(crate) fn from_nextest(printed: &str) -> Option<Self> {
        let summary = printed.lines().rfind(|line| line.trim_start().starts_with("Summary ["))?;
        let (_, counts) = summary.split_once("run: ")?;
        let count = |kind: &str| before(counts, kind);
        let failed = count("failed") + count("timed out") + count("exec failed");
        Some(Self { passed: count("passed"), failed, skipped: Vec::new() })
    }

    /// Adds up libtest's lines: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn from_libtest(printed: &str) -> Self {
        let results: Vec<&str> =
            printed.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")).collect();
        let sum = |kind: &str| results.iter().map(|counts| before(counts, kind)).sum();
        Self { passed: sum("passed"), failed: sum("failed"), skipped: Vec::new() }
    }

    /// Moves the tests that said `skipped: …` from the passed to the skipped ones.
    pub(crate) fn with_skips_from(mut self, printed: &str) -> Self {
        for line in printed.lines() {
            if let Some((_, reason)) = line.split_once(SKIP) {
                self.skipped.push(reason.split("</system-").next().unwrap_or(reason).to_owned());
                self.passed = self.passed.saturating_sub(1);
            }
        }
        self
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

/// The closing line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped.len())
    }
}

/// The number in front of `kind` in a list like `3 passed, 1 failed`; 0 where there is none.
fn before(counts: &str, kind: &str) -> u64 {
    let parts = counts.split([',', ';', '.']);
    let number = |part: &str| {
        let (number, rest) = part.trim().split_once(' ')?;
        let named = rest.strip_prefix(kind).is_some_and(|after| !after.starts_with(char::is_alphanumeric));
        if named { number.parse::<u64>().ok() } else { None }
    };
    parts.filter_map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tally: &Tally) -> String {
        tally.to_string()
    }

    #[test]
    fn nextest_failures_and_time_outs_are_failures() {
        let printed =
            "noise\n     Summary [   1.234s] 7/9 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(counts(&Tally::from_nextest(printed).unwrap()), "4 passed, 3 failed, 0 skipped");
        let one = "     Summary [   0.012s] 1 test run: 1 passed, 0 skipped\n";
        assert_eq!(counts(&Tally::from_nextest(one).unwrap()), "1 passed, 0 failed, 0 skipped");
        assert_eq!(Tally::from_nextest("error: could not compile"), None);
    }

    #[test]
    fn libtest_lines_of_many_binaries_are_added_up() {
        let printed = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                       test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counts(&Tally::from_libtest(printed)), "5 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_test_that_could_not_run_is_counted_as_skipped_with_its_reason() {
        let tally = Tally { passed: 2, failed: 0, skipped: Vec::new() };
        let tally = tally.with_skips_from("ok\n<system-out>skipped: no mvn here</system-out>\n");
        assert_eq!(tally.skipped, ["no mvn here"]);
        assert_eq!(counts(&tally), "1 passed, 0 failed, 1 skipped");
    }
}
