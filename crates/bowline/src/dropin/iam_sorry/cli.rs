//! The command line of iam-sorry 0.2 and of its predecessor aws-creds, and nothing of what it does.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};

use crate::cli::Style;

/// What is managed where nobody names a profile.
pub(super) const MANAGER: &str = "iam-sorry";

/// Bowline in the place of iam-sorry: temporary credentials of IAM users of your namespace
#[derive(Debug, Parser)]
#[command(name = MANAGER, version, display_name = "bowline", max_term_width = 100, infer_long_args = true)]
#[command(group(ArgGroup::new("action").multiple(false)))]
#[command(
    after_help = "Examples:\n  iam-sorry --encrypt                       seal the manager's keys with your SSH key\n  iam-sorry dirk-bedrock                    36 hours for the user dirk-bedrock, made if there is none\n  iam-sorry --duration 12 dirk-bedrock\n  eval \"$(iam-sorry --eval dirk-bedrock)\"\n  iam-sorry dirk-bedrock --chown bob        give the user to bob\n\nExit: 0 done, 1 refused or failed, 2 command line. What differs from iam-sorry: docs/from/iam-sorry.md"
)]
pub(super) struct Cli {
    /// IAM user to hand out: written to the profile of that name, made if there is none
    #[arg(conflicts_with_all = ["eval", "show_encrypted", "show_decrypted", "print_policy", "print_admin_policy", "print_refresh_policy", "print_lambda_policy", "create_iam_sorry", "fix_profiles", "profiles", "reset"])]
    pub(super) name: Option<String>,
    /// Profile with the manager's keys [default: $AWS_PROFILE, else iam-sorry]
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Hours that the credentials last, 1 to 36
    #[arg(long, value_name = "HOURS", default_value_t = 36, allow_negative_numbers = true)]
    pub(super) duration: i64,
    /// Seal the manager's keys with the SSH key
    #[arg(long, group = "action")]
    pub(super) encrypt: bool,
    /// Print a profile's credentials for the shell, renewed if they are about to end [default: that of --profile, $AWS_PROFILE, default]
    #[arg(long, group = "action", value_name = "PROFILE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "absent, without a value, with one: the form that clap asks for")]
    pub(super) eval: Option<Option<String>>,
    /// Print a profile as it stands in the file
    #[arg(long, group = "action", value_name = "PROFILE")]
    pub(super) show_encrypted: Option<String>,
    /// Print a profile with its sealed values opened
    #[arg(long, group = "action", value_name = "PROFILE")]
    pub(super) show_decrypted: Option<String>,
    /// Print a manager's policy, and what an administrator does with it [default: for the Unix user]
    #[arg(long, group = "action", value_name = "PREFIX", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "as above")]
    pub(super) print_policy: Option<Option<String>>,
    /// The same
    #[arg(long, group = "action", value_name = "PREFIX", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "as above")]
    pub(super) print_admin_policy: Option<Option<String>>,
    /// Print the policy of those who only refresh (not in iam-sorry, whose --print-policy it is since 0.2)
    #[arg(long, group = "action", value_name = "PREFIX", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "as above")]
    pub(super) print_refresh_policy: Option<Option<String>>,
    /// Print the policy of a role that deploys Lambda functions [default: the role of profile default]
    #[arg(long, group = "action", value_name = "PROFILE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "as above")]
    pub(super) print_lambda_policy: Option<Option<String>>,
    /// Account that a policy is for (not in iam-sorry) [default: that of the manager's keys]
    #[arg(long, value_name = "ACCOUNT", value_parser = bowline_credentials::policy::account)]
    pub(super) account: Option<String>,
    /// Whose documents: ours keep to the namespace, iam-sorry's do not (not in iam-sorry)
    #[arg(long, value_enum, default_value = "bowline")]
    pub(super) style: Style,
    /// Give the user NAME to OWNER, once and for all
    #[arg(long, value_name = "OWNER")]
    pub(super) chown: Option<String>,
    /// Make a manager, with --profile naming an administrator's
    #[arg(long, group = "action", value_name = "USER")]
    pub(super) create_iam_sorry: Option<String>,
    /// Give every profile of the credentials file a section with a region in the config file
    #[arg(long, group = "action")]
    pub(super) fix_profiles: bool,
    /// List the profiles of the config file
    #[arg(long, group = "action")]
    pub(super) profiles: bool,
    /// Remove the profile iam-sorry from both files; a copy stays beside them
    #[arg(long, group = "action")]
    pub(super) reset: bool,
    /// SSH key that seals and opens [default: ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub(super) ssh_key: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(["iam-sorry"].iter().chain(words)).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_with_an_optional_value_tell_none_from_a_blank_one() {
        assert_eq!(parsed(&["--eval"]).unwrap().eval, Some(None));
        assert_eq!(parsed(&["--eval", ""]).unwrap().eval, Some(Some(String::new())));
        assert_eq!(parsed(&["--print-policy", "dirk"]).unwrap().print_policy, Some(Some("dirk".to_owned())));
        assert_eq!(parsed(&[]).unwrap().eval, None);
    }

    #[test]
    fn flags_may_be_shortened_as_python_lets_them_be() {
        let short = parsed(&["--prof", "mgr", "--dur", "12", "dirk-a"]);
        assert_eq!(short.as_ref().err(), Some(&ErrorKind::UnknownArgument), "both --profile and --profiles are meant");
        let short = parsed(&["--dur=-3", "dirk-a", "--cho", "bob"]).unwrap();
        assert_eq!((short.duration, short.chown.as_deref()), (-3, Some("bob")));
    }

    #[test]
    fn two_things_at_once_are_refused() {
        for words in [["--encrypt", "--reset"].as_slice(), &["--eval", "a", "--profiles"], &["--show-encrypted=a", "b"]]
        {
            assert_eq!(parsed(words).err(), Some(ErrorKind::ArgumentConflict), "{words:?}");
        }
    }
}
