//! `bowline audit scan PATH`: AWS keys that lie in a tree. Exit 1 if there are any; the keys themselves are never shown.

use std::process::ExitCode;

use bowline_audit::scan::{self, Scan};
use bowline_base::Fault;
use serde_json::{Value, json};

use super::cannot_read;
use crate::{
    cli::{AuditScan, Form},
    output,
};

pub(super) fn run(arguments: &AuditScan) -> Result<ExitCode, Fault> {
    let scan = scan::tree(&arguments.path).map_err(|cause| cannot_read(&arguments.path, cause))?;
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", value(&scan)))?,
        Form::Text => output::data(&text(&scan))?,
    }
    for (path, why) in &scan.skipped {
        output::say(&format!("note: `{}` was not read: {why}", path.display()));
    }
    Ok(if scan.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(scan: &Scan) -> String {
    let line = |found: &scan::Finding| format!("{}:{}: {}\n", found.file.display(), found.line, found.kind);
    let mut text: String = scan.findings.iter().map(line).collect();
    text.push_str(&format!("{} found in {} files\n", scan.findings.len(), scan.files));
    text
}

fn value(scan: &Scan) -> Value {
    let finding = |found: &scan::Finding| json!({ "file": found.file, "line": found.line, "kind": found.kind.name() });
    json!({
        "files": scan.files,
        "findings": scan.findings.iter().map(finding).collect::<Vec<_>>(),
        "skipped": scan.skipped.iter().map(|(path, why)| json!({ "file": path, "why": why })).collect::<Vec<_>>(),
    })
}
