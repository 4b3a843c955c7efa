//! `login`, `profiles`: signing in, and the profiles that come of it.

use bowline_aws::Region;
use clap::{Args, Subcommand};

use super::Output;

/// `login`
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Profile or sso-session
    pub(crate) profile: Option<String>,
    /// Show a code to type on another device instead of opening a browser
    #[arg(long)]
    pub(crate) device: bool,
    /// Print the address instead of opening a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// `profiles …`
#[derive(Debug, Subcommand)]
pub(crate) enum Profiles {
    /// Write a profile for every account and role of a sign-in, into a marked block of its own
    #[command(
        after_help = "The plan is printed first; nothing outside of the block is touched.\n\nExamples:\n  bowline profiles sync --dry-run\n  bowline profiles sync --session corp --template \"{account_name}.{role}\""
    )]
    Sync(ProfilesSync),
}

/// `profiles sync`
#[derive(Debug, Args)]
pub(crate) struct ProfilesSync {
    /// The sso-session, or a profile with one [default: as for `login`]
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// How profiles are named: {account_name}, {account_id}, {account_email}, {role}
    #[arg(long, value_name = "TEMPLATE", default_value = bowline_credentials::profiles::TEMPLATE)]
    pub(crate) template: String,
    /// The profiles' region [default: that of the sign-in]
    #[arg(long, value_name = "REGION", value_parser = Region::parse)]
    pub(crate) region: Option<Region>,
    /// Write no region: the environment decides
    #[arg(long, conflicts_with = "region")]
    pub(crate) no_region: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}
