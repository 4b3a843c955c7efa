//! `bowline doctor`: one line a check, with its verdict, why, and the exact fix. Changes nothing.

mod artifacts;
mod sso;

use std::{path::PathBuf, process::ExitCode};

use bowline_base::Fault;
use bowline_host::{Check, Verdict};

use crate::{
    cli::{Doctor, Form, Part},
    output,
    world::World,
};

/// Exit code 1 when a check failed.
pub(crate) fn run(world: &World, file: Option<PathBuf>, arguments: &Doctor) -> Result<ExitCode, Fault> {
    let profile = arguments.profile.as_deref();
    let checks = match arguments.part {
        Some(Part::Sso) => sso::checks(world, profile),
        Some(Part::Artifacts) => artifacts::checks(world, file, profile),
        None => everything(world, file, profile),
    };
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", serde_json::json!({ "checks": checks })))?,
        Form::Text => output::data(&checks.iter().map(text).collect::<String>())?,
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Every part that is set up.
fn everything(world: &World, file: Option<PathBuf>, profile: Option<&str>) -> Vec<Check> {
    let mut checks = sso::checks(world, profile);
    if artifacts::is_set_up(world, file.clone()) {
        checks.extend(artifacts::checks(world, file, profile));
    }
    checks
}

fn text(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok      ",
        Verdict::Degraded => "degraded",
        Verdict::Failed => "FAILED  ",
    };
    let fix =
        check.fix.iter().flat_map(|fix| fix.lines()).map(|line| format!("          {line}\n")).collect::<String>();
    let label = if fix.is_empty() { String::new() } else { "    fix:\n".to_owned() };
    format!("{verdict}  {:20}  {}\n{label}{fix}", check.id, check.why)
}

fn ok(id: &str, why: impl Into<String>) -> Check {
    Check { id: id.to_owned(), verdict: Verdict::Ok, why: why.into(), fix: None }
}

fn degraded(id: &str, why: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { id: id.to_owned(), verdict: Verdict::Degraded, why: why.into(), fix: Some(fix.into()) }
}

fn failed(id: &str, why: impl Into<String>, fix: Option<String>) -> Check {
    Check { id: id.to_owned(), verdict: Verdict::Failed, why: why.into(), fix }
}

fn from_fault(id: &str, fault: &Fault) -> Check {
    failed(id, fault.chain(), fault.hint.clone())
}
