//! The commands without a daemon: what they print where, and the exit code and the next command when it goes wrong.

use bowline_fakeaws::{Effect, Fault};
use serde_json::Value;

use crate::harness::World;

#[test]
fn creds_prints_the_process_format_and_nothing_else() {
    let world = World::new("creds", |_| {});
    world.sign_in();
    let creds = world.run(&["creds", "build"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    let json: Value = serde_json::from_str(&creds.stdout).unwrap();
    assert_eq!(json["Version"], 1);
    for name in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
        assert!(json[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    assert!(json["Expiration"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_chain_of_roles_is_walked() {
    let world = World::new("chain", |_| {});
    world.sign_in();
    let creds = world.run(&["creds", "deploy"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    assert_eq!(world.cloud().counts().sum("sts.AssumeRole.ok"), 1);
}

#[test]
fn exec_hands_over_credentials_signals_and_the_exit_code() {
    let world = World::new("exec", |_| {});
    world.sign_in();
    let script = "test -n \"$AWS_ACCESS_KEY_ID\" && test -n \"$AWS_SESSION_TOKEN\" && exit 7";
    let exec = world.run(&["exec", "build", "--env", "--", "sh", "-c", script]);
    assert_eq!(exec.code, Some(7), "{}", exec.stderr);
    // As a shell ends where a program is not there, and where it cannot be run.
    world.write("bin/no-program", "not one");
    let no_program = world.path("bin/no-program").display().to_string();
    for (program, code) in [("no-such-program", 127), ("/no/such/program", 127), (no_program.as_str(), 126)] {
        for exec in [&["exec", "build", "--", program][..], &["exec", "build", "--env", "--", program]] {
            refused(&world, exec, code, &[&format!("cannot run `{program}`"), "hint: see where it is"]);
        }
    }
}

#[test]
fn the_environment_is_printed_for_a_shell_to_read() {
    let world = World::new("env", |_| {});
    world.sign_in();
    let script = format!("eval \"$({} env build --shell bash)\" && test -n \"$AWS_SECRET_ACCESS_KEY\"", program());
    let shell = world.run_foreign("sh", world.foreign("bash").args(["-c", &script]));
    assert_eq!(shell.code, Some(0), "{}", shell.stderr);
}

/// What goes wrong, the exit code, and words that the message must hold.
#[track_caller]
fn refused(world: &World, arguments: &[&str], code: i32, words: &[&str]) {
    let end = world.run(arguments);
    assert_eq!(end.code, Some(code), "{arguments:?}: {}", end.stderr);
    assert_eq!(end.stdout, "", "{arguments:?}: nothing but data on stdout");
    for word in words {
        assert!(end.stderr.contains(word), "{arguments:?}: no `{word}` in: {}", end.stderr);
    }
}

#[test]
fn without_a_login_the_command_to_type_is_told() {
    let world = World::new("no-login", |_| {});
    refused(&world, &["creds", "build"], 5, &["error:", "hint:", "bowline login"]);
}

#[test]
fn a_broken_token_file_asks_for_a_login_and_is_not_touched() {
    let world = World::new("broken-token", |_| {});
    for broken in ["", "{", "[]", "{\"accessToken\": 1}", "\u{0}\u{0}\u{0}"] {
        world.sign_in();
        let name = world.token_file().strip_prefix(world.path("")).unwrap().to_str().unwrap().to_owned();
        world.write(&name, broken);
        refused(&world, &["creds", "build"], 5, &["hint:", "bowline login"]);
        assert_eq!(std::fs::read_to_string(world.token_file()).unwrap(), broken);
    }
}

#[test]
fn a_profile_that_does_not_exist_is_a_mistake_in_the_configuration() {
    let world = World::new("no-profile", |_| {});
    refused(&world, &["creds", "biuld"], 2, &["`biuld`", "build"]);
    refused(&world, &["policy", "refresh"], 2, &["no namespace is named", "hint: bowline policy refresh PREFIX"]);
    refused(&world, &["login", "nobody"], 2, &["profile `nobody` does not exist"]);
    std::fs::remove_file(world.path(".aws/config")).unwrap();
    let file = world.path(".aws/config").display().to_string();
    refused(&world, &["creds", "build"], 2, &[&format!("there is no file `{file}`"), "hint: add `[profile build]` to"]);
    refused(&world, &["login"], 2, &["there is none to choose from", "hint: `aws configure sso` writes one"]);
}

#[test]
fn a_portal_that_cannot_be_reached_is_worth_another_try() {
    let world = World::new("unreachable", |_| {});
    world.sign_in();
    world.cloud().fault(Fault::new("sso.*", Effect::Reset));
    refused(&world, &["creds", "build"], 4, &["error:", "hint:"]);
}

#[test]
fn a_role_that_may_not_be_assumed_is_refused_with_its_name() {
    let world = World::new("denied", |settings| settings.denied_roles = vec!["admin".to_owned()]);
    world.sign_in();
    refused(&world, &["creds", "deploy"], 1, &["admin"]);
}

#[test]
fn check_tells_every_mistake_with_its_place() {
    let world = World::new("check", |_| {});
    world.write("bowline.toml", "[deamon]\n[artifacts]\nmetadata-ttl = \"5\"\n");
    let check = world.run(&["check", "--config", world.path("bowline.toml").to_str().unwrap()]);
    let said = format!("{}{}", check.stdout, check.stderr);
    assert_eq!(check.code, Some(2), "{said}");
    for words in ["bowline.toml:1:", "daemon", "bowline.toml:3:"] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
}

#[test]
fn login_by_device_code_signs_in_and_logout_forgets() {
    let world = World::new("login", |_| {});
    let login = world.run(&["login", "build", "--device"]);
    assert_eq!(login.code, Some(0), "{}", login.stderr);
    assert_eq!(world.run(&["creds", "build"]).code, Some(0));
    assert_eq!(world.run(&["logout", "build"]).code, Some(0));
    assert!(world.cloud().counts().sum("sso.Logout") >= 1);
    refused(&world, &["creds", "build"], 5, &["bowline login"]);
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_bowline")
}

#[test]
fn doctor_prints_the_corrected_section_for_an_old_profile() {
    let world = World::new("doctor-sso", |_| {});
    world.configure(
        "[profile old]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n\
         sso_account_id = 111122223333\nsso_role_name = build\n",
    );
    let doctor = world.run(&["doctor", "sso", "old"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.stderr);
    for line in ["[sso-session main]", "sso_registration_scopes = sso:account:access", "sso_session = main"] {
        assert!(doctor.stdout.contains(line), "no `{line}` in: {}", doctor.stdout);
    }
}

#[test]
fn doctor_reads_one_key_of_the_bucket_and_checks_the_port() {
    let world = World::new("doctor-artifacts", |_| {});
    world.sign_in();
    world.cloud().add_bucket("maven", bowline_fakeaws::Bucket::memory("us-east-1"));
    world.cloud().put_object(bowline_host::clock::now(), "maven", "org/a.jar", "x");
    let port = crate::harness::free_address().port().to_string();
    let mut command = world.bowline(&["doctor", "artifacts", "build"]);
    command.env("S3_BUCKET_NAME", "maven").env("PROXY_PORT", port);
    let doctor = world.run_foreign("doctor", &mut command);
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.stdout.contains("its first key is `org/a.jar`"), "{}", doctor.stdout);
}

#[test]
fn login_in_a_browser_signs_in_with_a_code_and_its_proof() {
    let world = World::new("browser", |_| {});
    world.write("browser", "#!/bin/sh\nexec curl -sL -o /dev/null \"$1\"\n");
    std::fs::set_permissions(world.path("browser"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut command = world.bowline(&["login", "build"]);
    command.env("BROWSER", world.path("browser"));
    let login = world.run_foreign("login", &mut command);
    assert_eq!(login.code, Some(0), "{}", login.stderr);
    assert_eq!(world.cloud().counts().sum("sso-oidc.CreateToken.authorization_code.ok"), 1);
    assert_eq!(world.run(&["creds", "build"]).code, Some(0));
}
