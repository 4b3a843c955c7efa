//! `update`: a section of `~/.aws/credentials`, renewed ahead. The file is replaced whole, everything else in it stays,
//! and a failure leaves it as it was.

use std::{fs, io, path::Path};

use bowline_awsfiles::Document;
use bowline_base::Fault;

use super::{
    cli::Update,
    session::{open, wrong},
};
use crate::{
    cli::MfaCode,
    commands::{obtain, write},
    environment::Environment,
};

pub(super) fn run(environment: Environment, arguments: &Update) -> Result<(), Fault> {
    let (world, identity) = open(environment, &arguments.session)?;
    let (file, profile) = (&world.setup.locations.credentials, arguments.profile.as_str());
    refuse_lasting_keys(file, profile)?;
    if arguments.once {
        let fresh = obtain::alone(&world, &identity, &MfaCode::default())?;
        return write::into_section(file, profile, &write::keys(&fresh));
    }
    write::keep(&world, &identity, |fresh| write::into_section(file, profile, &write::keys(fresh)))
}

/// A key without a session token lasts until somebody deletes it, and this may be its only copy.
fn refuse_lasting_keys(file: &Path, profile: &str) -> Result<(), Fault> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(wrong(format!("cannot read `{}`", file.display())).cause(cause)),
    };
    let sections = Document::parse(file, &bytes)?.sections()?;
    let lasting = sections.iter().find(|section| {
        let has = |key: &str| section.settings.contains_key(key);
        section.name == profile
            && (has("aws_access_key_id") || has("aws_secret_access_key"))
            && !has("aws_session_token")
    });
    match lasting {
        None => Ok(()),
        Some(section) => {
            Err(wrong(format!("`[{profile}]` at {} holds a long-lived key, which would be lost", section.origin))
                .hint(format!("choose another `--profile`, or remove the key from `{}` first", file.display())))
        }
    }
}
