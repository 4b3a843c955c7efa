//! `cargo xtask test`: sets up, builds, runs every test, searches the output for secrets, keeps the time.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    Outcome, clean_root, place,
    process::{cargo, command, nextest, step, tee},
    scan,
    setup::Setup,
    slow,
    tally::Tally,
};

/// A whole run may take this long, building included, so that CI's own limit is never near.
const LIMIT: Duration = Duration::from_secs(32 * 60);

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What every change must pass.
    Gate,
    /// With the slow parts.
    Full,
}

/// Sets up, builds, tests.
pub(crate) fn run(depth: Depth) -> Outcome {
    run_with(Setup::start(depth), depth)
}

/// The same with a set-up that is already under way.
pub(crate) fn run_with(setup: Setup, depth: Depth) -> Outcome {
    let start = setup.begun();
    clean_output()?;
    if depth == Depth::Full {
        link_statically()?;
    }
    step("build", &mut cargo(&["build", "--workspace", "--all-targets"]))?;
    setup.finish();
    let tests = Instant::now();
    let mut tally = run_tests(depth)?;
    tally += run_doctests()?;
    tally += Tally::check(no_secret_leaked()?);
    tally += unused_dependencies();
    if depth == Depth::Full {
        tally += clean_root::tally();
    }
    eprintln!("── tests: {:.1} s of {:.1} s", tests.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
    let in_time = depth == Depth::Full || start.elapsed() < LIMIT;
    if !in_time {
        eprintln!("error: the run took longer than {} minutes", LIMIT.as_secs() / 60);
    }
    tally += Tally::check(in_time);
    close(&tally, depth)
}

/// The program once more without a single library, for the image: nothing but its own crate is compiled for that.
fn link_statically() -> Outcome {
    let words = ["rustc", "-p", "bowline", "--bin", "bowline", "--", "-C", "target-feature=+crt-static"];
    step("static program", &mut cargo(&words))?;
    let (made, kept) = (place::target().join("debug/bowline"), place::target().join("static"));
    fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
    fs::copy(made, kept.join("bowline")).map(drop).map_err(|error| error.to_string())
}

/// What an earlier run left would be searched again.
fn clean_output() -> Outcome {
    for folder in [place::test_output(), place::test_secrets()] {
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    }
    Ok(())
}

/// By nextest, which prints each test's time and ends a test that takes too long; by `cargo test` where it is missing.
fn run_tests(depth: Depth) -> Result<Tally, String> {
    let log = place::test_output().join("tests.log");
    let run = ["run", "--workspace", "--config-file", "xtask/nextest.toml", "--cargo-quiet", "--color", "never"];
    let Some(mut nextest) = nextest(&run) else {
        eprintln!("warning: there is no cargo-nextest: no time per test, no limit of 20 s");
        let (_, printed) =
            tee(&mut cargo(&["test", "--workspace", "--no-fail-fast", "--all-targets", "--", "--show-output"]), &log)
                .map_err(|error| format!("cargo test: {error}"))?;
        return Ok(Tally::from_libtest(&printed).with_skips_from(&printed));
    };
    let (profile, filter) = match depth {
        Depth::Gate => ("default", slow::gate_filter()),
        Depth::Full => ("full", "all()".to_owned()),
    };
    nextest.args(["--profile", profile, "-E", &filter]);
    let (good, printed) = tee(&mut nextest, &log).map_err(|error| format!("cargo nextest: {error}"))?;
    let tally = Tally::from_nextest(&printed).ok_or("nextest printed no summary: it ran no test")?;
    // Nextest keeps its reports here whatever CARGO_TARGET_DIR says.
    let junit = place::root().join("target/nextest").join(profile).join("junit.xml");
    let report = fs::read_to_string(&junit).map_err(|error| format!("`{}`: {error}", junit.display()))?;
    fs::copy(&junit, place::test_output().join("junit.xml")).map_err(|error| error.to_string())?;
    if !good && tally.failed == 0 {
        return Err("nextest failed although no test did".to_owned());
    }
    Ok(tally.with_skips_from(&report))
}

/// Nextest does not run the examples in the documentation.
fn run_doctests() -> Result<Tally, String> {
    let log = place::test_output().join("doctests.log");
    let (good, printed) = tee(&mut cargo(&["test", "--quiet", "--doc", "--workspace"]), &log)
        .map_err(|error| format!("cargo test --doc: {error}"))?;
    let tally = Tally::from_libtest(&printed);
    if !good && tally.failed == 0 {
        return Err("the examples in the documentation cannot be built".to_owned());
    }
    Ok(tally)
}

/// Dependencies that a manifest names and nothing uses cost everybody compile time.
fn unused_dependencies() -> Tally {
    let tool = place::python().join("bin/cargo-shear");
    if !tool.exists() {
        return Tally::skip("unused dependencies: no cargo-shear (it comes with tests/requirements.txt)");
    }
    Tally::check(step("unused dependencies", &mut command(tool, &["shear"])).is_ok())
}

/// Whether none of the secrets of this run stands in anything that a program printed.
fn no_secret_leaked() -> Result<bool, String> {
    let found = scan::search(&place::test_secrets(), &place::test_output())
        .map_err(|error| format!("the search for secrets in the output: {error}"))?;
    eprintln!("── {} files of output searched for {} secrets: {} found", found.files, found.secrets, found.leaks.len());
    for leak in &found.leaks {
        eprintln!("error: `{}` holds the secret of `{}` ({})", leak.file.display(), leak.secret, leak.form);
    }
    // A search that had nothing to look for would prove nothing.
    Ok(found.leaks.is_empty() && found.secrets > 0 && found.files > 0)
}

/// Says what was left out, then the closing line.
fn close(tally: &Tally, depth: Depth) -> Outcome {
    if depth == Depth::Gate {
        for slow in slow::SLOW {
            eprintln!("left to --full: {} ({})", slow.test, slow.shows);
        }
    }
    for reason in &tally.skipped {
        eprintln!("skipped: {reason}");
    }
    println!("{tally}");
    if tally.failed == 0 { Ok(()) } else { Err(format!("{} failed", tally.failed)) }
}
