//! `completions` and `man`: what other programs are told about this command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Whose words to write
    #[arg(value_enum)]
    pub(crate) shell: CompletionShell,
}

/// The shells that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Command whose page to print [default: the program's]
    #[arg(value_name = "COMMAND")]
    pub(crate) commands: Vec<String>,
    /// Write every page into this directory instead
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "commands")]
    pub(crate) directory: Option<PathBuf>,
    /// Print all of it as one page of Markdown
    #[arg(long, conflicts_with_all = ["commands", "directory"])]
    pub(crate) markdown: bool,
}
