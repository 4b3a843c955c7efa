//! `bowline vault list`: what is in the store and who can open it, without any key. Opens it, in the daemon if there is one.

use bowline_base::{Fault, Kind};
use bowline_credentials::{
    client::{self, Answer},
    vault::{Listing, is_locked},
};

use super::Opening;
use crate::{
    cli::{Form, VaultList},
    keyring::Keyring,
    output, unlock,
};

pub(super) fn run(opening: &Opening<'_>, arguments: &VaultList) -> Result<(), Fault> {
    let listing = match of_daemon(opening)? {
        Some(listing) => listing,
        None => alone(opening)?,
    };
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", serde_json::json!(listing))),
        Form::Text => output::data(&text(&listing)),
    }
}

/// Without the daemon.
pub(super) fn alone(opening: &Opening<'_>) -> Result<Listing, Fault> {
    Keyring::open(opening.world).asking(|vault| vault.listing(opening.world.wire.now()))
}

/// What people read.
pub(super) fn text(listing: &Listing) -> String {
    let mut text = String::new();
    let width = listing.profiles.iter().map(|kept| kept.profile.len()).max().unwrap_or(0);
    for kept in &listing.profiles {
        text.push_str(&format!("{:width$}  since {}\n", kept.profile, kept.added));
    }
    if listing.profiles.is_empty() {
        text.push_str("no keys yet\n");
    }
    text.push_str("\nopened by\n");
    for recipient in &listing.recipients {
        text.push_str(&format!("  {recipient}\n"));
    }
    for profile in &listing.waiting {
        text.push_str(&format!(
            "\nwaiting: other keys were added for `{profile}`, which has keys; to use such keys: bowline vault add {profile} --replace; to be rid of them: bowline vault discard {profile}\n"
        ));
    }
    for bad in &listing.unreadable {
        text.push_str(&format!("\nunreadable: {}: {}\n", bad.file.display(), bad.why));
    }
    if listing.recipients_changed {
        text.push_str("\nwarning: `recipients.txt` is not the sealed list: somebody changed it, and could read what was added since\n");
    }
    text
}

/// `None`: there is no daemon, or it is not the one to ask.
fn of_daemon(opening: &Opening<'_>) -> Result<Option<Listing>, Fault> {
    if opening.by_named_key {
        return Ok(None);
    }
    let (environment, context) = (&opening.world.environment, opening.world.context());
    let ask = || client::vault_listing(&environment.socket(), &context);
    let answer = match ask() {
        Ok(Answer::Fault(fault)) if is_locked(&fault) => {
            if !unlock::through_daemon(environment, &context)? {
                return Ok(None);
            }
            ask()
        }
        other => other,
    };
    match answer {
        Ok(Answer::Good(document)) => serde_json::from_str(document.expose()).map(Some).map_err(|cause| {
            Fault::new(Kind::Bug, "daemon", "the daemon's answer is not as this version writes it").cause(cause)
        }),
        Ok(Answer::Fault(fault)) => Err(fault),
        Err(_) => Ok(None),
    }
}
