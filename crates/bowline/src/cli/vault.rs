//! `vault`: long-lived keys, sealed.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::Output;
use super::users::VaultRotate;

/// `vault …`
#[derive(Debug, Subcommand)]
pub(crate) enum Vault {
    /// Put a profile's keys into the store, and make the store if there is none. Needs no private key
    #[command(
        after_help = "The keys come from stdin, a file, the environment or the terminal; never from the command line.\nUnderstood: what IAM gives for download (.csv), the JSON of `aws iam create-access-key` and of credential_process, lines of an AWS file, or two lines: key id, secret key.\n\nExamples:\n  bowline vault add build                                  asks on the terminal\n  bowline vault add build --file accessKeys.csv --ssh-key ~/.ssh/id_ed25519.pub\n  aws iam create-access-key | bowline vault add build\n  bowline vault add build --from-env --passphrase --recovery-file /media/usb/recovery.txt\n  openssl rand -hex 32 | bowline vault add ci-token --text"
    )]
    Add(VaultAdd),
    /// Seal one profile of ~/.aws/credentials: into the store, or in place as iam-sorry does
    #[command(
        after_help = "With --format every other byte of the file stays as it is. `default` cannot be sealed.\n\nExamples:\n  bowline vault seal build\n  bowline vault seal build --format iam-sorry-v1"
    )]
    Seal(VaultSeal),
    /// Replace a profile's long-lived key by a new one, and never be without a stored one that works
    #[command(
        after_help = "Cut off anywhere, run it again: it goes on from there.\n\nExamples:\n  bowline vault rotate iam-sorry\n  bowline vault rotate iam-sorry --grace 24h"
    )]
    Rotate(VaultRotate),
    /// Print a profile's keys as they lie, sealed
    #[command(after_help = "Examples:\n  bowline vault show build\n  bowline vault show build --reveal")]
    Show(VaultShow),
    /// List what is in the store and who can open it. Opens it
    #[command(after_help = "Examples:\n  bowline vault list\n  bowline vault list --output json")]
    List(VaultList),
    /// Say how to open the store without Bowline, or open it with the recovery key
    #[command(
        after_help = "Examples:\n  bowline vault recover\n  bowline vault recover --recovery-key-file /media/usb/recovery.txt"
    )]
    Recover(VaultRecover),
    /// Move profiles' keys from ~/.aws/credentials into the store, in plaintext or from iam-sorry, and back
    #[command(
        after_help = "Prints what it will do, then asks. The keys leave the file once the store gives them back.\n\nExamples:\n  bowline vault migrate --dry-run\n  bowline vault migrate build --yes\n  bowline vault migrate build --undo"
    )]
    Migrate(VaultMigrate),
    /// Throw away keys that were added for a profile which has others, and wait
    #[command(after_help = "Example:\n  bowline vault discard build")]
    Discard(VaultDiscard),
    /// Have the daemon wipe the opened store from its memory
    #[command(after_help = "Example:\n  bowline vault lock")]
    Lock,
    /// Say who can open the store, or let others open it
    #[command(subcommand)]
    Recipients(VaultRecipients),
}

/// How a store is made where there is none.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Creation {
    /// Seal a new store to this SSH key, private or public half; repeatable [default: ~/.ssh/id_ed25519]
    #[arg(long = "ssh-key", value_name = "FILE")]
    pub(crate) ssh_keys: Vec<PathBuf>,
    /// Write the recovery key of a new store here instead of showing it on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_file: Option<PathBuf>,
    /// Make no recovery key for a new store
    #[arg(long, conflicts_with = "recovery_file")]
    pub(crate) no_recovery_key: bool,
    /// Let a passphrase open a new store too
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Make a store that only one key opens
    #[arg(long)]
    pub(crate) insist: bool,
}

/// `vault add`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("keys").args(["from_env", "file"]))]
pub(crate) struct VaultAdd {
    /// The profile that the keys are for
    pub(crate) profile: String,
    /// Take AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long)]
    pub(crate) from_env: bool,
    /// Take them from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Put them in the place of the profile's present keys, wherever those lie
    #[arg(long)]
    pub(crate) replace: bool,
    /// Keep one line of text, such as a token, for `{ vault = "NAME" }` in bowline.toml, instead of AWS keys
    #[arg(long, conflicts_with = "from_env")]
    pub(crate) text: bool,
    #[command(flatten)]
    pub(crate) creation: Creation,
}

/// `vault seal`
#[derive(Debug, Args)]
pub(crate) struct VaultSeal {
    /// The profile
    pub(crate) profile: String,
    /// Seal in place, in this form [default: into the store]
    #[arg(long, value_enum)]
    pub(crate) format: Option<SealFormat>,
    #[command(flatten)]
    pub(crate) creation: Creation,
}

/// The form of values that are sealed in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SealFormat {
    /// What iam-sorry 0.2 writes
    #[value(name = "iam-sorry-v1")]
    IamSorryV1,
}

/// A key that opens the store, other than the configured one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OpenWith {
    /// Open with the recovery key in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_file: Option<PathBuf>,
    /// Open with this private SSH key [default: `ssh-key` of `[vault]`, then ~/.ssh/id_ed25519]
    #[arg(long = "open-with", visible_alias = "ssh-key", value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
}

/// `vault show`
#[derive(Debug, Args)]
pub(crate) struct VaultShow {
    /// The profile
    pub(crate) profile: String,
    /// Print the keys themselves
    #[arg(long)]
    pub(crate) reveal: bool,
    #[command(flatten)]
    pub(crate) open: OpenWith,
}

/// `vault list`
#[derive(Debug, Args)]
pub(crate) struct VaultList {
    #[command(flatten)]
    pub(crate) open: OpenWith,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `vault recover`
#[derive(Debug, Args)]
pub(crate) struct VaultRecover {
    #[command(flatten)]
    pub(crate) open: OpenWith,
}

/// `vault migrate`
#[derive(Debug, Args)]
pub(crate) struct VaultMigrate {
    /// The profiles [default: every profile with long-lived keys]
    pub(crate) profiles: Vec<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Put the keys back into ~/.aws/credentials, in plaintext
    #[arg(long, requires = "profiles")]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) creation: Creation,
}

/// `vault discard`
#[derive(Debug, Args)]
pub(crate) struct VaultDiscard {
    /// The profile
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) open: OpenWith,
}

/// `vault recipients …`
#[derive(Debug, Subcommand)]
pub(crate) enum VaultRecipients {
    /// List who can open the store. Opens nothing
    List,
    /// Let another key open the store
    #[command(
        after_help = "Examples:\n  bowline vault recipients add colleague.pub\n  bowline vault recipients add --passphrase\n  bowline vault recipients add ~/.ssh/id_ed25519.pub --ssh-agent"
    )]
    Add(RecipientsAdd),
    /// Seal the next versions without a key. Whoever has it keeps what they could read: rotate the keys
    #[command(after_help = "Example:\n  bowline vault recipients rm SHA256:9mV…")]
    Rm(RecipientsRm),
}

/// `vault recipients add`
#[derive(Debug, Args)]
pub(crate) struct RecipientsAdd {
    /// A file with a public SSH key, or an `age1…` key
    #[arg(required_unless_present = "passphrase")]
    pub(crate) key: Option<String>,
    /// Let a passphrase open it, which is asked for twice
    #[arg(long, conflicts_with_all = ["key", "ssh_agent"])]
    pub(crate) passphrase: bool,
    /// Let this key open it through ssh-agent, without its passphrase (experimental; needs `agent = true` in `[vault]`)
    #[arg(long = "ssh-agent")]
    pub(crate) ssh_agent: bool,
    #[command(flatten)]
    pub(crate) change: RecipientsChange,
}

/// `vault recipients rm`
#[derive(Debug, Args)]
pub(crate) struct RecipientsRm {
    /// A file with a public SSH key, an `age1…` key, a fingerprint, or `passphrase`
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) change: RecipientsChange,
}

/// What every change of the recipients takes.
#[derive(Debug, Args)]
pub(crate) struct RecipientsChange {
    /// Keep a store that only one key opens
    #[arg(long)]
    pub(crate) insist: bool,
    #[command(flatten)]
    pub(crate) open: OpenWith,
}
