//! `bowline audit archived FILES`: whoever moved the first files of the log away by hand shows them, and says so in the log.

use std::{fs, os::unix::fs::MetadataExt as _, process::ExitCode};

use bowline_audit::{Archived, AuditLog, Places};
use bowline_base::{Fault, Kind};
use bowline_credentials::client_behind_this_process;

use super::{cannot_read, files, verify};
use crate::{cli::AuditArchived, output, world::World};

/// Exit code 1 where the log, or what was shown, is not as it was written.
pub(super) fn run(world: &World, places: Places, arguments: &AuditArchived) -> Result<ExitCode, Fault> {
    let (here, against) = (files(&places)?, verify::own(&places));
    is_ours(&places)?;
    let log = AuditLog::new(places, Vec::new());
    let client = client_behind_this_process();
    match log.say_archived(world.wire.now(), &arguments.files, &here, &against, client)? {
        Archived::Said { line, lines: (first, last) } => {
            output::data(&format!(
                "lines {first} to {last} are whole in what was shown; line {line} of the log says so\n"
            ))?;
        }
        Archived::NothingIsMissing => {
            output::data("nothing is missing at the beginning of the log; nothing was written\n")?;
        }
        Archived::No(verdict) => {
            output::data(&verify::text(&verdict, against.key.as_ref()))?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What another user begins, the owner could not go on with.
fn is_ours(places: &Places) -> Result<(), Fault> {
    let directory = &places.directory;
    let owner = fs::metadata(directory).map_err(|cause| cannot_read(directory, cause))?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let message = format!("the audit log in `{}` belongs to another user", directory.display());
    Err(Fault::new(Kind::Refused, "audit", message)
        .hint(format!("say it as that one: sudo -u '#{owner}' bowline audit archived …")))
}
