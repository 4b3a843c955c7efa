//! The command line: every command, flag and example, and nothing of what they do.

mod artifacts;
mod audit;
mod delivery;
mod gateway;
mod gateway_device;
mod man;
mod notify;
mod operations;
mod policy;
mod policy_managers;
mod sign_in;
mod users;
mod vault;
mod vpn;
mod vpn_client;

use std::{path::PathBuf, time::Duration};

use bowline_base::units;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    artifacts::*, audit::*, delivery::*, gateway::*, gateway_device::*, man::*, notify::*, operations::*, policy::*,
    policy_managers::*, sign_in::*, users::*, vault::*, vpn::*, vpn_client::*,
};

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
    /// Show all five jobs at work on an embedded AWS, with 10-second sessions
    #[command(
        after_help = "Credentials rotate under a build's requests, a VPN connection follows a changed address, a sealed manager's key makes a user, a WireGuard client reads through the tunnel, and the audit log is verified. Needs no root and no AWS. Ctrl+C ends it.\n\nExamples:\n  bowline demo\n  bowline demo --for 10m"
    )]
    Demo(Demo),
    /// Write a bowline.toml from what is found here: ~/.aws/config, and files of the programs that Bowline replaces
    #[command(
        after_help = "Asks one question for each part. Written is --config, else BOWLINE_CONFIG, else this user's bowline.toml. What of --from goes into no key is named on stderr, with the reason; references like ${NAME} are looked up in the .env beside the file.\n\nExamples:\n  bowline init\n  bowline init --from .env --from docker-compose.yml\n  bowline init --yes --print\n  sudo bowline init --config /etc/bowline/bowline.toml"
    )]
    Init(Init),
    /// Run the daemon: keep credentials fresh, serve what the configuration switches on
    #[command(
        after_help = "SIGHUP reads the configuration again; SIGTERM drains and ends within 5 s.\n\nExamples:\n  bowline run\n  bowline run --config ./bowline.toml"
    )]
    Run,
    /// Say everything that is wrong with the configuration, and bind nothing
    #[command(after_help = "Example:\n  bowline check --config ./bowline.toml")]
    Check(Output),
    /// Say what a key of bowline.toml is for, how it is written and what holds without it
    #[command(
        after_help = "KEY is a key, a section, or nothing for all of them.\n\nExamples:\n  bowline explain artifacts.cache.max-size\n  bowline explain artifacts\n  bowline explain --output json"
    )]
    Explain(Explain),
    /// Exit 0 when the Bowline of this machine answers, 1 when not: for containers
    #[command(
        after_help = "Without --url every server of this user is asked by its door in the runtime directory (the daemon whether it lives, the gateway whether it can do its work, the others whether they serve); where none has one, the usual ports are: the daemon's /livez, the /healthz of `artifacts serve`, the /health of `vpn serve`. Exit code 0 or 1, also with a configuration that has mistakes; every place that was asked is named.\n\nExamples:\n  bowline healthcheck\n  bowline healthcheck --url http://127.0.0.1:9000/healthz"
    )]
    Healthcheck(Healthcheck),
    /// Start the daemon with the machine or with the session
    #[command(subcommand)]
    Service(Service),
    /// Show sessions, credentials and jobs, and the command to type where one is needed
    #[command(
        after_help = "Exit code 5 when a login is needed: by PROFILE, else by $AWS_PROFILE where that is set, else by anybody. What --output json prints: docs/reference/status.md.\n\nExamples:\n  bowline status\n  bowline status --watch\n  bowline status build --output json\n  bowline status build --explain\n  bowline status env --explain"
    )]
    Status(Status),
    /// Check the set-up, and print the exact fix for what is wrong
    #[command(
        after_help = "Exit code 1 when a check failed, 0 when some are only degraded.\nEvery check: docs/guide/doctor.md, or `bowline doctor --list`.\n\nExamples:\n  bowline doctor\n  bowline doctor --fix\n  bowline doctor sso build\n  bowline doctor network --output json\n  bowline doctor --bundle support.tar.gz"
    )]
    Doctor(Doctor),
    /// Sign in through IAM Identity Center
    #[command(
        after_help = "PROFILE defaults to $AWS_PROFILE, then to the only sso-session in the configuration.\n\nExamples:\n  bowline login build\n  bowline login corp --device"
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
        after_help = "Without --file: a section of ~/.aws/credentials; everything else in it stays as it is.\nWith --file: a file that `bowline write` made itself, or none yet.\n\nExamples:\n  bowline write build\n  bowline write build --as legacy --watch\n  bowline write build --file /run/secrets/aws-credentials --watch"
    )]
    Write(Write),
    /// Ask AWS who the credentials are, with what is handed out
    #[command(after_help = "Examples:\n  bowline verify build\n  bowline verify build --rotate")]
    Verify(Verify),
    /// Open AWS's console as the profile's role
    #[command(
        after_help = "The address lets in whoever has it for 15 minutes. A browser gets it past the process list; --print shows it.\n\nExamples:\n  bowline console build\n  bowline console build --destination s3 --duration 4h\n  bowline console build --print"
    )]
    Console(Console),
    /// Print the least that a role needs, and who may become it, as IAM documents
    #[command(
        subcommand,
        after_help = "The document is all that is on stdout; what to do with it is on stderr.\n\nExamples:\n  bowline policy artifacts --from s3://corp-maven/releases > policy.json\n  bowline policy bedrock --model us.anthropic.claude-sonnet-4-6 --region us-east-1\n  bowline policy trust roles-anywhere --trust-anchor ARN --subject-cn site-1 > trust.json"
    )]
    Policy(Policy),
    /// Manage namespaced IAM users, and hand out their temporary credentials
    #[command(subcommand)]
    Users(Users),
    /// Serve S3-hosted Maven repositories through a local cache
    #[command(subcommand)]
    Artifacts(Artifacts),
    /// Have Site-to-Site VPN connections follow the site's public address
    #[command(subcommand)]
    Gateway(Gateway),
    /// Keep long-lived keys sealed, in a store that any `age` program opens
    #[command(
        subcommand,
        after_help = "What it promises and what not: docs/concepts/vault.md. Step by step: docs/guide/vault.md."
    )]
    Vault(Vault),
    /// A WireGuard VPN that needs nothing of the machine that it runs on
    #[command(subcommand, after_help = "Step by step: docs/guide/tunnel.md.")]
    Vpn(Vpn),
    /// Called by Bazel for the headers of a request (--credential_helper)
    #[command(
        subcommand,
        after_help = "Needs [artifacts-client] with `url` and `token`, or BOWLINE_ARTIFACTS_URL and BOWLINE_ARTIFACTS_TOKEN.\nIn .bazelrc, with a script that runs `bowline bazel-credential-helper \"$@\"`:\n  common --credential_helper=repo.corp=%workspace%/tools/bowline-helper"
    )]
    BazelCredentialHelper(BazelCredentialHelper),
    /// Read and prove the log of who got what; find keys that lie around
    #[command(subcommand)]
    Audit(Audit),
    /// Print what a shell needs to complete commands, flags and profile names
    #[command(
        after_help = "Examples:\n  eval \"$(bowline completions bash)\"      in ~/.bashrc\n  eval \"$(bowline completions zsh)\"       in ~/.zshrc, after compinit\n  bowline completions fish | source       in ~/.config/fish/config.fish"
    )]
    Completions(Completions),
    /// Print the manual, or write every page of it
    #[command(
        after_help = "Examples:\n  bowline man | man -l -\n  bowline man exec | man -l -\n  bowline man --directory ~/.local/share/man/man1\n  bowline man --markdown > commands.md"
    )]
    Man(Man),
    /// Try the ways in which people are told that a login is needed, or that something fails
    #[command(subcommand)]
    Notify(Notify),
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End by itself after this long, with a summary; exit 1 if anything failed
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) length: Duration,
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
    #[arg(long, conflicts_with = "watch")]
    pub(crate) explain: bool,
    /// Show it live on the terminal: q ends it, the arrows scroll
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// What to check [default: every part that applies]
    #[arg(value_enum)]
    pub(crate) part: Option<Part>,
    /// Profile or sso-session [default: as for `login`]
    pub(crate) profile: Option<String>,
    /// Do what is safe (chmod, missing private directories), say so, and check again
    #[arg(long)]
    pub(crate) fix: bool,
    /// Only list every check by its id, with what it means
    #[arg(long, conflicts_with_all = ["fix", "part"])]
    pub(crate) list: bool,
    /// Write what was found, status, log and configuration into FILE (.tar.gz), without secrets: for whoever helps
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fix", "list"])]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The parts of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Configuration files, and modes of what holds secrets
    Files,
    /// Long-lived access keys that lie around
    Keys,
    /// Certificates of Roles Anywhere
    Certificates,
    /// Proxy variables and CA bundles
    Proxy,
    /// Whether the endpoints that the profiles need answer
    Network,
    /// This machine's clock against that of AWS
    Clock,
    /// The daemon: socket, version, readiness
    Daemon,
    /// Whether configured addresses are free
    Ports,
    /// Sign-in through IAM Identity Center
    Sso,
    /// The repository: its port and its buckets
    Artifacts,
    /// The VPN that follows the address: rights, providers, tunnels
    Gateway,
    /// The VPN's server: ports, what the system grants, master key, store, egress policy
    Vpn,
    /// The audit log: whether it is whole
    Audit,
    /// The vault: whether something here opens it
    Vault,
    /// The key of the manager of IAM users
    Delegation,
    /// Who is told of what needs a person: desktop, webhook, command, file
    Notify,
}

impl Part {
    /// In the order in which they are shown.
    pub(crate) const ALL: [Self; 16] = [
        Self::Files,
        Self::Keys,
        Self::Certificates,
        Self::Proxy,
        Self::Network,
        Self::Clock,
        Self::Daemon,
        Self::Ports,
        Self::Sso,
        Self::Artifacts,
        Self::Gateway,
        Self::Vpn,
        Self::Audit,
        Self::Vault,
        Self::Delegation,
        Self::Notify,
    ];
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

/// A profile that may be left out.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// Profile or sso-session
    pub(crate) profile: Option<String>,
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

    /// Every command and what stands below its flags.
    fn helps(command: &clap::Command, into: &mut Vec<(String, String)>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        into.push((command.get_name().to_owned(), help));
        command.get_subcommands().for_each(|below| helps(below, into));
    }

    #[test]
    fn an_example_is_one_line_that_can_be_pasted_and_prose_is_wrapped_by_the_terminal_alone() {
        let mut all = Vec::new();
        helps(&Cli::command(), &mut all);
        assert!(all.iter().any(|(name, help)| name == "demo" && help.contains("  bowline demo\n")), "{all:?}");
        for (name, help) in &all {
            let is_example = |line: &str| line.starts_with("  ");
            for line in help.lines().filter(|line| is_example(line)) {
                assert!(line.chars().count() <= 96, "{name}: {line}");
            }
            for (line, next) in help.lines().zip(help.lines().skip(1)) {
                let ends = line.is_empty() || line.ends_with(['.', ':']) || is_example(line);
                assert!(ends || next.is_empty() || is_example(next), "{name}: `{line}` goes on in `{next}`");
            }
        }
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
