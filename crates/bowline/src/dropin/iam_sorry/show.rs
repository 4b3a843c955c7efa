//! `--show-encrypted` and `--show-decrypted`: a profile's lines, as they stand or with the sealed values opened.

use bowline_base::{Fault, KeyId, Secret};
use bowline_vault::{Field, envelope::is_sealed};

use super::{key_file::SshKey, section::Held};
use crate::{commands::recording, output, world::World};

/// Keys whose plaintext is not printed where nobody asked for it.
const SECRETS: [&str; 3] = ["aws_secret_access_key", "aws_session_token", "aws_security_token"];

/// The lines as they stand, but for secrets that are not sealed.
pub(super) fn encrypted(held: &Held) -> Result<(), Fault> {
    let mut hiding = false;
    let lines = held.lines().iter().filter_map(|line| {
        let text = line.expose();
        let continued = text.starts_with([' ', '\t']);
        if continued && hiding {
            return None;
        }
        let (key, value) = split(text);
        hiding = SECRETS.contains(&key.to_lowercase().as_str()) && !is_sealed(value) && !value.is_empty();
        Some(if hiding { format!("{key} = (not sealed; --show-decrypted shows it)\n") } else { format!("{text}\n") })
    });
    output::data(&lines.collect::<String>())
}

/// The lines with the sealed values opened.
pub(super) fn decrypted(world: &World, profile: &str, held: &Held, key: &SshKey) -> Result<(), Fault> {
    let keys = held.keys(key)?;
    recording::revealed(world, profile, &KeyId::new(keys.key_id.expose()), "iam-sorry --show-decrypted")?;
    let opened = [(Field::KeyId, &keys.key_id), (Field::SecretKey, &keys.secret_key)];
    let lines = held.lines().iter().map(|line| {
        let (name, value) = split(line.expose());
        let found = opened.iter().find(|(field, _)| is_sealed(value) && name.eq_ignore_ascii_case(field.name()));
        found.map_or_else(|| format!("{}\n", line.expose()), |(_, plain)| format!("{name} = {}\n", plain.expose()))
    });
    output::secret(&Secret::new(lines.collect::<String>()))
}

/// Key and value of a line, trimmed; no key where there is no delimiter.
fn split(line: &str) -> (&str, &str) {
    line.split_once(['=', ':']).map_or(("", line), |(key, value)| (key.trim(), value.trim()))
}
