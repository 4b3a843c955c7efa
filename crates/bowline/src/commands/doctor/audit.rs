//! The audit log: whether it is whole, from its first line to its last signature.

use bowline_audit::{Verdict, log_files};
use bowline_base::Fault;
use bowline_host::Check;

use super::{Patient, ids, verdict::*};
use crate::commands::audit::{SHOW_THEM, places, verify_own};

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let places = places(&patient.world.environment, &patient.settings().audit);
    let none = log_files(&places.directory).is_ok_and(|files| files.is_empty()) || !places.directory.exists();
    if none {
        return vec![ok(ids::AUDIT_CHAIN, format!("nothing was written yet to `{}`", places.directory.display()))];
    }
    vec![judge(verify_own(&places))]
}

fn judge(verdict: Result<Verdict, Fault>) -> Check {
    let id = ids::AUDIT_CHAIN;
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(fault) => return from_fault(id, &fault),
    };
    match (&verdict.bad, verdict.signed_to) {
        (Some(bad), _) => {
            let why = format!("{}:{} {}", bad.file, bad.line, bad.flaw);
            let fix = if verdict.lacks_its_beginning() {
                format!("{SHOW_THEM}   # where you moved them there; else keep a copy of the log as it is")
            } else {
                "bowline audit verify   # and keep a copy of the log as it is".to_owned()
            };
            failed(id, why, Some(fix))
        }
        (None, Some(signed)) => ok(id, format!("{} records, signed to line {signed}", verdict.lines)),
        (None, None) => ok(id, format!("{} records, not signed yet", verdict.lines)),
    }
}

#[cfg(test)]
mod tests {
    use bowline_audit::{Flaw, verify::Bad};

    use super::*;

    #[test]
    fn a_changed_line_is_a_failure_and_an_unsigned_end_is_none() {
        let verdict = |bad| judge(Ok(Verdict { lines: 3, bad, ..Verdict::default() })).verdict;
        assert_eq!(verdict(None), bowline_host::Verdict::Ok);
        let bad = Bad { file: "a".to_owned(), line: 2, flaw: Flaw::Altered };
        assert_eq!(verdict(Some(bad)), bowline_host::Verdict::Failed);
    }
}
