//! Short ways to a check, and to its line of text.

use bowline_base::Fault;
use bowline_host::{Check, Verdict};

use super::ids::Id;

pub(super) fn ok(id: Id, why: impl Into<String>) -> Check {
    check(id, Verdict::Ok, why, None)
}

pub(super) fn degraded(id: Id, why: impl Into<String>, fix: impl Into<String>) -> Check {
    check(id, Verdict::Degraded, why, Some(fix.into()))
}

pub(super) fn failed(id: Id, why: impl Into<String>, fix: Option<String>) -> Check {
    check(id, Verdict::Failed, why, fix)
}

pub(super) fn from_fault(id: Id, fault: &Fault) -> Check {
    failed(id, fault.chain(), fault.hint.clone())
}

/// One `ok` for everything where nothing is wrong, else what is wrong.
pub(super) fn or_ok(wrong: Vec<Check>, id: Id, why: impl FnOnce() -> String) -> Vec<Check> {
    if wrong.is_empty() { vec![ok(id, why())] } else { wrong }
}

/// The lines of a check: verdict, id and why in columns, the fix below, ready to be pasted.
pub(super) fn text(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Degraded => "degraded",
        Verdict::Failed => "FAILED",
    };
    let said = plain(&check.why);
    let mut why = said.lines();
    let mut text = format!("{verdict:8}  {:21}  {}\n", check.id, why.next().unwrap_or_default());
    for line in why {
        text.push_str(&format!("{:33}{line}\n", ""));
    }
    let fix = check.fix.as_deref().map(plain).unwrap_or_default();
    for (number, line) in fix.lines().enumerate() {
        let label = if number == 0 { "fix:" } else { "" };
        text.push_str(format!("          {label:5} {line}").trim_end());
        text.push('\n');
    }
    text
}

/// Words of others, such as who answers in the daemon's place, must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn check(id: Id, verdict: Verdict, why: impl Into<String>, fix: Option<String>) -> Check {
    Check { id: id.as_str().to_owned(), verdict, why: why.into(), fix }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::ids;

    #[test]
    fn lines_are_aligned_and_the_fix_stands_below() {
        let check = degraded(ids::FILES_MODE, "two\nlines", "chmod 600 x\n\nthen y");
        let expected = "degraded  files.mode             two\n                                 lines\n          \
                        fix:  chmod 600 x\n\n                then y\n";
        assert_eq!(text(&check), expected);
        assert!(!text(&ok(ids::FILES_MODE, "\u{1b}[2Jgone")).contains('\u{1b}'));
    }
}
