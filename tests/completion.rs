//! Completion in real shells: what they offer is what the program says, profile names among it; and the manual.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::harness::{Finished, World, python, skip};

/// A world whose `bowline` is on the path, with names that shells break or quote.
fn world(name: &str) -> World {
    let world = World::new(name, |_| {});
    world.configure("[profile corp:dev@eu]\nregion = x\n[profile \"two words\"]\nregion = x\n");
    world
}

fn shell(world: &World, program: &str, arguments: &[&str]) -> Finished {
    let bin = Path::new(env!("CARGO_BIN_EXE_bowline")).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let mut command: Command = world.foreign(program);
    world.run_foreign(program, command.args(arguments).env("PATH", path))
}

/// What bash would put in place of the word that is being typed.
fn in_bash(world: &World, line: &str) -> Vec<String> {
    let script = format!(
        "eval \"$(bowline completions bash)\"\nCOMP_LINE='{line}' COMP_POINT={}\n_bowline\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line.len()
    );
    let said = shell(world, "bash", &["--norc", "-c", &script]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{line}");
    said.stdout.lines().filter(|offer| !offer.is_empty()).map(ToOwned::to_owned).collect()
}

#[test]
fn bash_offers_commands_flags_and_profiles() {
    let world = world("completion-bash");
    assert_eq!(in_bash(&world, "bowline ver"), ["verify"]);
    assert_eq!(in_bash(&world, "bowline creds b"), ["build", "build-via-bowline"]);
    assert_eq!(in_bash(&world, "bowline exec dep"), ["deploy"]);
    assert_eq!(in_bash(&world, "bowline env --shell fi"), ["fish"]);
    assert_eq!(in_bash(&world, "bowline login c"), ["corp"]);
    assert_eq!(in_bash(&world, "bowline creds two"), ["two\\ words"]);
    // bash replaces what stands behind the last of its own breaks only.
    assert_eq!(in_bash(&world, "bowline creds corp:d"), ["dev@eu"]);
    assert_eq!(in_bash(&world, "bowline env --shell=fi"), ["fish"]);
    assert_eq!(in_bash(&world, "bowline creds zzz"), Vec::<String>::new());
}

#[test]
fn fish_offers_commands_flags_and_profiles() {
    if !Path::new("/usr/bin/fish").exists() {
        skip!("fish is not installed");
    }
    let world = world("completion-fish");
    let offered = |line: &str| {
        let script = format!("bowline completions fish | source; complete --do-complete '{line}'");
        let said = shell(&world, "fish", &["--no-config", "-c", &script]);
        assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
        let first = |offer: &str| offer.split('\t').next().unwrap().to_owned();
        said.stdout.lines().map(first).collect::<Vec<_>>()
    };
    assert_eq!(offered("bowline ver"), ["verify"]);
    assert_eq!(offered("bowline creds b"), ["build", "build-via-bowline"]);
    assert_eq!(offered("bowline creds corp"), ["corp:dev@eu"]);
    assert_eq!(offered("bowline verify build --rot"), ["--rotate"]);
    assert!(offered("bowline creds ").contains(&"env".to_owned()));
}

/// zsh completes in its line editor alone; what our function hands to it is looked at here.
#[test]
fn zsh_offers_commands_and_profiles() {
    if !Path::new("/usr/bin/zsh").exists() {
        skip!("zsh is not installed");
    }
    let world = world("completion-zsh");
    let offered = |words: &str, current: usize| {
        let script = format!(
            "compdef() {{ print -r -- \"compdef $*\" }}\n_files() {{ print files }}\n\
             _describe() {{ print -rl -- \"${{(@P)argv[-1]}}\" }}\neval \"$(bowline completions zsh)\"\n\
             words=({words}) CURRENT={current}\n_bowline"
        );
        let said = shell(&world, "zsh", &["-f", "-c", &script]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{words}");
        let (registered, offers) = said.stdout.split_once('\n').unwrap();
        assert_eq!(registered, "compdef _bowline bowline");
        offers.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered("bowline ver", 2), ["verify:Ask AWS who the credentials are, with what is handed out"]);
    assert_eq!(offered("bowline creds dep", 3), ["deploy"]);
    assert_eq!(offered("bowline creds two", 3), ["two words"]);
    assert_eq!(offered("bowline creds corp:", 3), ["corp\\:dev@eu"]);
    assert_eq!(offered("bowline creds ''", 3).len(), 6);
    assert_eq!(offered("bowline write x --file ''", 5), ["files"]);
}

/// A shell on a terminal finds the file that the package brings by itself, and completes with it.
#[test]
fn the_shipped_files_complete_in_each_shell_where_the_package_puts_them() {
    let Some(python) = python() else { skip!("completion on a terminal: no python packages") };
    let world = world("completion-installed");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/completions");
    for (file, place) in [
        ("bowline.bash", "share/bash-completion/completions/bowline"),
        ("bowline.fish", "share/fish/vendor_completions.d/bowline.fish"),
        ("_bowline", "share/zsh/_bowline"),
    ] {
        world.write(place, &fs::read_to_string(shipped.join(file)).unwrap());
    }
    let (share, program) = (world.path("share"), Path::new(env!("CARGO_BIN_EXE_bowline")).parent().unwrap());
    let zsh = format!("fpath=({}/zsh $fpath); autoload -Uz compinit; compinit -u -D", share.display());
    // What bash is started with where the package `bash-completion` is.
    let loader = "/usr/share/bash-completion/bash_completion";
    for (shell, needs, flags, start) in [
        ("bash", loader, &["--norc", "-i"][..], format!(". {loader}")),
        ("fish", "/usr/bin/fish", &["-i"], "true".to_owned()),
        ("zsh", "/usr/bin/zsh", &["-f", "-i"], zsh),
    ] {
        if !Path::new(needs).exists() {
            eprintln!("skipped: completion on a terminal in {shell}: no {needs}");
            continue;
        }
        // The quotes keep the echo of what was typed from being taken for the answer.
        let typed = json!([[format!("{start}; echo rea'dy'\n"), "ready\r"], ["bowline verif\t", "verify "]]);
        let words = [&[shell], flags].concat();
        let task = json!({ "argv": words, "typed": typed });
        let mut tab = python.script(&world, "tab.py");
        tab.arg(task.to_string()).env("TERM", "dumb").env("XDG_DATA_DIRS", &share);
        tab.env("BASH_COMPLETION_USER_DIR", share.join("bash-completion"));
        tab.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        let said = world.run_foreign("tab", &mut tab);
        assert_eq!(said.code, Some(0), "{shell}: {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn completion_calls_nobody_and_bears_broken_files() {
    let world = World::new("completion-broken", |_| {});
    world.write(".aws/config", "[profile build\nregion\n");
    world.write(".config/bowline/bowline.toml", "[[[");
    let end = world.run(&["__complete", "creds", ""]);
    assert_eq!((end.code, end.stdout.as_str(), end.stderr.as_str()), (Some(0), "env\n", ""));
    assert_eq!(world.run(&["__complete", "write", "x", "--file", ""]).code, Some(3), "the shell offers files");
    assert_eq!(world.run(&["__complete"]).stdout, "");
    assert_eq!(world.cloud().counts().sum(""), 0);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let world = World::new("man", |_| {});
    let page = world.run(&["man", "policy", "bedrock"]);
    assert_eq!(page.code, Some(0), "{}", page.stderr);
    assert!(page.stdout.contains(".TH bowline-policy-bedrock 1"), "{}", page.stdout);
    let folder = world.path("man1");
    let all = world.run(&["man", "--directory", folder.to_str().unwrap()]);
    assert_eq!((all.code, all.stdout.as_str()), (Some(0), ""), "{}", all.stderr);
    let pages: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["bowline.1", "bowline-exec.1", "bowline-policy-trust-ec2.1"] {
        assert!(pages.contains(&name.to_owned()), "{pages:?}");
    }
    assert_eq!(world.run(&["man", "nonsense"]).code, Some(2));
}
