//! `bowline profiles sync`: profiles for every account and role of a sign-in. The plan is printed, then done.

use std::{fs, io, sync::Arc, time::Duration};

use bowline_awsfiles::Document;
use bowline_base::{Fault, Kind};
use bowline_credentials::{
    Sources,
    profiles::{self, Change, Plan, RegionOf},
};
use bowline_host::Tasks;

use crate::{
    cli::{Form, ProfilesSync},
    output,
    world::{World, small_runtime},
};

pub(crate) fn sync(world: &World, arguments: &ProfilesSync) -> Result<(), Fault> {
    let name = super::login::which(world, &world.aws_config()?, arguments.session.as_deref())?;
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let outcome = sync_in(&sources, &name, arguments).await;
        tasks.shut_down(Duration::from_secs(10)).await;
        outcome
    })
}

async fn sync_in(sources: &Sources, name: &str, arguments: &ProfilesSync) -> Result<(), Fault> {
    let (session, wanted) = profiles::wanted(sources, name, &arguments.template, &region_of(arguments)).await?;
    let plan = profiles::plan(&document(sources)?, &session, &wanted)?;
    match arguments.output.output {
        Form::Json => {
            output::data(&format!("{:#}\n", serde_json::json!({ "plan": plan, "dry_run": arguments.dry_run })))?;
        }
        Form::Text => output::data(&text(&plan))?,
    }
    if arguments.dry_run || plan.is_empty() {
        return Ok(());
    }
    profiles::write(sources, &session, &wanted)?;
    output::say(&format!("Wrote `{}`.", sources.setup().locations.config.display()));
    Ok(())
}

fn region_of(arguments: &ProfilesSync) -> RegionOf {
    match &arguments.region {
        Some(region) => RegionOf::Named(region.clone()),
        None if arguments.no_region => RegionOf::Nobody,
        None => RegionOf::Session,
    }
}

fn document(sources: &Sources) -> Result<Document, Fault> {
    let path = &sources.setup().locations.config;
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|cause| {
            let message = format!("cannot read `{}`", path.display());
            Fault::new(Kind::Config, path.display().to_string(), message).cause(cause)
        })?,
    };
    Ok(Document::parse(path.as_path(), &bytes)?)
}

fn text(plan: &Plan) -> String {
    let line = |(change, name): &(Change, String)| match change {
        Change::Add => format!("+ {name}\n"),
        Change::Keep => format!("  {name}\n"),
        Change::Update => format!("~ {name}\n"),
        Change::Remove => format!("- {name}\n"),
        Change::Foreign => format!("! {name}: a profile of that name stands outside of the block and is left alone\n"),
    };
    format!("profiles of sso-session {}:\n{}", plan.session, plan.changes.iter().map(line).collect::<String>())
}
