//! A daemon that runs and yet cannot be used by this command: what is said of it, and what to type.

use std::path::Path;

use bowline_base::Fault;
use bowline_credentials::{
    RECURSION_MARK,
    client::{self, Answer, GoAlone},
    is_of_the_environment,
};

use super::doctor::quoted;
use crate::{output, world::World};

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// In words.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Obstacle {
    /// `None` where nobody listens: that is no obstacle, there is just no daemon.
    pub(crate) fn of(reason: &GoAlone, socket: &Path) -> Option<Self> {
        let why = reason.to_string();
        let (why, fix) = match reason {
            GoAlone::NoDaemon(_) => return None,
            GoAlone::Foreign(_) => (why, format!("ls -l {}   # or set BOWLINE_SOCKET", quoted(socket))),
            GoAlone::OtherContext => (why, SAME_CONTEXT.to_owned()),
            GoAlone::Strange(_) => (why, "stop it, and start the daemon of this version: bowline run".to_owned()),
            GoAlone::Silent(cause) => {
                (format!("{why}: {cause}"), "stop it (it may be suspended), then: bowline run".to_owned())
            }
        };
        Some(Self { why, fix })
    }

    /// A daemon that answered, but with a no.
    pub(crate) fn refusal(fault: &Fault) -> Self {
        let fix = fault.hint.clone().unwrap_or_else(|| "bowline doctor daemon".to_owned());
        Self { why: fault.chain(), fix }
    }
}

const SAME_CONTEXT: &str =
    "start it with the same HOME, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE and AWS_ENDPOINT_URL… as this shell";

/// Says so where a daemon runs that this command's `profile` cannot come from, and it goes on by itself.
pub(crate) fn say(world: &World, profile: &str) {
    let environment = &world.environment;
    if environment.var(RECURSION_MARK).is_some() || is_of_the_environment(&world.setup, profile) {
        return;
    }
    let socket = environment.socket();
    let obstacle = match client::status(&socket, &world.context()) {
        Ok(Answer::Good(_)) => None,
        Ok(Answer::Fault(fault)) => Some(Obstacle::refusal(&fault)),
        Err(reason) => Obstacle::of(&reason, &socket),
    };
    if let Some(Obstacle { why, .. }) = obstacle {
        output::say(&format!("note: {why}; going on without it"));
    }
}
