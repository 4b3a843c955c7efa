//! `bowline gateway plan`: what would be done, in the words in which it is done. No call of it changes anything.

use std::{path::PathBuf, process::ExitCode};

use bowline_base::Fault;
use bowline_gateway::{Foreseen, Stand, Step, no_address, not_ours};
use serde_json::{Value, json};

use super::{gather, patrol};
use crate::{
    cli::{Form, GatewayPlan},
    commands::obtain::until_interrupted,
    environment::Environment,
    output,
    world::small_runtime,
};

/// `--exit-code`: there is something to do.
const CHANGES: u8 = 3;

pub(super) fn run(environment: Environment, file: Option<PathBuf>, arguments: &GatewayPlan) -> Result<ExitCode, Fault> {
    let (world, _, section) = gather(environment, file, &arguments.settings)?;
    let mut patrol = patrol(&world, &section)?;
    let foreseen = small_runtime()?.block_on(until_interrupted(async { Ok(patrol.foresee().await?) }))?;
    if let Some(missing) = &foreseen.look.selection.missing {
        return Err(not_ours(missing));
    }
    let address = match &foreseen.asked.agreed {
        Ok(address) => address.to_string(),
        Err(why) => return Err(no_address(&why.to_string())),
    };
    output::data(&match arguments.form.output {
        Form::Json => format!("{:#}\n", document(&address, &foreseen)),
        Form::Text => text(&address, &foreseen),
    })?;
    let something = foreseen.outlook.steps.iter().any(|step| !matches!(step, Step::Keep { .. }));
    Ok(if something && arguments.exit_code { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

fn text(address: &str, foreseen: &Foreseen) -> String {
    let outlook = &foreseen.outlook;
    let stand = |stand: &Stand| {
        let verdict = stand.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {verdict}\n", stand.connection.id)
    };
    let step = |step: &Step| format!("  {step}\n");
    let steps = match outlook.steps.as_slice() {
        [] => "nothing to do\n".to_owned(),
        steps => format!("to do:\n{}", steps.iter().map(step).collect::<String>()),
    };
    format!("address: {address}\n{}{steps}", outlook.stands.iter().map(stand).collect::<String>())
}

fn document(address: &str, foreseen: &Foreseen) -> Value {
    let outlook = &foreseen.outlook;
    let stand = |stand: &Stand| {
        json!({
            "id": stand.connection.id,
            "state": stand.connection.state,
            "customer_gateway": stand.connection.gateway,
            "address": stand.address,
            "verdict": stand.verdict.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "address": address,
        "owner": foreseen.look.selection.owner,
        "connections": outlook.stands.iter().map(stand).collect::<Vec<_>>(),
        "steps": outlook.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "owned_gateways": outlook.owned,
        "orphan_gateways": outlook.orphans,
    })
}
