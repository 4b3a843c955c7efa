//! `bowline audit …`: reads the log, proves it, and looks for keys that lie around. [`note`] writes down what other
//! commands do without the daemon.

mod records;
mod scan;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bowline_audit::{AuditLog, Client, Places, Record, log_files};
use bowline_base::{Fault, Kind};

use crate::{cli::Audit, config::AuditSection, config_place, environment::Environment, output, world::World};

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
        Audit::Scan(arguments) => return scan::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes down what a person did at this terminal. A log that cannot be written does not stop them.
pub(super) fn note(world: &World, file: Option<PathBuf>, record: &Record) {
    let client = Client::Process {
        uid: rustix::process::geteuid().as_raw(),
        pid: i32::try_from(std::process::id()).ok(),
        program: i32::try_from(std::process::id()).ok().and_then(bowline_host::program::behind),
    };
    let record = Record { client: Some(client), ..record.clone() };
    let written = config_place::load(file, &world.environment).and_then(|config| {
        let log = AuditLog::new(places(&world.environment, &config.audit), Vec::new());
        log.record(world.wire.now(), &record)?;
        log.sign(world.wire.now())
    });
    if let Err(fault) = written {
        output::say(&format!("note: this is not in the audit log: {}", fault.chain()));
    }
}

/// Where the log is: as configured, else below the state directory.
pub(crate) fn places(environment: &Environment, section: &AuditSection) -> Places {
    let standard = Places::below(&environment.state_directory());
    Places { directory: section.path.clone().unwrap_or(standard.directory), max_size: section.max_file_size }
}

/// The files of the log; there has to be one.
fn files(places: &Places) -> Result<Vec<PathBuf>, Fault> {
    let shown = places.directory.display();
    let files = log_files(&places.directory)
        .map_err(|cause| Fault::new(Kind::Config, "audit", format!("cannot read `{shown}`")).cause(cause))?;
    if files.is_empty() {
        return Err(Fault::new(Kind::Config, "audit", format!("there is no audit log in `{shown}`"))
            .hint("`bowline run` writes one; name another configuration with --config"));
    }
    Ok(files)
}

fn cannot_read(path: &Path, cause: std::io::Error) -> Fault {
    Fault::new(Kind::Config, "audit", format!("cannot read `{}`", path.display())).cause(cause)
}
