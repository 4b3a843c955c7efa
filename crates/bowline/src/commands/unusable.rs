//! A daemon that runs and yet cannot be used by this command: what is said of it, and what to type.

use std::path::Path;

use bowline_base::{Fault, Kind, shell::quoted_path};
use bowline_credentials::client::GoAlone;

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// In words.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Unusable {
    /// `None` where nobody listens: there is just no daemon.
    pub(crate) fn of(reason: &GoAlone, socket: &Path) -> Option<Self> {
        let why = reason.to_string();
        let (why, fix) = match reason {
            GoAlone::NoDaemon(_) => return None,
            GoAlone::Foreign(_) => (why, format!("ls -l {}   # or set BOWLINE_SOCKET", quoted_path(socket))),
            GoAlone::OtherContext => (why, SAME_CONTEXT.to_owned()),
            GoAlone::Strange(_) => (why, "stop it, and start the daemon of this version: bowline run".to_owned()),
            GoAlone::Silent(cause) => {
                (format!("{why}: {cause}"), "stop it (it may be suspended), then: bowline run".to_owned())
            }
        };
        Some(Self { why, fix })
    }

    /// A daemon that answered the question for its status, but with a no.
    pub(crate) fn refusal(fault: &Fault) -> Self {
        if is_of_another_user(fault) {
            return Self { why: GRANTING.to_owned(), fix: "ask its owner for its status".to_owned() };
        }
        let fix = fault.hint.clone().unwrap_or_else(|| "bowline doctor daemon".to_owned());
        Self { why: fault.chain(), fix }
    }
}

/// Whether its owner's daemon keeps its status from us; what a `[[grant]]` names it gives all the same.
pub(crate) fn is_of_another_user(fault: &Fault) -> bool {
    fault.kind == Kind::Refused
}

/// Said of such a daemon.
pub(crate) const GRANTING: &str =
    "it is another user's: it answers you for the profiles that its [[grant]]s name, and not for its status";

const SAME_CONTEXT: &str =
    "start it with the same HOME, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE and AWS_ENDPOINT_URL… as this shell";
