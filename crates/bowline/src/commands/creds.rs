//! `bowline creds PROFILE`: one JSON object on stdout for `credential_process`, and nothing else.

use bowline_base::Fault;

use super::obtain;
use crate::{cli::Creds, output, world::World};

pub(crate) fn run(world: &World, arguments: &Creds) -> Result<(), Fault> {
    output::secret(&obtain::document(world, &arguments.profile, &arguments.mfa)?)
}
