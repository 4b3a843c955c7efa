//! `bowline init`: what it proposes, asks and writes; `bowline check` and `bowline run` take what it wrote.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{World, python, skip};

const COMPOSE: &str = "services:\n  maven-proxy:\n    environment:\n      - S3_BUCKET_NAME=${MAVEN}/releases\n      - PROXY_PORT=${PROXY_PORT:-9100}\n      \
                       - AWS_PROFILE=build\n  vpn:\n    environment:\n      SSM_PREFIX: /ephem-vpn\n      API_PORT: 8001\n";

fn world(name: &str) -> (World, String) {
    let world = World::new(name, |_| {});
    world.sign_in();
    world.write("compose.yml", COMPOSE);
    world.write(".env", "MAVEN=corp-maven\n");
    let file = world.path("bowline.toml").display().to_string();
    (world, file)
}

#[test]
fn a_predecessors_file_becomes_a_configuration_that_check_accepts() {
    let (world, file) = world("init-yes");
    let from = world.path("compose.yml").display().to_string();
    let printed = world.run(&["init", "--print", "--from", &from, "--config", &file]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    for words in [
        "[artifacts]",
        "listen   = \"127.0.0.1:9100\"",
        "s3://corp-maven/releases",
        "ssm:/ephem-vpn",
        "keep-fresh = [\"build\"]",
    ] {
        assert!(printed.stdout.contains(words), "no `{words}` in\n{}", printed.stdout);
    }
    assert!(!world.path("bowline.toml").exists(), "--print writes nothing");
    let written = world.run(&["init", "--yes", "--from", &from, "--config", &file]);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{}", written.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), printed.stdout);
    let checked = world.run(&["check", "--config", &file]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    // What somebody may have changed since is kept.
    let again = world.run(&["init", "--yes", "--config", &file]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is there already") && again.stderr.contains("--force"), "{}", again.stderr);
    assert_eq!(world.run(&["init", "--yes", "--force", "--config", &file]).code, Some(0));
    assert_eq!(fs::read_to_string(world.path("bowline.toml.bak")).unwrap(), printed.stdout);
    let missing = world.run(&["init", "--yes", "--from", "/no/such/file", "--config", "/no/such/place"]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
}

#[test]
fn on_a_terminal_it_asks_for_each_part_and_leaves_out_what_is_not_wanted() {
    let Some(python) = python() else { skip!("the terminal: no target/py") };
    let (world, file) = world("init-asks");
    let from = world.path("compose.yml").display().to_string();
    let argv = [env!("CARGO_BIN_EXE_bowline"), "init", "--from", &from, "--config", &file];
    let answers = json!([
        ["Keep `build`", "y"],
        ["Hand out", "maybe"],
        ["Yes or no", "n"],
        ["Serve Maven", ""],
        ["WireGuard", "no"]
    ]);
    let mut script = python.script(&world, "on_terminal.py");
    script.arg(json!({ "argv": argv, "answers": answers }).to_string());
    let told: Value = serde_json::from_str(&world.run_foreign("init", &mut script).stdout).unwrap();
    assert_eq!((&told["code"], &told["unasked"]), (&json!(0), &json!([])), "{told}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("[daemon]") && text.contains("[artifacts]"), "{text}");
    assert!(!text.contains("[endpoint]") && !text.contains("[vpn]"), "{text}");
    let nobody = world.run(&["init", "--config", &world.path("other.toml").display().to_string()]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains("bowline init --yes"), "{}", nobody.stderr);
    // Where there is nothing to ask about, no empty file stands in the way of the next.
    world.write("none", "");
    let mut nothing = world.bowline(&["init", "--config", &world.path("other.toml").display().to_string()]);
    let end = world.run_foreign("init", nothing.env("AWS_CONFIG_FILE", world.path("none")));
    assert!(end.code == Some(2) && end.stderr.contains("--from FILE"), "{}", end.stderr);
    assert!(!world.path("other.toml").exists());
}
