//! The console: the address that AWS gives for a role's session, and the way to the browser that shows it to nobody.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use bowline_fakeaws::{Effect, Fault};

use crate::harness::{World, until};

/// Follows one address to where it leads, without going there.
fn leads_to(address: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{redirect_url}", "-K", "-"]).stdin(Stdio::piped());
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut curl.stdin.take().unwrap(), format!("url = \"{address}\"\n").as_bytes()).unwrap();
    String::from_utf8(curl.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn the_printed_address_signs_in_to_the_page_that_was_asked_for() {
    let world = World::new("console-print", |_| {});
    world.sign_in();
    let console = world.run(&["console", "build", "--print", "--destination", "s3", "--duration", "1h"]);
    assert_eq!(console.code, Some(0), "{}", console.stderr);
    let address = console.stdout.trim();
    assert!(address.starts_with(&format!("{}/federation?Action=login&", world.endpoint())));
    assert_eq!(leads_to(address), "https://us-east-1.console.aws.amazon.com/s3/home?region=us-east-1");
    assert!(console.stderr.contains("15 minutes") && !console.stderr.contains("SigninToken"), "{}", console.stderr);
    assert_eq!(world.cloud().counts().sum("signin.Login.ok"), 1);
}

#[test]
fn a_browser_is_led_to_the_address_and_no_process_list_shows_it() {
    let world = World::new("console-browser", |_| {});
    world.sign_in();
    // Notes its arguments and the file's mode, then goes the way that the page says, twice, and stops before the console.
    let script = "#!/bin/sh\n\
        printf '%s ' \"$@\" > \"$HOME/argv\"\nstat -c %a \"$1\" > \"$HOME/mode\"\ncat \"$1\" > \"$HOME/page\"\n\
        url=$(sed 's/.*url=\\([^\"]*\\)\".*/\\1/' \"$1\")\n\
        curl -s -L --max-redirs 1 -o /dev/null \"$url\"\n";
    world.write("browser", script);
    fs::set_permissions(world.path("browser"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = world.bowline(&["console", "build"]);
    command.env("BROWSER", world.path("browser"));
    let console = world.run_foreign("console", &mut command);
    assert_eq!(console.code, Some(0), "{}", console.stderr);
    until(Duration::from_secs(10), "the browser has signed in", || world.cloud().counts().sum("signin.Login.ok") == 1);
    let read = |name: &str| fs::read_to_string(world.path(name)).unwrap();
    let (argv, page) = (read("argv"), read("page"));
    assert!(argv.trim().ends_with(".html"), "{argv}");
    assert_eq!(read("mode").trim(), "600");
    assert!(!page.contains("SigninToken"), "the address is not on the disk");
    assert!(!std::path::Path::new(argv.trim()).exists(), "the page does not stay");
    assert_eq!(console.stdout, "");
}

#[test]
fn what_cannot_open_the_console_is_told_before_anybody_is_asked() {
    let world = World::new("console-refused", |_| {});
    world.sign_in();
    let user = world.cloud().add_user("alex");
    world.configure(&format!(
        "[profile user]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = us-east-1\n",
        user.key_id,
        user.secret_key.expose()
    ));
    let cases: [(&[&str], &[&str]); 5] = [
        (&["console", "user", "--print"], &["IAM user", "hint:", "role_arn", "GetFederationToken"]),
        (&["console", "deploy", "--print", "--duration", "1h"], &["assumed by a role", "leave out --duration"]),
        (&["console", "build", "--print", "--duration", "13h"], &["13h", "15m to 12h"]),
        (&["console", "build", "--print", "--destination", "http://x/"], &["http://x/", "https://"]),
        (&["console", "build"], &["no display", "--print"]),
    ];
    for (arguments, words) in cases {
        let end = world.run(arguments);
        assert_eq!((end.code, end.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", end.stderr);
        for word in words {
            assert!(end.stderr.contains(word), "{arguments:?}: no `{word}` in: {}", end.stderr);
        }
    }
    assert_eq!(world.cloud().counts().sum("signin.GetSigninToken"), 0);
    let chained = world.run(&["console", "deploy", "--print"]);
    assert_eq!(chained.code, Some(0), "without a length of its own it opens: {}", chained.stderr);
}

#[test]
fn a_sign_in_page_that_says_no_or_is_broken_is_told_apart() {
    let world = World::new("console-faults", |_| {});
    world.sign_in();
    let refusal = |effect, code| {
        world.cloud().clear_faults();
        world.cloud().fault(Fault::new("signin.*", effect));
        let end = world.run(&["console", "build", "--print", "--duration", "1h"]);
        assert_eq!((end.code, end.stdout.as_str()), (Some(code), ""), "{}", end.stderr);
        end.stderr
    };
    let told = refusal(Effect::Error { status: 400, code: "no".to_owned() }, 1);
    assert!(told.contains("without --duration"), "{told}");
    refusal(Effect::Reset, 4);
    refusal(Effect::Html(200), 4);
}

#[test]
fn each_console_is_written_down_although_its_credentials_are_already() {
    let world = World::new("console-audit", |_| {});
    world.sign_in();
    for _ in 0..2 {
        let console = world.run(&["console", "build", "--print"]);
        assert_eq!(console.code, Some(0), "{}", console.stderr);
    }
    let told = world.run(&["audit", "query", "--event", "console", "--output", "json"]);
    let records: Vec<serde_json::Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2, "{}", told.stdout);
    assert!(records.iter().all(|one| one["profile"] == "build" && one["key_id"].as_str().unwrap().starts_with("ASIA")));
    assert_eq!(world.run(&["audit", "verify"]).code, Some(0));
}
