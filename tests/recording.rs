//! Who got what is written down by whatever handed it out: each command without a daemon, `bowline serve`, the daemon after
//! a reload; together they write one chain, through kill -9.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Finished, World, fetch, free_address, pause, until};

const LIMIT: Duration = Duration::from_secs(18);

/// A world with some more profiles of the role `build`, and one of a role that nobody may have.
fn world(name: &str, profiles: u32) -> World {
    let world = World::new(name, |_| {});
    world.sign_in();
    let profile = |number: u32| {
        format!("[profile p{number}]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = build\n")
    };
    world.configure(&(0..profiles).map(profile).collect::<String>());
    world.configure("[profile admin]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = nobody\n");
    world
}

/// Runs `script` in a shell of another name: as another program sees it that starts `bowline`.
#[track_caller]
fn through(world: &World, program: &str, script: &str) -> Finished {
    let path = world.path(program);
    if !path.exists() {
        fs::copy("/bin/sh", &path).unwrap();
    }
    let script = format!("{}; code=$?; exit $code", script.replace("bowline", env!("CARGO_BIN_EXE_bowline")));
    let finished = world.run_foreign(program, world.foreign(&path).args(["-c", &script]));
    world.forget_output(program);
    finished
}

/// The records of `event`, and whether the whole log is good.
#[track_caller]
fn records(world: &World, event: &str) -> Vec<Value> {
    let found = world.run(&["audit", "query", "--event", event, "--output", "json"]);
    assert_eq!(world.run(&["audit", "verify"]).code, Some(0));
    found.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(record: &Value, pointer: &str) -> String {
    record.pointer(pointer).map(|value| value.as_str().map_or(value.to_string(), str::to_owned)).unwrap_or_default()
}

#[test]
fn without_a_daemon_one_parent_and_one_lease_are_one_record_and_another_parent_is_another() {
    let world = world("alone", 0);
    for _ in 0..3 {
        assert_eq!(through(&world, "terraform", "bowline creds build").code, Some(0));
    }
    assert_eq!(through(&world, "mvn", "bowline creds build && bowline creds build").code, Some(0));
    let issued = records(&world, "issued");
    let programs: Vec<String> = issued.iter().map(|record| text(record, "/client/program")).collect();
    assert_eq!(programs, ["terraform", "mvn"], "{issued:?}");
    assert_eq!(text(&issued[0], "/source"), "sso 111122223333/build");
    assert!(text(&issued[0], "/key_id").starts_with("ASIA") && !text(&issued[0], "/client/pid").is_empty());
    let verdict: Value = serde_json::from_str(&world.run(&["audit", "verify", "--output", "json"]).stdout).unwrap();
    assert_eq!(verdict["signed_to"], verdict["last"], "a command signs what it wrote");
}

#[test]
fn every_way_out_is_written_down_and_so_is_every_no() {
    let world = world("ways-out", 0);
    let ways = [
        "env build --shell json",
        "exec build --env -- true",
        "exec build -- true",
        "verify build",
        "write build --as w",
    ];
    for (number, way) in ways.iter().enumerate() {
        let end = through(&world, &format!("way{number}"), &format!("bowline {way}"));
        assert_eq!(end.code, Some(0), "{way}: {}", end.stderr);
    }
    let issued: BTreeSet<String> = records(&world, "issued").iter().map(|one| text(one, "/client/program")).collect();
    assert_eq!(issued, (0..ways.len()).map(|number| format!("way{number}")).collect());
    for program in ["curious", "curious", "other"] {
        assert_eq!(through(&world, program, "bowline creds admin").code, Some(1));
    }
    assert_eq!(through(&world, "typist", "bowline creds biuld").code, Some(2));
    assert_eq!(through(&world, "runner", "bowline exec nope -- true").code, Some(2));
    let failed = records(&world, "refresh-failed");
    assert!(failed.iter().all(|one| !text(one, "/reason").contains("broke off")), "{failed:?}");
    let refused = records(&world, "refused");
    let told: Vec<[String; 3]> =
        refused.iter().map(|one| ["/profile", "/client/program", "/outcome"].map(|at| text(one, at))).collect();
    let failed = |profile: &str, program: &str| [profile.to_owned(), program.to_owned(), "failed".to_owned()];
    let all = [("admin", "curious"), ("admin", "other"), ("biuld", "typist"), ("nope", "runner")];
    assert_eq!(told, all.map(|(profile, program)| failed(profile, program)));
    assert!(text(&refused[0], "/reason").contains("No access"), "{refused:?}");
}

#[test]
fn the_endpoint_writes_down_source_client_and_whom_it_refused() {
    let world = world("serve-audit", 0);
    let address = free_address();
    let serve = world.start("serve", &mut world.bowline(&["serve", "build", "--listen", &address.to_string()]));
    until(Duration::from_secs(10), "the exports are printed", || serve.stdout().contains("TOKEN_FILE"));
    assert_eq!(fetch(address, "/v1/role/build").unwrap().status, 401);
    assert_eq!(fetch(address, "/v1/role/made-up-name").unwrap().status, 401);
    let script = "import os, urllib.request\n\
         request = urllib.request.Request(os.environ['URL'], headers={'Authorization': open(os.environ['TOKEN']).read()})\n\
         urllib.request.urlopen(request).read()\n";
    let token = world.path("run/bowline/endpoint/token");
    let asked = || {
        let mut client = world.foreign("python3");
        client.args(["-c", script]).env("URL", format!("http://{address}/v1/role/build")).env("TOKEN", &token);
        world.run_foreign("client", &mut client).code == Some(0)
    };
    until(Duration::from_secs(10), "credentials are handed out", asked);
    assert!(asked());
    let issued = records(&world, "issued");
    assert_eq!(issued.len(), 1, "{issued:?}");
    assert_eq!(text(&issued[0], "/source"), "sso 111122223333/build");
    assert!(text(&issued[0], "/client/address").starts_with("127.0.0.1:"));
    assert!(text(&issued[0], "/client/user_agent").starts_with("Python-urllib"));
    assert_eq!(text(&issued[0], "/client/uid"), rustix::process::geteuid().as_raw().to_string());
    let refused: Vec<Value> =
        records(&world, "refused").into_iter().filter(|one| text(one, "/reason").starts_with("401")).collect();
    let profiles: Vec<String> = refused.iter().map(|one| text(one, "/profile")).collect();
    assert_eq!(profiles, ["build", ""], "a name that somebody made up is not written down: {refused:?}");
    assert_eq!(text(&refused[0], "/client/user_agent"), "story");
}

#[test]
fn what_cannot_be_written_down_leaves_with_a_warning_or_not_at_all() {
    let world = world("unwritable", 0);
    // Modes do not stop root: a file stands where the directory should be.
    world.write("in-the-way", "");
    let config = |on_failure: &str| {
        let path = world.path("in-the-way");
        let text = format!("[audit]\npath = \"{}\"\non-failure = \"{on_failure}\"\n", path.display());
        world.write(&format!("{on_failure}.toml"), &text);
        world.path(&format!("{on_failure}.toml")).display().to_string()
    };
    let run = |config: &str| {
        let end = world.run_foreign("unwritten", world.bowline(&["creds", "build"]).env("BOWLINE_CONFIG", config));
        world.forget_output("unwritten");
        end
    };
    let warned = run(&config("warn"));
    assert_eq!(warned.code, Some(0), "{}", warned.stderr);
    assert!(warned.stderr.contains("note: this is not in the audit log"), "{}", warned.stderr);
    let denied = run(&config("deny"));
    assert_eq!((denied.code, denied.stdout.as_str()), (Some(4), ""), "{}", denied.stderr);
    assert!(denied.stderr.contains("nothing is given out for `build`") && denied.stderr.contains("hint: "));
}

#[test]
fn a_grant_that_says_deny_gets_nothing_while_the_log_is_broken_and_our_own_user_a_warning() {
    let world = world("grant-deny", 0);
    world.write("in-the-way", "");
    let (address, in_the_way, token) = (free_address(), world.path("in-the-way"), world.path("ci/token"));
    let daemon = world.daemon(&format!(
        "[[artifacts.repository]]\nfrom = \"/srv\"\n[audit]\npath = \"{}\"\n[endpoint]\nlisten = \"{address}\"\nserve = \"build\"\n\
         [[grant]]\ntoken-file = \"{}\"\nprofiles = \"build\"\naudit = \"deny\"\n",
        in_the_way.display(),
        token.display()
    ));
    let ask = |token: PathBuf| {
        let script = "import sys, urllib.request, urllib.error\n\
             request = urllib.request.Request(sys.argv[1], headers={'Authorization': open(sys.argv[2]).read()})\n\
             try: sys.exit(urllib.request.urlopen(request).status - 200)\n\
             except urllib.error.HTTPError as error: print(error.read().decode()); sys.exit(error.code - 500)\n";
        let url = format!("http://{address}/v1/role/build");
        let end = world.run_foreign("ask", world.foreign("python3").args(["-c", script, &url]).arg(token));
        (end.code, end.stdout)
    };
    let own = world.path("run/bowline/endpoint/token");
    until(Duration::from_secs(10), "credentials are in memory", || ask(own.clone()).0 == Some(0));
    let (code, said) = ask(token.clone());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("while the audit log cannot be written"), "{said}");
    assert!(fetch(daemon.status, "/readyz").unwrap().text().contains("audit.file"));
    let told = daemon.process.stderr().matches("nothing can be written to the audit log").count();
    assert_eq!(told, 1, "told once, and not for every client");
    fs::remove_file(&in_the_way).unwrap();
    assert_eq!(ask(token).0, Some(0));
    let metrics = fetch(daemon.status, "/metrics").unwrap().text();
    for line in [
        "bowline_audit_records_total{event=\"issued\",outcome=\"ok\"} 1",
        "bowline_audit_sink_failures_total{sink=\"file\"}",
        "bowline_audit_dropped_records_total{sink=\"file\"}",
        "bowline_audit_checkpoint_age_seconds",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[test]
fn commands_killed_at_any_moment_leave_a_log_that_verifies_and_has_every_answer() {
    let world = world("kill-appends", 30);
    let mut answered = BTreeSet::new();
    for round in 0..5_u32 {
        let profiles: Vec<String> = (round * 6..round * 6 + 6).map(|number| format!("p{number}")).collect();
        let mut running: Vec<_> = profiles
            .iter()
            .map(|profile| (profile, world.start("killed", &mut world.bowline(&["creds", profile]))))
            .collect();
        pause(Duration::from_millis(u64::from(20 + round * 45)));
        for (profile, process) in &mut running {
            if process.runs() {
                process.signal(Signal::KILL);
            }
            if process.stdout().contains("SecretAccessKey") {
                answered.insert((*profile).clone());
            }
        }
    }
    world.forget_output("killed");
    assert_eq!(world.run(&["creds", "build"]).code, Some(0));
    let written: BTreeSet<String> = records(&world, "issued").iter().map(|record| text(record, "/profile")).collect();
    assert!(!answered.is_empty(), "no command lived long enough to say anything");
    assert!(answered.is_subset(&written), "{answered:?} got an answer, and only {written:?} are written down");
}

#[test]
fn fifty_at_once_without_a_daemon_write_one_record_a_profile_and_a_follower_sees_each() {
    let world = world("fifty-records", 5);
    world.write("small.toml", "[audit]\nmax-file-size = \"2 KiB\"\n");
    let config = world.path("small.toml");
    let command = |words: &[&str]| {
        let mut command = world.bowline(words);
        command.env("BOWLINE_CONFIG", &config);
        command
    };
    assert_eq!(world.run_foreign("first", &mut command(&["creds", "build"])).code, Some(0));
    let follower = world.start("follow", &mut command(&["audit", "tail", "-n", "1", "--follow", "--output", "json"]));
    until(LIMIT, "the follower has begun", || follower.stdout().lines().count() == 1);
    let running: Vec<_> =
        (0..50).map(|number| world.start("one", &mut command(&["creds", &format!("p{}", number % 5)]))).collect();
    for process in running {
        let end = process.finish(LIMIT);
        assert_eq!(end.code, Some(0), "{}", end.stderr);
    }
    world.forget_output("one");
    world.forget_output("first");
    until(Duration::from_secs(10), "the follower has seen every record", || follower.stdout().lines().count() == 6);
    let seen = follower.stdout();
    let profiles: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: BTreeSet<String> = profiles.iter().map(|record| text(record, "/profile")).collect();
    assert_eq!(names.len(), 6, "{seen}");
    assert_eq!(records(&world, "issued").len(), 6);
    assert!(
        bowline_audit::log_files(&world.path(".local/state/bowline/audit")).unwrap().len() > 2,
        "it went over files"
    );
}

#[test]
fn a_reload_moves_the_log_and_one_that_cannot_be_written_moves_nothing() {
    let world = world("audit-reload", 2);
    world.write("in-the-way", "");
    let (one, other, bad) = (world.path("one"), world.path("other"), world.path("in-the-way"));
    let daemon =
        world.daemon(&format!("[[artifacts.repository]]\nfrom = \"/srv\"\n[audit]\npath = \"{}\"\n", one.display()));
    let configured = fs::read_to_string(&daemon.config).unwrap();
    let reload = |path: &PathBuf| {
        world.write("bowline.toml", &configured.replace(one.to_str().unwrap(), path.to_str().unwrap()));
        daemon.process.signal(Signal::HUP);
    };
    let whole = |directory: &PathBuf| {
        let files = bowline_audit::log_files(directory).unwrap();
        files.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<String>()
    };
    reload(&bad);
    until(Duration::from_secs(10), "the bad place is told", || {
        daemon.process.stderr().contains("cannot write the audit")
    });
    assert_eq!(world.run(&["creds", "p0"]).code, Some(0));
    assert!(whole(&one).contains(r#""profile":"p0""#), "the old log goes on");
    reload(&other);
    until(Duration::from_secs(10), "the log has moved", || whole(&other).contains("reloaded"));
    until(Duration::from_secs(10), "records go to the new log", || {
        assert_eq!(world.run(&["creds", "p1"]).code, Some(0));
        whole(&other).contains(r#""profile":"p1""#)
    });
    assert!(whole(&one).contains("the log goes on in"));
    daemon.stop();
    for directory in [&one, &other] {
        let files = bowline_audit::log_files(directory).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        let verdict = world.run(&[&["audit", "verify"], names.as_slice()].concat());
        assert_eq!(verdict.code, Some(0), "{}", verdict.stdout);
    }
    assert!(whole(&other).contains("daemon-stopped") && !whole(&one).contains("daemon-stopped"));
}

#[test]
fn a_command_with_other_identities_than_the_daemon_goes_alone_and_says_so() {
    let world = world("identities", 0);
    let identity = |role: &str| {
        let arn = "arn:aws:rolesanywhere:us-east-1:111122223333";
        format!(
            "[identity.site]\nroles-anywhere = {{ certificate = \"site.pem\", trust-anchor = \"{arn}:trust-anchor/t\", \
             profile = \"{arn}:profile/p\", role = \"arn:aws:iam::111122223333:role/{role}\" }}\n"
        )
    };
    let daemon = world.daemon(&format!("[[artifacts.repository]]\nfrom = \"/srv\"\n{}", identity("site")));
    let ask = |config: Option<PathBuf>| {
        let mut command = world.bowline(&["creds", "build"]);
        config.map(|config| command.env("BOWLINE_CONFIG", config));
        let end = world.run_foreign("ask", &mut command);
        world.forget_output("ask");
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        end.stderr
    };
    assert_eq!(ask(Some(daemon.config)), "", "the same file");
    assert_eq!(ask(None), "", "no file");
    world.write("other.toml", &identity("other"));
    let told = ask(Some(world.path("other.toml")));
    assert!(
        told.contains("other AWS files, endpoints or identities") && told.contains("going on without it"),
        "{told}"
    );
}
