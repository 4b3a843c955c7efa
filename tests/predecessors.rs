//! What the programs that Bowline replaces promised and no other story shows: names, defaults, levels, clean shells.
//! Which promise is shown where: the pages of docs/from.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{World, fetch, free_address, until};

const TWO_SESSIONS: &str = "[sso-session home]\nsso_start_url = https://home.awsapps.com/start\nsso_region = us-east-1\n\
                            sso_registration_scopes = sso:account:access\n";

/// `login.sh [profile]`, `check_login.sh`.
#[test]
fn the_sign_in_that_is_meant_is_named_or_the_environments_or_the_only_one_or_bazel_cache() {
    let world = World::new("which-login", |_| {});
    let said = |arguments: &[&str], profile: Option<&str>| {
        let mut command = world.bowline(arguments);
        command.envs(profile.map(|profile| ("AWS_PROFILE", profile)));
        let end = world.run_foreign("login", &mut command);
        (end.code, end.stdout + &end.stderr)
    };
    assert_eq!(said(&["status", "build"], None).0, Some(5), "a login is needed");
    let (code, only) = said(&["login", "--device"], None);
    assert!(code == Some(0) && only.contains("Signed in to corp"), "{only}");
    assert_eq!(said(&["status", "build"], None).0, Some(0));
    world.configure(TWO_SESSIONS);
    let (code, variable) = said(&["login", "--device"], Some("build"));
    assert!(code == Some(0) && variable.contains("Signed in to corp"), "{variable}");
    assert_eq!(said(&["status"], None).0, Some(5), "somebody needs a login");
    assert_eq!(said(&["status"], Some("build")).0, Some(0), "the one that is meant does not");
    let (code, named) = said(&["login", "home", "--device"], Some("build"));
    assert!(code == Some(0) && named.contains("Signed in to home"), "{named}");
    let (code, last) = said(&["login", "--device"], None);
    assert!(code == Some(2) && last.contains("several sign-ins: corp, home"), "of two sessions none is meant: {last}");
    world.configure(&TWO_SESSIONS.replace("home", "bazel-cache"));
    let (code, last) = said(&["login", "--device"], None);
    assert!(code == Some(0) && last.contains("Signed in to bazel-cache"), "{last}");
}

/// The cleanup after `eval $(…)`.
#[test]
fn a_shell_that_was_given_credentials_is_clean_after_unset() {
    let world = World::new("unset", |_| {});
    world.sign_in();
    let program = env!("CARGO_BIN_EXE_bowline");
    let names = "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_CREDENTIAL_EXPIRATION";
    let script = format!(
        "eval \"$({program} env build --shell bash)\"; for n in {names}; do [ -n \"${{!n}}\" ] || exit 1; done; \
         eval \"$({program} env --unset --shell bash)\"; for n in {names}; do [ -z \"${{!n+x}}\" ] || exit 2; done"
    );
    let end = world.run_foreign("bash", world.foreign("bash").args(["-c", &script]));
    assert_eq!(end.code, Some(0), "{}", end.stderr);
}

/// `LOG_LEVEL`
#[test]
fn the_log_says_as_much_as_the_level_wants() {
    let world = World::new("log-level", |_| {});
    let status = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    let config = world.path("bowline.toml").display().to_string();
    let run = |level: &str| {
        let mut command = world.bowline(&["run", "--config", &config]);
        let mut daemon = world.start("run", command.env("LOG_LEVEL", level));
        until(Duration::from_secs(10), "it runs", || {
            !daemon.runs() || fetch(status, "/readyz").is_ok_and(|answer| answer.status == 200)
        });
        if daemon.runs() {
            daemon.signal(Signal::TERM);
        }
        daemon.finish(Duration::from_secs(10))
    };
    for (level, speaks) in [("error", false), ("warn", false), ("info", true), ("debug", true)] {
        let end = run(level);
        assert_eq!(end.code, Some(0), "{level}: {}", end.stderr);
        assert_eq!(end.stderr.contains("\"message\":\"ready\""), speaks, "{level}: {}", end.stderr);
    }
    let wrong = run("loud");
    assert!(wrong.code == Some(2) && wrong.stderr.contains("error, warn, info, debug or trace"), "{}", wrong.stderr);
}
