//! `bowline audit verify`: is the log as it was written? Exit 0 when it is, 1 when a line is bad, 2 when it cannot be read.

use std::{fs, path::Path, process::ExitCode};

use bowline_audit::{Against, Checkpoint, Places, PublicKey, Verdict, verify_files};
use bowline_base::{Fault, Kind};
use serde_json::json;

use super::{cannot_read, files};
use crate::{
    cli::{AuditVerify, Form},
    output,
};

pub(super) fn run(places: &Places, arguments: &AuditVerify) -> Result<ExitCode, Fault> {
    let own = arguments.files.is_empty();
    let paths = if own { files(places)? } else { arguments.files.clone() };
    let key = match &arguments.key {
        Some(text) => Some(PublicKey::parse(text).ok_or_else(|| no_key(text))?),
        None if own => fs::read_to_string(places.public_key()).ok().and_then(|text| PublicKey::parse(&text)),
        None => None,
    };
    let checkpoint = match &arguments.checkpoint {
        Some(path) => Some(checkpoint(path)?),
        None if own => checkpoint(&places.checkpoint()).ok(),
        None => None,
    };
    let verdict = verify_files(&paths, &Against { checkpoint, key: key.clone(), whole: own })?;
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", value(&verdict, key.as_ref())))?,
        Form::Text => output::data(&text(&verdict, key.as_ref()))?,
    }
    Ok(if verdict.bad.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The whole log in `places`, against the checkpoint and the key beside it.
pub(crate) fn verify_own(places: &Places) -> Result<Verdict, Fault> {
    let key = fs::read_to_string(places.public_key()).ok().and_then(|text| PublicKey::parse(&text));
    let checkpoint = checkpoint(&places.checkpoint()).ok();
    verify_files(&files(places)?, &Against { checkpoint, key, whole: true })
}

fn checkpoint(path: &Path) -> Result<Checkpoint, Fault> {
    let text = fs::read_to_string(path).map_err(|cause| cannot_read(path, cause))?;
    Checkpoint::last_in(&text).ok_or_else(|| {
        Fault::new(Kind::Config, "--checkpoint", format!("there is no checkpoint in `{}`", path.display()))
            .hint("name a copy of `checkpoint.json`, or a file with a checkpoint line from CloudWatch Logs")
    })
}

fn no_key(text: &str) -> Fault {
    Fault::new(Kind::Config, "--key", format!("`{text}` is no public key")).hint("it is the 64 digits in `audit.pub`")
}

fn text(verdict: &Verdict, key: Option<&PublicKey>) -> String {
    let number = |seq: Option<u64>| seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string());
    let mut text = match &verdict.bad {
        Some(bad) => format!("BROKEN  {}:{} {}\n", bad.file, bad.line, bad.flaw),
        None => "good\n".to_owned(),
    };
    text.push_str(&format!(
        "  lines:     {} good, {} to {}\n",
        verdict.lines,
        number(verdict.first),
        number(verdict.last)
    ));
    text.push_str(&format!("  signed to: {}\n", number(verdict.signed_to)));
    match key {
        Some(key) => text.push_str(&format!("  key:       {key}\n")),
        None => text.push_str("  key:       as each file says; name the one to believe with --key\n"),
    }
    match (verdict.first, verdict.dropped) {
        (Some(first), Some((last, line))) if first > 1 && last + 1 >= first => {
            text.push_str(&format!("  dropped:   lines 1 to {} had their time, as line {line} says\n", first - 1));
        }
        (Some(first), _) if first > 1 => text.push_str("  earlier files of this log were not shown\n"),
        _ => {}
    }
    if let Some((file, bytes)) = &verdict.torn {
        text.push_str(&format!(
            "  the last {bytes} bytes of {file} are no whole line: a process was killed while it wrote\n"
        ));
    }
    text
}

fn value(verdict: &Verdict, key: Option<&PublicKey>) -> serde_json::Value {
    json!({
        "good": verdict.bad.is_none(),
        "lines": verdict.lines,
        "first": verdict.first,
        "last": verdict.last,
        "signed_to": verdict.signed_to,
        "dropped": verdict.dropped.map(|(last, line)| json!({ "last": last, "said_by": line })),
        "key": key.map(ToString::to_string),
        "bad": verdict.bad.as_ref().map(|bad| json!({ "file": bad.file, "line": bad.line, "flaw": bad.flaw.to_string() })),
        "torn": verdict.torn.as_ref().map(|(file, bytes)| json!({ "file": file, "bytes": bytes })),
    })
}
