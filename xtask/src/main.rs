//! The workspace's own tool: builds, tests and checks everything with one word, here and in CI.
//!
//! It knows how the tests are run and what a clean machine lacks; it knows nothing of what Bowline does.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool: it prints, reads the environment and measures real time; none of it is shipped"
)]

mod bench;
mod ci;
mod clean_root;
mod coverage;
mod house;
mod package;
mod place;
mod process;
mod sbom;
mod scan;
mod setup;
mod slow;
mod soak;
mod suite;
mod tally;

use std::{env, process::ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

  ci             formatting, lints, then `test`: what .ci/run calls
  test           sets up what is missing, builds, runs every test and searches all output for secrets
  test --full    the same with the slow parts
  bench [PART]   measures the release build beside what it replaces: artifacts, connect, credentials, tunnel
  package        a Debian package of the release build, in target/package
  sbom           prints what the program is made of, as CycloneDX JSON
  soak [--for T] every job at once while everything around it goes wrong, for 30m or for T (90s, 8h)
  clean-root     the first two commands of README.md in a Debian with nothing on it (`test --full`: the first)
  coverage       how much of the code the tests reach, in per cent of lines
  bless          writes down anew what is compared with code and program: expose-sites.txt, docs/reference/commands.md,
                 deploy/completions, deploy/man";

/// What a command ends with: a text says what failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["ci"] => ci::run(),
        ["test"] => suite::run(suite::Depth::Gate),
        ["test", "--full"] => suite::run(suite::Depth::Full),
        ["bench", ref parts @ ..] => bench::run(parts),
        ["package", ref words @ ..] => package::run(words),
        ["sbom"] => sbom::document().map(|document| print!("{document}")),
        ["soak", ref words @ ..] => soak::run(words),
        ["clean-root"] => clean_root::run(clean_root::Commands::All),
        ["coverage"] => coverage::run(),
        ["bless"] => house::bless(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
