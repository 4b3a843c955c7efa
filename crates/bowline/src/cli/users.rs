//! `users …` and `vault rotate`.

use std::{path::PathBuf, time::Duration};

use bowline_base::units;
use clap::{Args, Subcommand};

use super::{Output, duration};

/// `users …`
#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Make a user in the namespace, with its owner in its tags
    #[command(
        after_help = "Examples:\n  bowline users create dirk-bedrock\n  bowline users create dirk-ci --owner bob"
    )]
    Create(UsersCreate),
    /// Write temporary credentials of that user into the AWS files, under its name
    #[command(
        after_help = "A user of the namespace that is not there is made. An access key of the user is made, traded for a session and deleted at once; with --role no key is made.\n\nExamples:\n  bowline users refresh dirk-bedrock\n  bowline users refresh dirk-bedrock --duration 8h\n  bowline users refresh dirk-ci --role arn:aws:iam::111122223333:role/dirk-ci --duration 1h"
    )]
    Refresh(UsersRefresh),
    /// List the users of the namespace: owner, age of keys, end of the credentials that are here
    #[command(after_help = "Examples:\n  bowline users list\n  bowline users list --output json")]
    List(UsersList),
    /// Make somebody else the owner of a user
    #[command(
        after_help = "Only its owner may; nothing is overwritten.\n\nExample:\n  bowline users chown dirk-bedrock bob"
    )]
    Chown(UsersChown),
    /// Add the sections that ~/.aws/config lacks for profiles of ~/.aws/credentials
    #[command(after_help = "Example:\n  bowline users fix-profiles")]
    FixProfiles(Manages),
    /// Take over the manager's keys from the environment: seal them, verify, and replace them by new ones
    #[command(
        after_help = "Cut off anywhere, run it again: it goes on from there.\n\nExample:\n  AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… bowline users bootstrap"
    )]
    Bootstrap(UsersBootstrap),
}

/// As whom.
#[derive(Debug, Args)]
pub(crate) struct Manages {
    /// Profile with the manager's long-lived key [default: $AWS_PROFILE, then [delegation] manager-profile, then iam-sorry]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// SSH key that the manager's key is sealed with [default: [delegation] ssh-key, [vault] ssh-key, ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
}

/// `users create`
#[derive(Debug, Args)]
pub(crate) struct UsersCreate {
    /// `PREFIX-…`, or the prefix itself
    pub(crate) name: String,
    /// Who may hand out its credentials [default: the manager]
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) manages: Manages,
}

/// `users refresh`
#[derive(Debug, Args)]
pub(crate) struct UsersRefresh {
    /// The user, which also names the profile
    pub(crate) name: String,
    /// 1h to 36h, to 12h with --role [default: [delegation] duration, then 36h, 1h with --role]
    #[arg(long, value_name = "DURATION", value_parser = hours)]
    pub(crate) duration: Option<Duration>,
    /// ARN of a role to become instead, with the user's name as source identity
    #[arg(long, value_name = "ARN")]
    pub(crate) role: Option<String>,
    /// The user is outside of the namespace and was given to the manager: its owner tag decides
    #[arg(long)]
    pub(crate) delegated: bool,
    #[command(flatten)]
    pub(crate) manages: Manages,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `users list`
#[derive(Debug, Args)]
pub(crate) struct UsersList {
    #[command(flatten)]
    pub(crate) manages: Manages,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `users chown`
#[derive(Debug, Args)]
pub(crate) struct UsersChown {
    /// The user
    pub(crate) name: String,
    /// Its new owner
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) manages: Manages,
}

/// `users bootstrap`
#[derive(Debug, Args)]
pub(crate) struct UsersBootstrap {
    #[command(flatten)]
    pub(crate) manages: Manages,
    #[command(flatten)]
    pub(crate) grace: Grace,
}

/// How long an old key sleeps.
#[derive(Debug, Args)]
pub(crate) struct Grace {
    /// How long the old key is inactive before it is deleted; longer than 5m: a later run deletes it [default: what the rotation was begun with, or 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
}

/// `vault rotate`
#[derive(Debug, Args)]
pub(crate) struct VaultRotate {
    /// Profile with the key
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) grace: Grace,
}

/// A bare number is hours, as the predecessor takes it.
fn hours(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(hours) => Ok(Duration::from_secs(u64::from(hours) * 3600)),
        Err(_) => units::parse_duration(text).map_err(|error| error.to_string()),
    }
}
