//! Measures the release build beside what people use today, on one machine in one run: `cargo xtask bench [PART]`.
//! `--wireguard-go PATH` names a current one to measure the tunnel against, beside Debian's.
//!
//! Each part is a module that takes [`Tools`] and adds rows to a [`Report`]. A row may have a target of DESIGN section 8;
//! the exit code is 1 when one was missed. Numbers without the machine and its load beside them mean nothing, so both
//! are printed first and last.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool: it prints, reads the environment and measures real time; none of it is shipped"
)]

mod artifacts;
mod connect;
mod credentials;
mod machine;
mod programs;
mod report;
mod tunnel;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::report::Report;

/// What goes wrong is said and ends the run.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What measures itself into a report.
type Part = fn(&Tools, &mut Report) -> Outcome<()>;

/// The parts by name.
const PARTS: [(&str, Part); 4] = [
    ("artifacts", artifacts::run),
    ("connect", connect::run),
    ("credentials", credentials::run),
    ("tunnel", tunnel::run),
];

/// What there is to measure.
struct Tools {
    /// The release build of Bowline.
    bowline: PathBuf,
    /// Python packages of `cargo xtask test`, if they are there.
    python: Option<PathBuf>,
    /// A `wireguard-go` that is newer than Debian's.
    wireguard_go: Option<String>,
}

impl Tools {
    fn find(wireguard_go: Option<String>) -> Outcome<Self> {
        // Beside this program: both are built into one folder.
        let here = std::env::current_exe()?;
        let bowline = here.parent().unwrap_or(Path::new(".")).join("bowline");
        if !bowline.exists() {
            return Err(format!("`{}` is missing: cargo build --release -p bowline", bowline.display()).into());
        }
        let python =
            here.ancestors().nth(2).map(|target| target.join("py")).filter(|py| py.join("bin/python").exists());
        Ok(Self { bowline, python, wireguard_go })
    }
}

fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut wireguard_go = std::env::var("BOWLINE_TEST_WIREGUARD_GO").ok();
    if let Some(at) = wanted.iter().position(|word| word == "--wireguard-go") {
        wireguard_go = wanted.drain(at..(at + 2).min(wanted.len())).nth(1);
    }
    match run(&wanted, wireguard_go) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether every target was met.
fn run(wanted: &[String], wireguard_go: Option<String>) -> Outcome<bool> {
    if let Some(stranger) = wanted.iter().find(|name| !PARTS.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no part `{stranger}`: {}", known.join(", ")).into());
    }
    let tools = Tools::find(wireguard_go)?;
    println!("{}", machine::describe());
    let mut measured = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name)) {
        let mut report = Report::default();
        let before = machine::load_of_a_minute();
        part(&tools, &mut report)?;
        println!("\n## {name}\n\n{report}");
        measured.push((*name, report, format!("{before} to {}", machine::load_of_a_minute())));
    }
    println!("\n## Every ratio and target, with the load beside it\n\n{}", report::overview(&measured));
    println!("{}", machine::load());
    Ok(measured.iter().all(|(_, report, _)| report.is_met()))
}
