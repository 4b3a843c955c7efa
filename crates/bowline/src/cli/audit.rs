//! `audit …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// `audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the last records
    #[command(after_help = "Examples:\n  bowline audit tail -n 50\n  bowline audit tail --follow")]
    Tail(AuditTail),
    /// Find records
    #[command(
        after_help = "Examples:\n  bowline audit query --profile admin --since 2026-11-17\n  bowline audit query --event refused --since 2h --output json"
    )]
    Query(AuditQuery),
    /// Say whether the log is as it was written, and name the first line that is not
    #[command(
        after_help = "Exit code 1 when a line is bad. A cut tail shows only against a checkpoint that was kept elsewhere.\n\nExamples:\n  bowline audit verify\n  bowline audit verify --checkpoint /mnt/safe/checkpoint.json\n  bowline audit verify audit-*.jsonl --key \"$(cat audit.pub)\""
    )]
    Verify(AuditVerify),
    /// Write down, once and signed, that you moved the first files of the log away by hand
    #[command(
        after_help = "The files are shown to it: what is said of others than those that were here is not believed, exit code 1.\n\nExample:\n  bowline audit archived /mnt/archive/audit-*.jsonl"
    )]
    Archived(AuditArchived),
    /// Find AWS keys in a tree of files: scripts, compose files, .env, .aws
    #[command(
        after_help = "Exit code 1 when there is one. Shows file, line and kind, never the key.\n\nExample:\n  bowline audit scan ~/projects"
    )]
    Scan(AuditScan),
}

/// `audit tail`
#[derive(Debug, Args)]
pub(crate) struct AuditTail {
    /// How many records
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Go on and show records as they come
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `audit query`
#[derive(Debug, Args)]
pub(crate) struct AuditQuery {
    /// Only records about this profile
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Only records since then: `2h`, `2026-11-22` or `2026-11-22T02:00:00Z`
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only records of this event: issued, refused, refreshed, refresh-failed, console, login, …
    #[arg(long)]
    pub(crate) event: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `audit verify`
#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    /// Log files, oldest first [default: this machine's log]
    pub(crate) files: Vec<PathBuf>,
    /// A checkpoint that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The only public key to believe [default: this machine's, for this machine's log]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `audit archived`
#[derive(Debug, Args)]
pub(crate) struct AuditArchived {
    /// The files that were moved away; copies of files that are still here are passed over
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// `audit scan`
#[derive(Debug, Args)]
pub(crate) struct AuditScan {
    /// A file or a directory
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}
