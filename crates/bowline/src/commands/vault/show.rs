//! `bowline vault show PROFILE`: what lies there, sealed; with `--reveal` the keys themselves.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_awsfiles::{SealedKeys, SealedPlace, Source};
use bowline_base::{Fault, Kind, Secret};

use super::Opening;
use crate::{
    cli::{MfaCode, VaultShow},
    commands::{obtain, recording},
    keyring::{Form, Keyring, LongLived},
    output,
};

pub(super) fn run(opening: &Opening<'_>, arguments: &VaultShow) -> Result<(), Fault> {
    if arguments.reveal { reveal(opening, &arguments.profile) } else { sealed(opening, &arguments.profile) }
}

fn reveal(opening: &Opening<'_>, profile: &str) -> Result<(), Fault> {
    let (world, keyring) = (opening.world, Keyring::open(opening.world));
    let keys = if keyring.form(profile)? == Form::Store && !opening.by_named_key {
        // The daemon may have it open.
        let credentials = obtain::credentials(world, profile, &MfaCode::default())?;
        LongLived { key_id: credentials.key_id, secret: credentials.secret_key }
    } else {
        keyring.load(profile)?
    };
    recording::revealed(world, profile, &keys.key_id, "vault show --reveal")?;
    output::secret(&Secret::new(format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        keys.key_id.as_str(),
        keys.secret.expose()
    )))
}

fn sealed(opening: &Opening<'_>, profile: &str) -> Result<(), Fault> {
    let world = opening.world;
    let (config, keyring) = (world.aws_config()?, Keyring::open(world));
    match (keyring.form(profile)?, config.resolve(profile)?) {
        (Form::Plain, _) => Err(Fault::new(Kind::Refused, "vault", format!("the keys of `{profile}` are not sealed"))
            .hint(format!("bowline vault migrate {profile}"))),
        (_, Source::Sealed(SealedKeys { place: SealedPlace::Envelope { key_id, secret_key }, .. })) => {
            let (key_id, secret_key) = (key_id.expose(), secret_key.expose());
            output::data(&format!("aws_access_key_id = {key_id}\naws_secret_access_key = {secret_key}\n"))
        }
        _ => {
            let path = world.setup.vault.directory.join("vault.age");
            let bytes = fs::read(&path).map_err(|cause| {
                Fault::new(Kind::Config, "vault", format!("cannot read `{}`", path.display())).cause(cause)
            })?;
            output::say(
                "The whole store, in which the keys of every profile are one sealed text; `age --decrypt` reads it:",
            );
            output::data(&armored(&bytes))
        }
    }
}

/// age's armor: the file as text.
fn armored(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: String = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    format!("-----BEGIN AGE ENCRYPTED FILE-----\n{lines}-----END AGE ENCRYPTED FILE-----\n")
}
