//! `bowline notify test`: one message through every channel, now, and how each took it.

use std::{path::PathBuf, process::ExitCode};

use bowline_base::{Fault, Kind};
use bowline_host::notify::{Channels, Notifier, outbox::Outcome, try_channels};
use serde_json::{Value, json};

use crate::{
    cli::{Form, Notify},
    config_place,
    daemon::notify::channels,
    output,
    world::{World, small_runtime},
};

pub(crate) fn run(world: &World, file: Option<PathBuf>, command: &Notify) -> Result<ExitCode, Fault> {
    let Notify::Test(output) = command;
    let config = config_place::load(file, &world.environment)?;
    let channels = Channels { only: None, ..channels(world, &config.notify)? };
    let message = Notifier::trial(world.wire.now().wall.as_second());
    let outcomes = small_runtime()?.block_on(try_channels(&*world.wire, &channels, &message));
    if outcomes.is_empty() {
        return Err(Fault::new(Kind::Config, "notify", "no channel is set up that could be tried")
            .hint("add `webhook` or `command` to `[notify]` (docs/guide/notifications.md)"));
    }
    let text = match output.output {
        Form::Json => format!("{:#}\n", json!({ "id": message.id, "channels": document(&outcomes) })),
        Form::Text => outcomes.iter().map(|(channel, outcome)| format!("{channel:<8}  {}\n", words(outcome))).collect(),
    };
    output::data(&text)?;
    let good = outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Delivered);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(Kind::Refused.exit_code()) })
}

fn document(outcomes: &[(&'static str, Outcome)]) -> Vec<Value> {
    let one = |(channel, outcome): &(&'static str, Outcome)| {
        let (delivered, reason) = (*outcome == Outcome::Delivered, reason(outcome));
        json!({ "channel": channel, "delivered": delivered, "reason": reason })
    };
    outcomes.iter().map(one).collect()
}

fn words(outcome: &Outcome) -> String {
    reason(outcome).map_or_else(|| "delivered".to_owned(), |reason| format!("failed: {reason}"))
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Delivered => None,
        Outcome::Later(reason) | Outcome::Refused(reason) => Some(reason),
    }
}
