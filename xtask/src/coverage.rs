//! Says how much of the code the tests reach. Informational: it gates nothing.
//!
//! The compiler counts lines in a format of its LLVM, which only tools of that LLVM (or a later one) read: those of
//! rustup's `llvm-tools`, else Debian's of the same number.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    Outcome,
    house::shipped,
    place,
    process::{capture, cargo, command, step},
    setup::{self, Setup},
    suite::Depth,
};

/// A program is started thousands of times by the stories: it counts into few files that its processes share, where one
/// each would fill the disk.
const COUNTS: &str = "bowline-%4m.profraw";
/// What the figure is not about.
const LEFT_OUT: &str = "xtask/|tests/|benches/";

/// Lines that could run, and those that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    all: u32,
    reached: u32,
}

/// Runs the tests instrumented and prints, for each crate and in all, how many lines they reach.
pub(crate) fn run() -> Outcome {
    Setup::start(Depth::Gate).finish();
    let tool = place::python().join("bin/cargo-llvm-cov");
    if !tool.exists() {
        return Err("`cargo-llvm-cov` could not be had (it comes with `tests/requirements.txt`)".to_owned());
    }
    let tools = llvm()?;
    // The minute of everything at once measures time and memory, which counting changes.
    let filter = format!("{} and not test(/^soak::/)", crate::slow::gate_filter());
    let report = place::target().join("coverage.lcov");
    let run = ["llvm-cov", "nextest", "--workspace", "--ignore-run-fail", "--ignore-filename-regex", LEFT_OUT];
    let mut counted = command(tool, &run);
    counted.arg("--lcov").arg("--output-path").arg(&report);
    counted.args(["--config-file", "xtask/nextest.toml", "--profile", "coverage", "--color", "never", "-E", &filter]);
    counted.env("LLVM_COV", tools.join("llvm-cov")).env("LLVM_PROFDATA", tools.join("llvm-profdata"));
    counted.env("LLVM_PROFILE_FILE_NAME", COUNTS).env("PATH", path_with_nextest());
    let outcome = step("coverage", &mut counted);
    // Counted programs and their counts are several gigabytes that nothing else can use.
    fs::remove_dir_all(place::target().join("llvm-cov-target")).ok();
    outcome?;
    let report = fs::read_to_string(&report).map_err(|error| format!("`{}`: {error}", report.display()))?;
    print!("{}", table(&by_crate(&report, |path| fs::read_to_string(path).unwrap_or_default())));
    Ok(())
}

/// Adds up a report in lcov's form by crate. Unit tests stand in the same files and reach themselves: they do not count.
fn by_crate(report: &str, text: impl Fn(&str) -> String) -> BTreeMap<String, Lines> {
    let mut crates = BTreeMap::<String, Lines>::new();
    let (mut name, mut shipped_lines) = (String::new(), 0);
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            name = path.split("/crates/").nth(1).and_then(|path| path.split('/').next()).unwrap_or("?").to_owned();
            shipped_lines = shipped(&text(path)).lines().count();
        } else if let Some((number, count)) = line.strip_prefix("DA:").and_then(|line| line.split_once(','))
            && number.parse().is_ok_and(|number: usize| number <= shipped_lines)
        {
            let sum = crates.entry(name.clone()).or_default();
            sum.all += 1;
            sum.reached += u32::from(!count.starts_with("0"));
        }
    }
    crates
}

fn table(crates: &BTreeMap<String, Lines>) -> String {
    let add = |sum: Lines, lines: &Lines| Lines { all: sum.all + lines.all, reached: sum.reached + lines.reached };
    let all = ("all".to_owned(), crates.values().fold(Lines::default(), add));
    let row = |(name, lines): (&String, &Lines)| {
        let percent = 100.0 * f64::from(lines.reached) / f64::from(lines.all.max(1));
        format!("| {name} | {} | {} | {percent:.1} % |\n", lines.all, lines.reached)
    };
    let rows: String = crates.iter().chain([(&all.0, &all.1)]).map(row).collect();
    format!("| crate | lines | reached by a test | |\n| --- | ---: | ---: | ---: |\n{rows}")
}

/// The folder with `llvm-cov` and `llvm-profdata` for this compiler.
fn llvm() -> Result<PathBuf, String> {
    let about = capture(&mut command("rustc", &["-vV"]))?;
    let value = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let root = capture(&mut command("rustc", &["--print", "sysroot"]))?;
    let host = value("host:").unwrap_or_default();
    let rustups = Path::new(root.trim()).join("lib/rustlib").join(host).join("bin");
    if rustups.join("llvm-cov").exists() {
        return Ok(rustups);
    }
    let version = value("LLVM version:").and_then(|version| version.split('.').next()).unwrap_or_default();
    let (package, folder) = (format!("llvm-{version}"), PathBuf::from(format!("/usr/lib/llvm-{version}/bin")));
    if !folder.join("llvm-cov").exists() {
        setup::install(&[&package])
            .map_err(|why| format!("no `llvm-cov` for this compiler: {why}; or: rustup component add llvm-tools"))?;
    }
    Ok(folder)
}

/// `cargo llvm-cov` looks for `cargo nextest`; where this machine has none it finds the one of the set-up.
fn path_with_nextest() -> String {
    let path = env::var("PATH").unwrap_or_default();
    let has_its_own = cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    if has_its_own { path } else { format!("{path}:{}", place::python().join("bin").display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_unit_tests_do_not_count() {
        let report =
            "SF:/x/crates/aws/src/a.rs\nDA:1,7\nDA:2,0\nDA:5,1\nend_of_record\nSF:/x/crates/host/src/b.rs\nDA:1,0\n";
        let text = |_: &str| "one\ntwo\n\n#[cfg(test)]\nmod tests {\n".to_owned();
        let crates = by_crate(report, text);
        assert_eq!(crates["aws"], Lines { all: 2, reached: 1 });
        assert_eq!(crates["host"], Lines { all: 1, reached: 0 });
        assert!(
            table(&crates).ends_with("| aws | 2 | 1 | 50.0 % |\n| host | 1 | 0 | 0.0 % |\n| all | 3 | 1 | 33.3 % |\n")
        );
    }
}
