//! `bowline explain KEY`: what a key of `bowline.toml` is for, how it is written and what holds without it.

use bowline_base::{Fault, Kind};
use serde_json::json;

use crate::{
    cli::{Explain, Form},
    config::keys::{self, Key},
    output,
};

pub(crate) fn run(arguments: &Explain) -> Result<(), Fault> {
    let found = match &arguments.key {
        Some(asked) => keys::below(asked),
        None => keys::all().collect(),
    };
    if let (true, Some(asked)) = (found.is_empty(), &arguments.key) {
        return Err(unknown(asked));
    }
    match arguments.output.output {
        Form::Json => {
            let rows: Vec<_> = found.iter().map(as_json).collect();
            output::data(&format!("{:#}\n", json!(rows)))
        }
        Form::Text => output::data(&found.iter().map(as_text).collect::<Vec<_>>().join("\n")),
    }
}

fn unknown(asked: &str) -> Fault {
    if asked.trim().is_empty() {
        return Fault::new(Kind::Config, "explain", "no key was named").hint("bowline explain lists every key");
    }
    let hint = keys::meant(asked).map_or_else(
        || "bowline explain lists every key".to_owned(),
        |meant| format!("did you mean `bowline explain {meant}`?"),
    );
    Fault::new(Kind::Config, "explain", format!("bowline.toml has no key `{asked}`")).hint(hint)
}

fn as_json(key: &Key) -> serde_json::Value {
    json!({ "key": key.path, "written": key.written, "default": key.default, "meaning": key.meaning })
}

fn as_text(key: &Key) -> String {
    let Key { path, written, default, meaning } = key;
    let name = path.rsplit('.').next().unwrap_or(path);
    // An example of `[[grant]]` is a header, not a value.
    let example = if written.starts_with("[[") { (*written).to_owned() } else { format!("{name} = {written}") };
    format!("{path}\n  {meaning}\n  written: {example}\n  default: {default}\n")
}
