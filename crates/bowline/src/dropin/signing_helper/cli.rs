//! The command line of `aws_signing_helper` 1.8, and nothing of what it does. Flags without a meaning here are taken, so
//! that the refusal can say why.

use std::{path::PathBuf, time::Duration};

use bowline_base::Secret;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// What `version` says: who answers, and whose command line is spoken.
pub(super) const VERSION: &str = concat!("bowline ", env!("CARGO_PKG_VERSION"), " (as aws_signing_helper 1.8)");

/// Bowline in the place of aws_signing_helper: credentials from IAM Roles Anywhere for a certificate
#[derive(Debug, Parser)]
#[command(name = "aws_signing_helper", version = &VERSION["bowline ".len()..], display_name = "bowline", max_term_width = 100)]
#[command(args_override_self = true)]
#[command(
    after_help = "Exit code 1 when anything failed. What differs from AWS's tool: docs/from/aws_signing_helper.md"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print credentials as `credential_process` JSON
    #[command(
        after_help = "In ~/.aws/config:\n  [profile site]\n  credential_process = aws_signing_helper credential-process --certificate site.pem --private-key site.key --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN"
    )]
    CredentialProcess(Session),
    /// Keep a profile in ~/.aws/credentials fresh
    #[command(after_help = "Example:\n  aws_signing_helper update … --profile site --once")]
    Update(Update),
    /// Serve credentials on 127.0.0.1 as IMDSv2 does
    #[command(after_help = "Example:\n  aws_signing_helper serve … --port 9911 --hop-limit 1")]
    Serve(Serve),
    /// Print what a certificate says, as JSON
    #[command(after_help = "Example:\n  aws_signing_helper read-certificate-data --certificate site.pem")]
    ReadCertificateData(ReadCertificateData),
    /// Sign a fixed text with a private key
    #[command(
        after_help = "Example:\n  aws_signing_helper sign-string --private-key site.key --digest SHA384 --format text"
    )]
    SignString(SignString),
    /// Print the version
    Version,
}

/// What every command that asks for a session takes.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(super) struct Session {
    /// Certificate: PEM, DER or PKCS#12
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// Private key [default: the one in the certificate's file]
    #[arg(long, value_name = "FILE")]
    pub(super) private_key: Option<PathBuf>,
    /// Certificates between yours and the trust anchor
    #[arg(long, value_name = "FILE")]
    pub(super) intermediates: Option<PathBuf>,
    #[command(flatten)]
    pub(super) password: Password,
    /// Trust anchor; its region is called
    #[arg(long, value_name = "ARN")]
    pub(super) trust_anchor_arn: String,
    /// Roles Anywhere profile
    #[arg(long, value_name = "ARN")]
    pub(super) profile_arn: String,
    /// Role
    #[arg(long, value_name = "ARN")]
    pub(super) role_arn: String,
    /// Seconds that the session is to last, 900 to 43200
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub(super) session_duration: Duration,
    /// Region to call and to sign for [default: the trust anchor's]
    #[arg(long)]
    pub(super) region: Option<String>,
    /// URL to call instead of the region's
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Option<String>,
    /// Name of the session, where the Roles Anywhere profile accepts one
    #[arg(long, value_name = "NAME")]
    pub(super) role_session_name: Option<String>,
    #[command(flatten)]
    pub(super) switches: Switches,
    #[command(flatten)]
    pub(super) absent: Absent,
}

/// Flags that are on or off.
#[derive(Debug, Args)]
pub(super) struct Switches {
    /// Use HTTPS_PROXY and NO_PROXY
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, value_name = "BOOL", hide_default_value = true)]
    pub(super) with_proxy: bool,
    /// Believe any server to be AWS; better name its CA in AWS_CA_BUNDLE
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, value_name = "BOOL", hide_default_value = true)]
    pub(super) no_verify_ssl: bool,
    #[command(flatten)]
    pub(super) debug: Debug,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Debug {
    /// Say on stderr what is done, without secrets
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, value_name = "BOOL", hide_default_value = true)]
    pub(super) debug: bool,
}

/// What opens an encrypted key.
#[derive(Debug, Args)]
pub(super) struct Password {
    /// Password of the key; other users can see it in the list of processes
    #[arg(long, value_name = "PASSWORD", value_parser = secret, conflicts_with = "pkcs8_password_file")]
    pub(super) pkcs8_password: Option<Secret>,
    /// File with the password of the key on its first line (not in AWS's tool)
    #[arg(long, value_name = "FILE")]
    pub(super) pkcs8_password_file: Option<PathBuf>,
}

/// Flags for keys outside of files.
#[derive(Debug, Default, Args)]
pub(super) struct Absent {
    /// A certificate in the store of the operating system
    #[arg(long, value_name = "SELECTOR", hide = true)]
    pub(super) cert_selector: Option<String>,
    /// The store to look into
    #[arg(long, value_name = "NAME", hide = true)]
    pub(super) system_store_name: Option<String>,
    /// Of several in the store, the one that ends last
    #[arg(long, hide = true)]
    pub(super) use_latest_expiring_certificate: bool,
    /// A PKCS#11 module
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) pkcs11_lib: Option<String>,
    /// The PIN of a PKCS#11 token, again
    #[arg(long, hide = true)]
    pub(super) reuse_pin: bool,
    /// The password of a TPM's key
    #[arg(long, value_name = "PASSWORD", value_parser = secret, hide = true)]
    pub(super) tpm_key_password: Option<Secret>,
    /// A TPM's key without a password
    #[arg(long, hide = true)]
    pub(super) no_tpm_key_password: bool,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    pub(super) session: Session,
    /// Profile to write
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) profile: String,
    /// Write once and end
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, value_name = "BOOL", hide_default_value = true)]
    pub(super) once: bool,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) session: Session,
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 9911)]
    pub(super) port: u16,
    /// Hops that an answer may go (IP TTL)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u8).range(1..), value_name = "HOPS")]
    pub(super) hop_limit: u8,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(super) struct ReadCertificateData {
    /// Certificate: PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(super) debug: Debug,
    #[command(flatten)]
    pub(super) absent: Absent,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(super) struct SignString {
    /// Private key: PEM, DER or PKCS#12
    #[arg(long, value_name = "FILE")]
    pub(super) private_key: Option<PathBuf>,
    /// File with the key, where that is the certificate's
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(super) password: Password,
    /// Hash
    #[arg(long, value_enum, default_value_t = Digest::Sha256)]
    pub(super) digest: Digest,
    /// Form of the signature: hexadecimal digits as a JSON string or alone, or the bytes
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) debug: Debug,
    #[command(flatten)]
    pub(super) absent: Absent,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Json,
    Text,
    Bin,
}

impl Command {
    pub(super) fn is_debug(&self) -> bool {
        match self {
            Self::CredentialProcess(session) => session.switches.debug.debug,
            Self::Update(update) => update.session.switches.debug.debug,
            Self::Serve(serve) => serve.session.switches.debug.debug,
            Self::ReadCertificateData(arguments) => arguments.debug.debug,
            Self::SignString(arguments) => arguments.debug.debug,
            Self::Version => false,
        }
    }
}

/// As Go's flags read it.
fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (900..=43200).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "sessions last 900 to 43200 seconds".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    const ARNS: [&str; 6] = ["--trust-anchor-arn", "t", "--profile-arn=p", "--role-arn", "r", "--with-proxy"];

    fn session(more: &[&str]) -> Result<Session, clap::Error> {
        let words = ["aws_signing_helper", "credential-process"].into_iter().chain(ARNS).chain(more.iter().copied());
        Cli::try_parse_from(words).map(|cli| match cli.command {
            Some(Command::CredentialProcess(session)) => session,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let twice = session(&["--debug=false", "--debug", "--session-duration", "900", "--with-proxy=0"]).unwrap();
        assert!(twice.switches.debug.debug && !twice.switches.with_proxy);
        assert_eq!(twice.session_duration, Duration::from_secs(900));
        let plain = session(&[]).unwrap();
        assert!(plain.switches.with_proxy && plain.session_duration == Duration::from_secs(3600));
        for bad in [&["--debug=maybe"][..], &["--session-duration", "899"], &["--hop-limit", "1"], &["word"]] {
            assert!(session(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_in_no_debug_text() {
        let text = format!("{:?}", session(&["--pkcs8-password", "hunter2", "--tpm-key-password", "hunter2"]).unwrap());
        assert!(!text.contains("hunter2"), "{text}");
    }
}
