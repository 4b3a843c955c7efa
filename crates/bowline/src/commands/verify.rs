//! `bowline verify PROFILE`: GetCallerIdentity with exactly what is handed out; with `--rotate` before and after a renewal.

use std::sync::Arc;

use bowline_aws::sts;
use bowline_base::{Credentials, Fault, FixedIdentity, utc};
use bowline_credentials::Sources;
use bowline_host::Tasks;
use serde_json::{Value, json};

use super::{obtain, recording};
use crate::{
    cli::{Form, Verify},
    output,
    world::{World, small_runtime},
};

pub(crate) fn run(world: &World, arguments: &Verify) -> Result<(), Fault> {
    let first = obtain::credentials(world, &arguments.profile, &arguments.mfa)?;
    let (mut verified, runtime) = (Vec::new(), small_runtime()?);
    verified.push(runtime.block_on(ask(world, &arguments.profile, &first))?);
    if arguments.rotate {
        let second = runtime.block_on(renew(world, &arguments.profile, &first))?;
        verified.push(runtime.block_on(ask(world, &arguments.profile, &second))?);
    }
    let text = match arguments.output.output {
        Form::Json => format!("{:#}\n", json!({ "profile": arguments.profile, "verified": verified })),
        Form::Text => verified.iter().map(line).collect(),
    };
    output::data(&text)
}

async fn ask(world: &World, profile: &str, credentials: &Credentials) -> Result<Value, Fault> {
    let tasks = Tasks::new();
    let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
    let aws = sources.aws(&sources.resolve(profile)?.endpoints);
    let identity = FixedIdentity::new(credentials.clone());
    let caller = sts::caller_identity(&aws, &world.region(None, profile)?, &identity).await?;
    Ok(json!({
        "arn": caller.arn,
        "account": caller.account,
        "key": credentials.key_id.as_str(),
        "expires": credentials.expires_at.map(utc),
    }))
}

/// Another set than `former`, left where everybody else finds it.
async fn renew(world: &World, profile: &str, former: &Credentials) -> Result<Credentials, Fault> {
    let tasks = Tasks::new();
    let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
    let resolved = sources.resolve(profile)?;
    let renewed = sources.credentials(&resolved, Some(&former.key_id)).await;
    tasks.shut_down(std::time::Duration::from_secs(5)).await;
    let renewed = renewed.inspect_err(|fault| recording::refused(world, profile, fault))?;
    recording::issued(world, profile, &renewed, &resolved.describe())?;
    Ok(renewed)
}

fn line(verified: &Value) -> String {
    let cell = |name: &str| verified[name].as_str().unwrap_or("never").to_owned();
    // A session that stands in a file does not say when it ends, but it does end.
    let is_session = cell("key").starts_with("ASIA") && verified["expires"].is_null();
    let end = if is_session { "its end, which is not known here".to_owned() } else { cell("expires") };
    format!("{}\n  key {}, until {end}\n", cell("arn"), cell("key"))
}
