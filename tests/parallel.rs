//! Fifty `bowline creds` at once on a cold cache: one call to AWS each way, and at most one question to a person.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Finished, World, fetch, free_address, until};

const LIMIT: Duration = Duration::from_secs(18);
const DEVICE: &str = "arn:aws:iam::111122223333:mfa/me";

/// How each of fifty `bowline creds PROFILE` ended.
fn fifty(world: &World, profile: &str) -> Vec<Finished> {
    let start = |_| {
        // Nobody can be asked: without a terminal.
        let mut command = world.foreign("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_bowline"), "creds", profile]);
        world.start("creds", &mut command)
    };
    let running: Vec<_> = (0..50).map(start).collect();
    let ends = running.into_iter().map(|process| process.finish(LIMIT)).collect();
    // What they printed is credentials by design: keep it out of the search for leaks.
    world.forget_output("creds");
    ends
}

/// The different keys that they printed.
#[track_caller]
fn keys(ends: &[Finished]) -> BTreeSet<String> {
    let key = |end: &Finished| {
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        serde_json::from_str::<Value>(&end.stdout).unwrap()["AccessKeyId"].to_string()
    };
    ends.iter().map(key).collect()
}

#[track_caller]
fn one_call_each_way(world: &World) {
    let counts = world.cloud().counts();
    assert_eq!(counts.sum("sso-oidc.CreateToken"), 1, "{counts:?}");
    assert_eq!(counts.sum("sso.GetRoleCredentials"), 1, "{counts:?}");
}

#[test]
fn without_a_daemon_they_make_one_call_each_way() {
    let world = World::new("fifty-alone", |_| {});
    world.sign_in_long_ago();
    assert_eq!(keys(&fifty(&world, "build")).len(), 1);
    one_call_each_way(&world);
}

#[test]
fn beside_a_daemon_that_knows_nothing_yet_they_make_one_call_each_way() {
    let world = World::new("fifty-daemon", |_| {});
    world.sign_in_long_ago();
    let status = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    let config = world.path("bowline.toml");
    let daemon = world.start("run", &mut world.bowline(&["run", "--config", config.to_str().unwrap()]));
    until(LIMIT, "the daemon answers", || fetch(status, "/livez").is_ok_and(|answer| answer.status == 200));
    assert_eq!(world.cloud().counts().sum("sso"), 0, "the cache is cold");
    let ends = fifty(&world, "build");
    assert_eq!(keys(&ends).len(), 1);
    one_call_each_way(&world);
    assert!(ends.iter().all(|end| end.stderr.is_empty()), "none had to go alone: {}", daemon.stderr());
}

#[test]
fn with_nobody_signed_in_each_says_what_to_type_and_none_asks_aws() {
    let world = World::new("fifty-nobody", |_| {});
    for end in fifty(&world, "build") {
        assert_eq!((end.code, end.stdout.as_str()), (Some(5), ""), "{}", end.stderr);
        assert!(end.stderr.contains("bowline login corp"), "{}", end.stderr);
    }
    assert_eq!(world.cloud().counts().calls.len(), 0, "{:?}", world.cloud().counts());
}

/// A profile `root` that needs a code of [`DEVICE`], which takes each once; `more` is added to it.
fn with_a_device(name: &str, more: &str) -> World {
    let world = World::new(name, |settings| settings.mfa_roles = vec!["root".to_owned()]);
    let key = world.cloud().add_user("me");
    world.configure(&format!(
        "[profile root]\nrole_arn = arn:aws:iam::111122223333:role/root\nsource_profile = root\nmfa_serial = {DEVICE}\n\
         aws_access_key_id = {}\naws_secret_access_key = {}\n{more}",
        key.key_id,
        key.secret_key.expose()
    ));
    world.cloud().patch_settings(&json!({"mfa_devices": {DEVICE: ["123456"]}})).unwrap();
    world
}

#[test]
fn a_code_that_a_command_gives_is_asked_for_once() {
    let world = with_a_device("fifty-mfa-process", "mfa_process = BIN/code\n");
    let bin = world.path("bin");
    let config = fs::read_to_string(world.path(".aws/config")).unwrap();
    world.write(".aws/config", &config.replace("BIN", bin.to_str().unwrap()));
    world.write("bin/code", &format!("#!/bin/sh\necho asked >> {}\necho 123456\n", bin.join("log").display()));
    fs::set_permissions(bin.join("code"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(keys(&fifty(&world, "root")).len(), 1);
    assert_eq!(fs::read_to_string(bin.join("log")).unwrap(), "asked\n");
    assert_eq!(world.cloud().counts().sum("sts.AssumeRole"), 1, "{:?}", world.cloud().counts());
}

/// A terminal with fifty commands in its foreground: whoever sits there is asked once and types one code.
#[test]
fn a_person_at_the_terminal_is_asked_once() {
    let world = with_a_device("fifty-mfa-terminal", "");
    let all = format!(
        "i=0; while [ $i -lt 50 ]; do {} creds root > out.$i 2> err.$i & i=$((i+1)); done; wait",
        env!("CARGO_BIN_EXE_bowline")
    );
    // Everything that the terminal shows goes to `shown`; the code is typed when something is asked.
    let pty = "import os, pty, sys\npid, fd = pty.fork()\nif pid == 0: os.execvp('sh', ['sh', '-c', sys.argv[1]])\n\
               seen, typed = b'', False\nwhile True:\n    try: some = os.read(fd, 999)\n    except OSError: break\n\
               \x20   if not some: break\n    seen += some\n    if not typed and b': ' in seen:\n\
               \x20       typed = True\n        os.write(fd, b'123456\\n')\nos.waitpid(pid, 0)\n\
               sys.stdout.write(seen.decode())\n";
    let mut python: Command = world.foreign("python3");
    let shown = world.start("terminal", python.args(["-c", pty, &all])).finish(LIMIT);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert_eq!(shown.stdout.matches(": ").count(), 1, "asked once: {}", shown.stdout);
    let read = |name: String| fs::read_to_string(world.path(&name)).unwrap();
    let keys: BTreeSet<String> = (0..50)
        .map(|number| {
            let (out, err) = (read(format!("out.{number}")), read(format!("err.{number}")));
            let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no credentials: {err}"));
            document["AccessKeyId"].to_string()
        })
        .collect();
    assert_eq!((keys.len(), world.cloud().counts().sum("sts.AssumeRole")), (1, 1));
}
