//! `creds`, `env`, `exec`, `serve`, `write`, `verify`, `console`: the ways out.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bowline_base::Secret;
use clap::{Args, ValueEnum};

use super::{Output, duration};

/// `creds`
#[derive(Debug, Args)]
pub(crate) struct Creds {
    /// Profile from ~/.aws/config, or `env`: what the environment gives
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
}

/// For profiles with `mfa_serial`.
#[derive(Debug, Default, Args)]
pub(crate) struct MfaCode {
    /// Code of the profile's MFA device [default: from `mfa_process`, else asked for on the terminal]
    #[arg(long, value_name = "CODE", value_parser = mfa_code)]
    pub(crate) mfa_code: Option<Secret>,
}

/// `env`
#[derive(Debug, Args)]
pub(crate) struct Env {
    /// Profile from ~/.aws/config
    #[arg(required_unless_present = "unset")]
    pub(crate) profile: Option<String>,
    /// Whose syntax to write [default: from $SHELL]
    #[arg(long, value_enum)]
    pub(crate) shell: Option<ShellName>,
    /// Print what removes the variables again
    #[arg(long)]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
}

/// The syntaxes of `env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
    Bash,
    Zsh,
    Sh,
    Fish,
    Powershell,
    Cmd,
    Dotenv,
    Json,
}

/// `exec`
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Profile from ~/.aws/config
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
    /// Plain variables in the environment instead; they are not renewed
    #[arg(long, conflicts_with_all = ["container", "endpoint"])]
    pub(crate) env: bool,
    /// An endpoint of its own, which is the default
    #[arg(long)]
    pub(crate) endpoint: bool,
    /// Run the command in a container of this image; without an engine, print the arguments for one
    #[arg(long, value_name = "IMAGE")]
    pub(crate) container: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "container", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// `serve`
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Profiles to hand out [default: those of [endpoint], then $AWS_PROFILE]
    #[arg(value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Address of the ECS-style endpoint [default: 127.0.0.1:9911]
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::chosen)]
    pub(crate) listen: Vec<SocketAddr>,
    /// Address of IMDSv2, which is off without it
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::local)]
    pub(crate) imds: Option<SocketAddr>,
    /// File of the clients' token, made if missing [default: $XDG_RUNTIME_DIR/bowline/endpoint/token]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// `write`
#[derive(Debug, Args)]
pub(crate) struct Write {
    /// Profile from ~/.aws/config
    pub(crate) profile: String,
    /// Name of the section [default: PROFILE; with --file, default]
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A file of its own, replaced whole, instead of ~/.aws/credentials
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace a FILE that `bowline write` did not write, and keep it as FILE.bak
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
    /// Stay, and write again whenever the credentials are renewed
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Profile from ~/.aws/config
    pub(crate) profile: String,
    /// Force a renewal and verify once more
    #[arg(long)]
    pub(crate) rotate: bool,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `console`
#[derive(Debug, Args)]
pub(crate) struct Console {
    /// Profile from ~/.aws/config
    pub(crate) profile: String,
    /// Where to: a service (`s3`), a path (`ec2/v2/home`) or an address [default: the console's home]
    #[arg(long, value_name = "PAGE")]
    pub(crate) destination: Option<String>,
    /// Length of the console session, 15m to 12h [default: what is left of the role's own session]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Region of the sign-in and of the page [default: $AWS_REGION, then the profile's, then us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Print the address instead of opening a browser
    #[arg(long, visible_alias = "no-browser")]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) mfa: MfaCode,
}

/// The message must not repeat what may be a code with a blank too many.
fn mfa_code(text: &str) -> Result<Secret, &'static str> {
    let six = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if six { Ok(Secret::new(text)) } else { Err("an MFA code is six digits") }
}
