//! What a shell offers while somebody types: commands and flags from the command line's own description, names from the
//! configuration. Nobody is called and nothing is said: a line that cannot be completed is offered nothing.

mod names;
mod script;
mod walk;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionShell},
    environment::Environment,
    output,
};

use self::walk::{Offer, Place};

/// The first argument with which the scripts ask; the words of the line follow, the one that is being typed last.
pub(crate) const ASKED: &str = "__complete";

/// Offers what can stand at the end of `words`, one a line, with a tab before what it is. The exit code 3 says that the
/// shell should offer files.
pub(crate) fn answer(environment: &Environment, words: &[String]) -> ExitCode {
    let mut program = Cli::command();
    program.build();
    let offer = match walk::place(&program, words) {
        Place::Words(offers) => offers,
        Place::Names { kind, prefix, typed } => {
            let names = names::known(environment, kind).into_iter();
            names.filter(|name| name.starts_with(&typed)).map(|name| Offer::plain(format!("{prefix}{name}"))).collect()
        }
        Place::Files => return ExitCode::from(3),
    };
    let lines: String = offer.iter().map(Offer::line).collect();
    output::data(&lines).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// The words that make `shell` ask.
pub(crate) fn script(shell: CompletionShell) -> &'static str {
    script::of(shell)
}
