//! The passphrase of the vault, asked on the terminal and handed to the daemon, so that it is asked once.

use bowline_base::{Fault, Kind};
use bowline_credentials::client::{self, Answer, GoAlone};

use crate::{environment::Environment, output, terminal};

/// How often a person is asked before we give up.
const TRIES: usize = 3;

/// Has the daemon open its vault with what a person types; `false` where nobody can be asked, or no daemon answers.
pub(crate) fn through_daemon(environment: &Environment, context: &str) -> Result<bool, Fault> {
    let socket = environment.socket();
    let Ok(Answer::Good(answer)) = client::vault_question(&socket, context) else { return Ok(false) };
    let answer: serde_json::Value = serde_json::from_str(answer.expose()).unwrap_or_default();
    let Some(question) = answer["question"].as_str() else { return Ok(false) };
    let mut wrong = None;
    for _ in 0..TRIES {
        let Some(typed) = terminal::ask_hidden(question)? else { return Ok(false) };
        match client::vault_open(&socket, context, &typed) {
            Ok(Answer::Good(_)) => return Ok(true),
            Ok(Answer::Fault(fault)) if fault.kind == Kind::Refused => {
                output::say(&fault.message);
                wrong = Some(fault);
            }
            Ok(Answer::Fault(fault)) => return Err(fault),
            Err(gone) => return Err(lost(&gone)),
        }
    }
    wrong.map_or(Ok(false), Err)
}

/// Whatever happened to the daemon in between.
pub(crate) fn lost(gone: &GoAlone) -> Fault {
    Fault::new(Kind::Unreachable, "daemon", gone.to_string()).hint("bowline doctor daemon")
}
