//! `bowline audit …`: reads the log, proves it, has a person say where its first files went, and looks for keys that lie
//! around.

mod archived;
mod records;
mod scan;
mod verify;

pub(crate) use verify::{SHOW_THEM, verify_own};

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bowline_audit::{Places, log_files};
use bowline_base::{Fault, Kind};

use crate::{cli::Audit, config::AuditSection, config_place, environment::Environment, world::World};

/// Exit code 1 where a line is bad or a key was found.
pub(crate) fn run(world: &World, file: Option<PathBuf>, command: &Audit) -> Result<ExitCode, Fault> {
    if let Audit::Scan(arguments) = command {
        return scan::run(arguments);
    }
    let config = config_place::load(file, &world.environment)?;
    let places = places(&world.environment, &config.audit);
    match command {
        Audit::Tail(arguments) => records::tail(world, &places, arguments)?,
        Audit::Query(arguments) => records::query(world, &places, arguments)?,
        Audit::Verify(arguments) => return verify::run(&places, arguments),
        Audit::Archived(arguments) => return archived::run(world, places, arguments),
        Audit::Scan(arguments) => return scan::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the log is: as configured, else below the state directory.
pub(crate) fn places(environment: &Environment, section: &AuditSection) -> Places {
    let standard = Places::below(&environment.state_directory());
    Places {
        directory: section.path.clone().unwrap_or(standard.directory),
        max_size: section.max_file_size,
        marks: Some(environment.runtime_directory().join("told")),
    }
}

/// The files of the log; there has to be one.
fn files(places: &Places) -> Result<Vec<PathBuf>, Fault> {
    let shown = places.directory.display();
    let files = log_files(&places.directory)
        .map_err(|cause| Fault::new(Kind::Config, "audit", format!("cannot read `{shown}`")).cause(cause))?;
    if files.is_empty() {
        return Err(Fault::new(Kind::Config, "audit", format!("there is no audit log in `{shown}`"))
            .hint("whatever hands out credentials writes one; name another configuration with --config"));
    }
    Ok(files)
}

fn cannot_read(path: &Path, cause: std::io::Error) -> Fault {
    Fault::new(Kind::Config, "audit", format!("cannot read `{}`", path.display())).cause(cause)
}
