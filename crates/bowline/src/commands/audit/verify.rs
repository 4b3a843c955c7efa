//! `bowline audit verify`: is the log as it was written? Exit 0 when it is, 1 when a line is bad, 2 when it cannot be read.

use std::{fs, path::Path, process::ExitCode};

use bowline_audit::{Against, Checkpoint, Places, PublicKey, Verdict, verify_files, verify_listed};
use bowline_base::{Fault, Kind};
use serde_json::json;

use super::{cannot_read, files};
use crate::{
    cli::{AuditVerify, Form},
    output,
};

pub(super) fn run(places: &Places, arguments: &AuditVerify) -> Result<ExitCode, Fault> {
    let whole = arguments.files.is_empty();
    let mut against = if whole { own(places) } else { Against::default() };
    if let Some(text) = &arguments.key {
        against.key = Some(PublicKey::parse(text).ok_or_else(|| no_key(text))?);
    }
    if let Some(path) = &arguments.checkpoint {
        against.checkpoint = Some(checkpoint(path)?);
    }
    let verdict = match whole {
        true => verify_listed(|| files(places), &against)?,
        false => verify_files(&arguments.files, &against)?,
    };
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", value(&verdict, against.key.as_ref())))?,
        Form::Text => output::data(&text(&verdict, against.key.as_ref()))?,
    }
    Ok(if verdict.bad.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The whole log in `places`, against the checkpoint and the key beside it.
pub(crate) fn verify_own(places: &Places) -> Result<Verdict, Fault> {
    verify_listed(|| files(places), &own(places))
}

/// The checkpoint and the key beside the log in `places`, all of which is to be there.
pub(super) fn own(places: &Places) -> Against {
    let key = fs::read_to_string(places.public_key()).ok().and_then(|text| PublicKey::parse(&text));
    Against { checkpoint: checkpoint(&places.checkpoint()).ok(), key, whole: true }
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

pub(super) fn text(verdict: &Verdict, key: Option<&PublicKey>) -> String {
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
    text.push_str(&beginning(verdict));
    if let Some((file, bytes)) = &verdict.torn {
        text.push_str(&format!(
            "  the last {bytes} bytes of {file} are no whole line: a process was killed while it wrote\n"
        ));
    }
    text
}

/// What is to be said of lines before the first.
fn beginning(verdict: &Verdict) -> String {
    match (verdict.first, verdict.gone) {
        (None | Some(1), _) => String::new(),
        (Some(first), Some(gone)) if gone.last + 1 >= first => {
            let (last, line) = (first - 1, gone.said_by);
            if gone.archived {
                format!("  archived:  lines {} to {last} were moved away by hand, as line {line} says\n", gone.first)
            } else {
                format!("  dropped:   lines {} to {last} had their time, as line {line} says\n", gone.first)
            }
        }
        _ if verdict.lacks_its_beginning() => format!("  moved away by hand? Show the files once: {SHOW_THEM}\n"),
        _ => "  earlier files of this log were not shown\n".to_owned(),
    }
}

/// What to type where somebody moved the first files away.
pub(crate) const SHOW_THEM: &str = "bowline audit archived OLD/audit-*.jsonl";

fn value(verdict: &Verdict, key: Option<&PublicKey>) -> serde_json::Value {
    let gone = |archived| {
        let gone = verdict.gone.filter(|gone| gone.archived == archived);
        gone.map(|gone| json!({ "first": gone.first, "last": gone.last, "said_by": gone.said_by }))
    };
    json!({
        "good": verdict.bad.is_none(),
        "lines": verdict.lines,
        "first": verdict.first,
        "last": verdict.last,
        "signed_to": verdict.signed_to,
        "dropped": gone(false),
        "archived": gone(true),
        "key": key.map(ToString::to_string),
        "bad": verdict.bad.as_ref().map(|bad| json!({ "file": bad.file, "line": bad.line, "flaw": bad.flaw.to_string() })),
        "torn": verdict.torn.as_ref().map(|(file, bytes)| json!({ "file": file, "bytes": bytes })),
    })
}
