//! The command line: every command, flag and example, and nothing of what they do.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bowline_base::{Secret, units};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Ties machines outside AWS to AWS with nothing permanent
#[derive(Debug, Parser)]
#[command(name = "bowline", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 command line or configuration, 4 unreachable (try later), 5 a login is needed, 130 interrupted"
)]
pub(crate) struct Cli {
    /// Configuration file [default: $XDG_CONFIG_HOME/bowline/bowline.toml, then /etc/bowline/bowline.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything at work on an embedded AWS, with 10-second sessions
    #[command(after_help = "Examples:\n  bowline demo\n  bowline demo --for 30s")]
    Demo(Demo),
    /// Run the daemon: keep credentials fresh, serve what the configuration switches on
    #[command(
        after_help = "SIGHUP reads the configuration again; SIGTERM drains and ends within 5 s.\n\nExamples:\n  bowline run\n  bowline run --config ./bowline.toml"
    )]
    Run,
    /// Say everything that is wrong with the configuration, and bind nothing
    #[command(after_help = "Example:\n  bowline check --config ./bowline.toml")]
    Check(Output),
    /// Show sessions, credentials and jobs, and the command to type where one is needed
    #[command(
        after_help = "Exit code 5 when a login is needed.\n\nExamples:\n  bowline status\n  bowline status build --output json\n  bowline status build --explain\n  bowline status env --explain"
    )]
    Status(Status),
    /// Check the set-up, and print the exact fix for what is wrong
    #[command(
        after_help = "Exit code 1 when a check failed.\n\nExamples:\n  bowline doctor\n  bowline doctor sso build\n  bowline doctor artifacts"
    )]
    Doctor(Doctor),
    /// Sign in through IAM Identity Center
    #[command(
        after_help = "PROFILE defaults to $AWS_PROFILE, then to the only sso-session in the configuration, then to bazel-cache.\n\nExamples:\n  bowline login build\n  bowline login corp --device"
    )]
    Login(Login),
    /// Sign out: end the session at AWS and forget its tokens and credentials
    #[command(after_help = "Example:\n  bowline logout build")]
    Logout(Profile),
    /// Print credentials as `credential_process` JSON
    #[command(
        after_help = "In ~/.aws/config:\n  [profile build-via-bowline]\n  credential_process = bowline creds build\n\nExamples:\n  bowline creds build\n  bowline creds env\n  bowline creds admin --mfa-code 123456"
    )]
    Creds(Creds),
    /// Print credentials as environment variables
    #[command(
        after_help = "Examples:\n  eval \"$(bowline env build)\"\n  bowline env build --shell fish | source\n  eval \"$(bowline env --unset)\""
    )]
    Env(Env),
    /// Run a command with credentials from an endpoint of its own, renewed for as long as it runs
    #[command(
        after_help = "Signals and the exit code pass through.\n\nExamples:\n  bowline exec build -- aws s3 ls\n  bowline exec build --env -- ./old-tool\n  bowline exec build --container amazon/aws-cli -- sts get-caller-identity"
    )]
    Exec(Exec),
    /// Write profiles into ~/.aws/config
    #[command(subcommand)]
    Profiles(Profiles),
    /// Hand credentials to anything that speaks AWS, over an ECS-style endpoint and, if asked, IMDSv2
    #[command(
        after_help = "Prints what a client sets. Stops with Ctrl+C.\n\nExamples:\n  bowline serve build\n  bowline serve build site --listen 127.0.0.1:9911 --imds 127.0.0.1:9912"
    )]
    Serve(Serve),
    /// Write credentials into a file, for tools that know nothing else
    #[command(
        after_help = "Without --file: a section of ~/.aws/credentials; everything else in it stays as it is.\n\nExamples:\n  bowline write build\n  bowline write build --as legacy --watch\n  bowline write build --file /run/secrets/aws-credentials --watch"
    )]
    Write(Write),
    /// Ask AWS who the credentials are, with what is handed out
    #[command(after_help = "Examples:\n  bowline verify build\n  bowline verify build --rotate")]
    Verify(Verify),
    /// Serve S3-hosted Maven repositories through a local cache
    #[command(subcommand)]
    Artifacts(Artifacts),
    /// Read and prove the log of who got what; find keys that lie around
    #[command(subcommand)]
    Audit(Audit),
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End by itself after this long, with a summary; exit 1 if anything failed
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Option<Duration>,
    /// Length of the demo's sessions
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = session_length)]
    pub(crate) sessions: Duration,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this profile
    pub(crate) profile: Option<String>,
    /// Show where its credentials come from, and why not from elsewhere [profile default: env]
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// What to check [default: everything]
    #[arg(value_enum)]
    pub(crate) part: Option<Part>,
    /// Profile or sso-session [default: as for `login`]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The parts of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Sign-in through IAM Identity Center
    Sso,
    /// The repository: its port and its buckets
    Artifacts,
}

/// Where there is a table.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) output: Form,
}

/// The form of an answer on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Text,
    Json,
}

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

/// A profile that may be left out.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// Profile or sso-session
    pub(crate) profile: Option<String>,
}

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
    /// Print the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: Output,
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

/// `artifacts …`
#[derive(Debug, Subcommand)]
pub(crate) enum Artifacts {
    /// Serve repositories, without a configuration file if need be
    #[command(
        after_help = "Environment: AWS_PROFILE, AWS_REGION, S3_BUCKET_NAME (bucket or bucket/prefix), PROXY_PORT (9000).\n\nExamples:\n  bowline artifacts serve --from s3://corp-maven/releases --profile build\n  S3_BUCKET_NAME=corp-maven AWS_PROFILE=build bowline artifacts serve"
    )]
    Serve(ArtifactsServe),
}

/// `artifacts serve`
#[derive(Debug, Default, Args)]
pub(crate) struct ArtifactsServe {
    /// Profile that may read the bucket
    #[arg(long, visible_alias = "identity", value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Address to listen on [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::address)]
    pub(crate) listen: Vec<SocketAddr>,
    /// s3://bucket/prefix or a directory; repeat to ask several in turn
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Vec<String>,
    /// Region of the bucket [default: $AWS_REGION, then the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Cache directory [default: $XDG_CACHE_HOME/bowline]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache: Option<PathBuf>,
    /// Size limit of the cache [default: 20 GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// How long maven-metadata.xml and SNAPSHOTs are believed [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) metadata_ttl: Option<Duration>,
    /// How long a missing key is remembered [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) negative_ttl: Option<Duration>,
    /// How long S3 may take to answer [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) upstream_timeout: Option<Duration>,
    /// Read variables from a file first; what is set already wins
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

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
    /// Only records of this event: issued, refused, refreshed, refresh-failed, login, …
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

/// `audit scan`
#[derive(Debug, Args)]
pub(crate) struct AuditScan {
    /// A file or a directory
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

fn duration(text: &str) -> Result<Duration, units::UnitError> {
    units::parse_duration(text)
}

fn session_length(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text).map_err(|error| error.to_string())? {
        length if length >= Duration::from_secs(2) => Ok(length),
        _ => Err("sessions shorter than 2s end before they can be used".to_owned()),
    }
}

/// The message must not repeat what may be a code with a blank too many.
fn mfa_code(text: &str) -> Result<Secret, &'static str> {
    let six = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if six { Ok(Secret::new(text)) } else { Err("an MFA code is six digits") }
}

fn size(text: &str) -> Result<u64, units::UnitError> {
    units::parse_size(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exec_takes_everything_after_the_dashes() {
        let cli = Cli::parse_from(["bowline", "exec", "build", "--", "aws", "--version"]);
        let Command::Exec(exec) = cli.command else { panic!("{cli:?}") };
        assert_eq!(
            (exec.profile.as_str(), exec.command.as_slice()),
            ("build", &["aws".to_owned(), "--version".to_owned()][..])
        );
    }
}
