//! `bowline vault recover`: how to open the store without Bowline; with a named key, whether that opens it.

use bowline_base::Fault;
use bowline_vault::store::{Place, instructions};

use super::{Opening, list};
use crate::{cli::VaultRecover, output};

pub(super) fn run(opening: &Opening<'_>, _arguments: &VaultRecover) -> Result<(), Fault> {
    let place = Place::new(&opening.world.setup.vault.directory);
    if opening.by_named_key {
        output::data(&list::text(&list::alone(opening)?))?;
        output::say(
            "It opens. Let a new SSH key open it too: bowline vault recipients add NEW.pub with the same option",
        );
        return Ok(());
    }
    let (_, recipients) = place.recipients()?;
    let mut text =
        String::from("Any of these prints every key, as JSON, without Bowline (https://age-encryption.org):\n");
    for way in instructions(place.directory(), &recipients) {
        text.push_str(&format!("  {}\n      {}\n", way.command, way.who));
    }
    text.push_str("With Bowline and the recovery key:\n  bowline vault recover --recovery-key-file FILE\n");
    text.push_str("  bowline vault show PROFILE --reveal --recovery-key-file FILE\n");
    text.push_str(&format!(
        "The store before its last change is `{}`.\n",
        place.directory().join("vault.age.bak").display()
    ));
    output::data(&text)
}
