//! `init`, `explain`, `healthcheck`, `service`: what begins an installation and keeps it going.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Output;

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// An .env or a compose file of the program that Bowline replaces; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Vec<PathBuf>,
    /// Ask nothing and take everything that is proposed
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub(crate) print: bool,
    /// Replace a file that is there, and keep it as bowline.toml.bak (.bak.1, … where that is taken)
    #[arg(long)]
    pub(crate) force: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A key like `artifacts.metadata-ttl`, or a section [default: every key]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `healthcheck`
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// What to ask instead: plain http, answered with 2xx when it is well
    #[arg(long)]
    pub(crate) url: Option<String>,
}

/// `service`
#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// Write the unit that starts the daemon, and say how to switch it on
    #[command(
        after_help = "A unit that somebody else wrote or changed is not replaced without --force.\n\nExamples:\n  bowline service install\n  sudo bowline service install --system\n  bowline service install --print --kind launchd"
    )]
    Install(ServiceInstall),
}

/// `service install`
#[derive(Debug, Args)]
pub(crate) struct ServiceInstall {
    /// For the whole machine [default: as root]
    #[arg(long, conflicts_with = "user")]
    pub(crate) system: bool,
    /// For this user [default: as anybody else]
    #[arg(long)]
    pub(crate) user: bool,
    /// What starts services here [default: launchd on macOS, else systemd]
    #[arg(long, value_enum)]
    pub(crate) kind: Option<ServiceKind>,
    /// Print the unit and write nothing
    #[arg(long)]
    pub(crate) print: bool,
    /// Replace a unit that somebody wrote or changed
    #[arg(long)]
    pub(crate) force: bool,
}

/// What starts services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceKind {
    /// A unit of systemd
    Systemd,
    /// A property list of launchd (written for macOS, not tested there)
    Launchd,
}
