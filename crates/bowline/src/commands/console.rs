//! `bowline console PROFILE`: the console in a browser, as the role behind the profile.

use std::{path::Path, sync::Arc, time::Duration};

use bowline_aws::signin::{self, Destination};
use bowline_base::{Fault, Kind, Secret};
use bowline_credentials::{Sources, console, handover};
use bowline_host::Tasks;

use super::{login, obtain, recording};
use crate::{
    cli::Console,
    output,
    world::{World, small_runtime},
};

pub(crate) fn run(world: &World, arguments: &Console) -> Result<(), Fault> {
    Sources::new(Arc::clone(&world.wire), Tasks::new(), world.setup.clone()).resolve(&arguments.profile)?;
    if !arguments.print && !login::has_display(world) {
        let message = "there is no display to open a browser on";
        return Err(Fault::new(Kind::Config, "console", message).hint(format!(
            "bowline console {} --print shows the address, which lets in whoever has it for 15 minutes",
            arguments.profile
        )));
    }
    let region = world.region(arguments.region.as_deref(), &arguments.profile)?;
    let destination = Destination::parse(arguments.destination.as_deref(), &region)?;
    let credentials = obtain::credentials(world, &arguments.profile, &arguments.mfa)?;
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let resolved = sources.resolve(&arguments.profile)?;
        console::check(&resolved, &credentials, arguments.duration)?;
        let aws = sources.aws(&resolved.endpoints);
        let address = signin::console_address(&aws, &region, &credentials, arguments.duration, &destination).await;
        let address = address.map_err(|error| console::explain(error, arguments.duration))?;
        // The credentials may be those of a record that is there already; the console is another door, for hours.
        recording::console(world, &arguments.profile, &credentials, &resolved.describe())?;
        let shown = if arguments.print { print(&address) } else { open(world, &tasks, &address).await };
        tasks.shut_down(Duration::from_secs(1)).await;
        shown
    })
}

fn print(address: &Secret) -> Result<(), Fault> {
    output::say("note: this address lets in whoever has it for 15 minutes");
    output::secret(address)?;
    output::data("\n")
}

async fn open(world: &World, tasks: &Tasks, address: &Secret) -> Result<(), Fault> {
    let directory = world.environment.runtime_directory();
    let show = |page: &Path| login::open(world, &page.display().to_string());
    handover::hand_over(tasks, &*world.wire, &directory, address, show).await?;
    output::say("The console opens in the browser.");
    Ok(())
}
