//! `bowline vault discard PROFILE`: keys that wait in the inbox, thrown away. The profile keeps those it has.

use bowline_base::{Fault, Kind};
use bowline_vault::ProfileName;

use crate::{keyring::Keyring, output, world::World};

pub(super) fn run(world: &World, profile: &str) -> Result<(), Fault> {
    match Keyring::open(world).discard(&ProfileName::new(profile)?)? {
        0 => Err(Fault::new(Kind::Config, "vault", format!("no keys wait for `{profile}`"))
            .hint("bowline vault list names what waits")),
        _ => {
            output::say(&format!("The keys that waited for `{profile}` are gone; they are still valid at AWS."));
            Ok(())
        }
    }
}
