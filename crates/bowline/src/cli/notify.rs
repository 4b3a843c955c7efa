//! `notify`: trying the ways to a person.

use clap::Subcommand;

use super::Output;

/// `notify …`
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// Send a test message through every channel of `[notify]`, and say how each took it
    #[command(
        after_help = "Exit code 1 when a channel did not take it.\n\nExamples:\n  bowline notify test\n  bowline notify test --config ./bowline.toml --output json"
    )]
    Test(Output),
}
