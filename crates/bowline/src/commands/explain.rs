//! `bowline status PROFILE --explain`: every place that was looked at for credentials, and which one won.

use std::{sync::Arc, time::Duration};

use bowline_base::Fault;
use bowline_credentials::{ENVIRONMENT, Explained, Sources};
use bowline_host::Tasks;
use serde_json::json;

use crate::{
    cli::Form,
    output,
    world::{World, small_runtime},
};

/// Calls nobody. A profile without a source is explained first and then a fault.
pub(super) fn run(world: &World, profile: Option<&str>, form: Form) -> Result<(), Fault> {
    let profile = profile.unwrap_or(ENVIRONMENT);
    let explained = small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let explained = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone()).explain(profile);
        tasks.shut_down(Duration::from_secs(1)).await;
        explained
    })?;
    match form {
        Form::Json => output::data(&format!("{:#}\n", document(profile, &explained)))?,
        Form::Text => output::data(&text(profile, &explained))?,
    }
    explained.outcome.map(drop)
}

fn document(profile: &str, explained: &Explained) -> serde_json::Value {
    let resolved = explained.outcome.as_ref().ok();
    json!({
        "profile": profile,
        "source": resolved.map(bowline_credentials::Resolved::describe),
        "region": resolved.and_then(|resolved| resolved.region.clone()),
        "steps": explained.steps,
        "notes": resolved.map(bowline_credentials::Resolved::notes).unwrap_or_default(),
    })
}

fn text(profile: &str, explained: &Explained) -> String {
    let mut text = match &explained.outcome {
        Ok(resolved) => format!("{profile}: {}\n", resolved.describe()),
        Err(_) => format!("{profile}: no source\n"),
    };
    for step in &explained.steps {
        let verdict = if step.won { "USED" } else { "no" };
        text.push_str(&format!("  {:18} {verdict:4}  {}\n", step.source, step.why));
    }
    for note in explained.outcome.iter().flat_map(bowline_credentials::Resolved::notes) {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
