//! Pages that are made from the program: what they say is what it does.

use std::{collections::BTreeMap, fs, path::Path};

use bowline_base::Kind;

use crate::harness::{World, skip};

/// The files in a folder by their names.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

fn shipped(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(folder)
}

#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    let world = World::new("reference", |_| {});
    let said = world.run(&["man", "--markdown"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let page = include_str!("../docs/reference/commands.md");
    let differing = said.stdout.lines().zip(page.lines()).find(|(said, written)| said != written);
    assert_eq!(differing, None, "write it anew: cargo xtask bless");
    assert_eq!(said.stdout.len(), page.len(), "write it anew: cargo xtask bless");
}

#[test]
fn the_shipped_manual_is_what_the_program_says() {
    let world = World::new("manual", |_| {});
    let folder = world.path("man1");
    let made = world.run(&["man", "--directory", folder.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let (said, kept) = (texts(&folder), texts(&shipped("man")));
    assert!(said.len() > 50, "{} pages", said.len());
    let names = said.keys().chain(kept.keys());
    let differing: Vec<&String> = names.filter(|name| said.get(*name) != kept.get(*name)).collect();
    assert_eq!(differing, Vec::<&String>::new(), "write them anew: cargo xtask bless");
}

#[test]
fn the_shipped_completions_are_what_the_program_says() {
    let world = World::new("completions", |_| {});
    let mut kept = texts(&shipped("completions"));
    for (shell, name) in [("bash", "bowline.bash"), ("fish", "bowline.fish"), ("zsh", "_bowline")] {
        let said = world.run(&["completions", shell]);
        assert_eq!(Some(said.stdout), kept.remove(name), "write it anew: cargo xtask bless");
    }
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), Vec::<String>::new(), "no shell of ours has these");
}

/// groff is what `man` renders with; mandoc is the other one, and looks closer.
#[test]
fn the_manual_is_rendered_without_a_warning() {
    let world = World::new("manual-render", |_| {});
    let mut pages: Vec<_> = fs::read_dir(shipped("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut looked = 0;
    // `-z`: no output but the warnings; `-ww`: all of them.
    let groff: &[&str] = &["-man", "-ww", "-z", "-Kutf8", "-Tutf8"];
    let mandoc: &[&str] = &["-T", "lint", "-W", "warning"];
    for (program, arguments) in [("/usr/bin/groff", groff), ("/usr/bin/mandoc", mandoc)] {
        if !Path::new(program).exists() {
            continue;
        }
        looked += 1;
        let said = world.run_foreign("manual", world.foreign(program).args(arguments).args(&pages));
        // The pages have no date, so that the same program gives the same bytes.
        let complaints: Vec<String> = format!("{}{}", said.stdout, said.stderr)
            .lines()
            .filter(|line| !line.ends_with("missing date, using \"\": TH"))
            .map(ToOwned::to_owned)
            .collect();
        assert_eq!(complaints, Vec::<String>::new(), "{program}");
    }
    if looked == 0 {
        skip!("the manual's form: neither groff nor mandoc is installed");
    }
}

#[test]
fn the_reference_of_exit_codes_has_every_kind_of_end() {
    let page = include_str!("../docs/reference/exit-codes.md");
    let codes: Vec<u8> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")?.0.parse().ok()).collect();
    let kinds = [Kind::Config, Kind::Refused, Kind::Unreachable, Kind::LoginRequired, Kind::Interrupted, Kind::Bug];
    let mut ends: Vec<u8> = kinds.map(Kind::exit_code).into_iter().chain([0, 3]).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(codes, ends);
}
