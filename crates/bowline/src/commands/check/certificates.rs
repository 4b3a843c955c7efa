//! Every certificate and key that `[identity.NAME]` names must be there, belong together and be good.

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Kind};
use bowline_credentials::certificate::{Life, Standing};

use super::Finding;
use crate::{config::Config, world::World};

/// What is wrong, and what will be before long.
pub(super) fn look(world: &World, config: &Config) -> (Vec<Finding>, Vec<Finding>) {
    let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
    for identity in &config.identities {
        let (list, fault) = match Standing::look(identity, &world.setup.environment, world.wire.now().wall) {
            Err(fault) | Ok(Standing { flaw: Some(fault), .. }) => (&mut wrong, fault),
            Ok(standing) => match (standing.life, of_life(identity, &standing)) {
                (_, None) => continue,
                (Life::Ended | Life::NotYet, Some((said, advice))) => (&mut wrong, told(said).hint(advice)),
                (_, Some((said, advice))) => (&mut warnings, told(format!("{said}; {advice}"))),
            },
        };
        list.push(Finding::at(&["identity", &identity.name], fault));
    }
    (wrong, warnings)
}

/// How long it lasts, and what to do.
fn of_life(identity: &RolesAnywhere, standing: &Standing) -> Option<(String, String)> {
    let advice = standing.life.advice(&identity.certificate)?;
    let (word, end) = (standing.life.word(), bowline_base::utc(standing.ends));
    Some((format!("the certificate of `{}` is {word} (its end: {end})", identity.name), advice))
}

fn told(said: String) -> Fault {
    Fault::new(Kind::Config, "x509", said)
}
