//! `policy admin|refresh|lambda`: the documents of managers, owners and deployers.

use bowline_credentials::policy::account;
use bowline_delegation::namespace::Prefix;
use clap::{Args, ValueEnum};

use super::PartitionName;

/// Whose namespace a document is about, and in which words.
#[derive(Debug, Args)]
pub(crate) struct PolicyNamespace {
    /// What the users of the namespace begin with [default: [delegation] prefix, then the Unix user]
    #[arg(value_parser = prefix)]
    pub(crate) prefix: Option<Prefix>,
    /// Account of the namespace [default: AWS is asked, as the manager]
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: Option<String>,
    /// Which AWS
    #[arg(long, value_enum, default_value = "aws")]
    pub(crate) partition: PartitionName,
    /// `iam-sorry` prints that program's document, which reaches over the whole account
    #[arg(long, value_enum, default_value = "bowline")]
    pub(crate) style: Style,
    /// Profile of whoever asks AWS for the account [default: as for `users`]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
}

/// `policy admin`
#[derive(Debug, Args)]
pub(crate) struct PolicyAdmin {
    #[command(flatten)]
    pub(crate) namespace: PolicyNamespace,
    /// ARN of the managed policy that every new user has to have as its boundary [default: [delegation] permissions-boundary]
    #[arg(long, value_name = "ARN")]
    pub(crate) boundary: Option<String>,
}

/// `policy lambda`
#[derive(Debug, Args)]
pub(crate) struct PolicyLambda {
    #[command(flatten)]
    pub(crate) namespace: PolicyNamespace,
    /// With --style iam-sorry: the role's name; buckets and tables are in it when that begins with `iam-sorry-PREFIX-`
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
}

/// Whose documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// Everything in the namespace, nothing beside it
    Bowline,
    /// As that program prints them
    IamSorry,
}

fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text).map_err(|error| error.to_string())
}
