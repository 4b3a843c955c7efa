//! Managers and their users: the namespace, temporary credentials of that user and nobody else, owners, both AWS files.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use bowline_fakeaws::{Effect, Fault};
use bowline_host::clock;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    harness::{Finished, World, python, run, skip, until},
    peers::{moto, static_keys},
};

const ACCOUNT: &str = "111122223333";
/// A run that waits for a slow IAM several times over.
const LIMIT: Duration = Duration::from_secs(18);

/// The document that `bowline policy PART dirk` prints.
fn policy(world: &World, part: &str) -> Value {
    let printed = world.run(&["policy", part, "dirk", "--account", ACCOUNT]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// A user of the account with what `documents` allow, and its long-lived key in the profile `profile`.
fn furnish(world: &World, profile: &str, user: &str, documents: &[Value]) {
    let key = world.cloud().add_limited_user(user, documents).unwrap();
    let known = fs::read_to_string(world.path(".aws/credentials")).unwrap_or_default();
    let section = format!(
        "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.key_id,
        key.secret_key.expose()
    );
    world.write(".aws/credentials", &format!("{known}# of {user}\n{section}"));
    world.configure(&format!("[profile {profile}]\nregion = eu-central-1\n"));
}

/// `dirk-mgr` in the profile `iam-sorry`, held by the policy that the program prints.
fn with_manager(world: &World) {
    let document = policy(world, "admin");
    furnish(world, "iam-sorry", "dirk-mgr", &[document]);
}

fn users(world: &World, arguments: &[&str]) -> Finished {
    let name = arguments.first().unwrap_or(&"users");
    run(&mut world.bowline(&[&["users"], arguments].concat()), &world.path(&format!("{name}.out")), LIMIT)
}

#[track_caller]
fn refused(world: &World, arguments: &[&str], words: &[&str]) {
    let end = users(world, arguments);
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", end.stderr);
    for word in words {
        assert!(end.stderr.contains(word), "{arguments:?}: no `{word}` in: {}", end.stderr);
    }
}

#[test]
fn a_manager_makes_a_user_and_boto3_is_that_user() {
    let world = World::new("users-boto3", |settings| settings.propagation_delay = Duration::from_secs(2));
    with_manager(&world);
    let made = users(&world, &["refresh", "dirk-bedrock"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(
        made.stderr.contains("made user `dirk-bedrock`")
            && made.stderr.contains("[profile dirk-bedrock]\nregion = eu-central-1")
    );
    assert_eq!(world.cloud().keys_of("dirk-bedrock"), [], "the temporary key is gone");
    let credentials = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    assert!(
        credentials.starts_with("# of dirk-mgr\n[iam-sorry]\n")
            && credentials.contains("credentials_owner = dirk-bedrock")
    );
    assert_eq!(fs::metadata(world.path(".aws/credentials")).unwrap().permissions().mode() & 0o777, 0o600);
    let verified = world.run(&["verify", "dirk-bedrock", "--output", "json"]);
    assert!(verified.stdout.contains("arn:aws:iam::111122223333:user/dirk-bedrock"), "{}", verified.stderr);
    let Some(python) = python() else { skip!("boto3: no target/py") };
    let caller = world.run_foreign("boto3", python.script(&world, "caller.py").arg("dirk-bedrock"));
    assert_eq!(caller.stdout.trim(), "arn:aws:iam::111122223333:user/dirk-bedrock", "{}", caller.stderr);
}

#[test]
fn a_name_outside_of_the_namespace_is_refused_before_any_call() {
    let world = World::new("users-outside", |_| {});
    with_manager(&world);
    world.cloud().clear_counts();
    world.write(".config/bowline/bowline.toml", "[delegation]\nprefix = \"dirk\"\n");
    for arguments in [["create", "alice"], ["refresh", "alice"], ["refresh", "dirkx"]] {
        refused(&world, &arguments, &["is outside the namespace", "dirk-bedrock"]);
    }
    assert_eq!(users(&world, &["create", "dirk-"]).code, Some(2));
    assert_eq!(users(&world, &["create", " "]).code, Some(2));
    refused(&world, &["refresh", "iam-sorry"], &["management profile", "vault rotate"]);
    assert_eq!(world.cloud().counts().sum(""), 0, "no call was made");
    world.write(".config/bowline/bowline.toml", "");
    refused(&world, &["refresh", "alice"], &["is outside the namespace of `dirk-mgr`"]);
    refused(&world, &["refresh", "dirk-mgr"], &["is the manager itself"]);
    assert_eq!(world.cloud().counts().sum("iam."), 0, "STS alone was asked who the manager is");
    assert_eq!(world.cloud().users(), ["dirk-mgr"]);
}

#[test]
fn a_user_that_was_given_away_is_handed_out_by_its_owner_alone() {
    let world = World::new("users-owner", |_| {});
    with_manager(&world);
    let document = policy(&world, "refresh");
    furnish(&world, "bob", "bob", &[document]);
    for name in ["dirk-a", "dirk-b"] {
        assert_eq!(users(&world, &["create", name]).code, Some(0));
    }
    assert_eq!(users(&world, &["create", "dirk-a"]).code, Some(0), "what is there and ours is left as it is");
    refused(&world, &["refresh", "dirk-a", "--profile", "bob", "--delegated"], &["was not given to `bob`"]);
    refused(&world, &["chown", "dirk-a", "nobody"], &["there is no user `nobody`", "nothing was changed"]);
    let given = users(&world, &["chown", "dirk-a", "bob"]);
    assert_eq!(given.code, Some(0), "{}", given.stderr);
    world.cloud().clear_counts();
    refused(&world, &["refresh", "dirk-a"], &["belongs to `bob`"]);
    refused(&world, &["chown", "dirk-a", "dirk-mgr"], &["belongs to `bob`", "nothing was changed"]);
    assert_eq!(world.cloud().counts().sum("iam.CreateAccessKey") + world.cloud().counts().sum("iam.TagUser"), 0);
    let bobs =
        users(&world, &["refresh", "dirk-a", "--profile", "bob", "--delegated", "--duration", "8", "--output", "json"]);
    assert_eq!(bobs.code, Some(0), "{}", bobs.stderr);
    let bobs: Value = serde_json::from_str(&bobs.stdout).unwrap();
    assert_eq!((bobs["profile"].as_str(), bobs["account"].as_str()), (Some("dirk-a"), Some(ACCOUNT)));
    let list: Value = serde_json::from_str(&users(&world, &["list", "--output", "json"]).stdout).unwrap();
    assert_eq!(list["users"].as_array().unwrap().len(), 2);
    assert_eq!((&list["users"][0]["owner"], &list["users"][1]["owner"]), (&json!("bob"), &json!("dirk-mgr")));
    assert_eq!(list["users"][0]["expires"], bobs["expires"]);
    let table = users(&world, &["list"]).stdout;
    assert!(table.starts_with("NAME") && table.contains("dirk-b  dirk-mgr  none"), "{table}");
}

#[test]
fn who_was_handed_out_and_who_was_refused_is_written_down() {
    let world = World::new("users-audit", |_| {});
    with_manager(&world);
    assert_eq!(users(&world, &["refresh", "dirk-a"]).code, Some(0));
    refused(&world, &["refresh", "alice"], &["is outside the namespace"]);
    let record = |event: &str| {
        let found = world.run(&["audit", "query", "--event", event, "--output", "json"]).stdout;
        let last = found.lines().last().unwrap_or("null").to_owned();
        serde_json::from_str::<Value>(&last).unwrap()
    };
    let (issued, no) = (record("issued"), record("refused"));
    assert_eq!(issued["source"], "IAM user dirk-a, by the manager of profile iam-sorry", "{issued}");
    let key = issued["key_id"].as_str().unwrap();
    assert!(fs::read_to_string(world.path(".aws/credentials")).unwrap().contains(key));
    assert!(no["profile"] == "alice" && no["reason"].as_str().unwrap().contains("outside"), "{no}");
    assert_eq!(world.run(&["audit", "verify"]).code, Some(0));
}

#[test]
fn every_refusal_has_its_reason_and_its_fix() {
    let world = World::new("users-refusals", |_| {});
    let nobody = users(&world, &["list"]);
    assert!(nobody.code == Some(2) && nobody.stderr.contains("bowline users bootstrap"), "{}", nobody.stderr);
    let role = world.cloud().add_session(clock::now(), "build", Duration::from_secs(900));
    let token = role.session_token.unwrap();
    let section = format!(
        "[role]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        role.key_id,
        role.secret_key.expose(),
        token.expose()
    );
    world.write(".aws/credentials", &section);
    refused(&world, &["list", "--profile", "role"], &["role session", "--profile NAME"]);
    with_manager(&world);
    furnish(&world, "powerless", "dirk-x", &[]);
    refused(&world, &["list", "--profile", "powerless"], &["hint: ask whoever administers"]);
    refused(&world, &["chown", "dirk-none", "dirk-x"], &["cannot be found", "hint: check the name"]);
    world.cloud().fault(Fault::new("iam.*", Effect::Throttle));
    let throttled = users(&world, &["list"]);
    assert!(throttled.code == Some(4) && throttled.stderr.contains("hint: try again"), "{}", throttled.stderr);
    world.cloud().clear_faults();
    for hours in ["0", "37", "59m"] {
        let wrong = users(&world, &["refresh", "dirk-a", "--duration", hours]);
        assert!(wrong.code == Some(2) && wrong.stderr.contains("from 1h to 36h"), "{hours}: {}", wrong.stderr);
    }
    refused(&world, &["refresh", "dirk-x"], &["has no owner yet: bowline users chown dirk-x dirk-mgr"]);
    assert_eq!(users(&world, &["chown", "dirk-x", "dirk-mgr"]).code, Some(0));
    let own = users(&world, &["refresh", "dirk-x"]);
    assert_eq!(own.code, Some(0), "{}", own.stderr);
}

#[test]
fn a_role_is_become_under_the_users_name_and_no_key_is_made() {
    let world = World::new("users-role", |_| {});
    let role = "arn:aws:iam::111122223333:role/dirk-ci";
    let become_it = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"], "Resource": role}]});
    let document = policy(&world, "admin");
    furnish(&world, "iam-sorry", "dirk-mgr", &[document, become_it]);
    assert_eq!(users(&world, &["create", "dirk-ci"]).code, Some(0));
    let made = users(&world, &["refresh", "dirk-ci", "--role", role]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert_eq!(world.cloud().counts().sum("iam.CreateAccessKey"), 0);
    let verified = world.run(&["verify", "dirk-ci"]);
    assert!(verified.stdout.contains("assumed-role/dirk-ci/dirk-ci"), "{}", verified.stderr);
}

/// Kills `bowline users refresh` when the call `at` hangs, before or after its work, and runs it again.
#[track_caller]
fn killed_at(world: &World, at: &str, after_work: bool) {
    let hang = Fault::new(at, Effect::Hang).times(1);
    world.cloud().fault(if after_work { hang.after_work() } else { hang });
    world.cloud().clear_counts();
    let process = world.start("refresh", &mut world.bowline(&["users", "refresh", "dirk-a"]));
    until(Duration::from_secs(10), at, || world.cloud().counts().sum(&format!("{at}.fault.hang")) > 0);
    process.signal(Signal::KILL);
    drop(process);
    world.cloud().clear_faults();
    let again = users(world, &["refresh", "dirk-a"]);
    assert_eq!(again.code, Some(0), "{at}: {}", again.stderr);
    assert_eq!(world.cloud().keys_of("dirk-a"), [], "{at} (after: {after_work}): a key is left");
}

#[test]
fn a_killed_refresh_leaves_no_key_after_the_next() {
    let world = World::new("users-killed", |_| {});
    with_manager(&world);
    assert_eq!(users(&world, &["create", "dirk-a"]).code, Some(0));
    killed_at(&world, "iam.CreateAccessKey", true);
    killed_at(&world, "sts.GetSessionToken", true);
    killed_at(&world, "iam.DeleteAccessKey", false);
    let journals = fs::read_dir(world.path(".local/state/bowline/delegation")).unwrap().flatten();
    let left = journals.filter(|file| file.path().extension().is_some_and(|ending| ending == "json")).count();
    assert_eq!(left, 0, "nothing is unfinished");
}

#[test]
fn a_refresh_killed_when_the_key_is_deleted_waits_until_it_cannot_appear_any_more() {
    let world = World::new("users-killed-late", |_| {});
    with_manager(&world);
    assert_eq!(users(&world, &["create", "dirk-a"]).code, Some(0));
    killed_at(&world, "iam.DeleteAccessKey", true);
}

#[test]
fn fifty_writers_of_fifty_profiles_leave_fifty_profiles() {
    let world = World::new("users-fifty", |_| {});
    let key = world.cloud().add_user("dirk-mgr");
    let (first, last) = ("# mine\n[before]\nregion=x\n\n", "\n[iam-sorry]   ; the manager\n");
    let keys = format!("aws_access_key_id={}\naws_secret_access_key={}\n", key.key_id, key.secret_key.expose());
    world.write(".aws/credentials", &format!("{first}{last}{keys}"));
    let names: Vec<String> = (0..50).map(|number| format!("dirk-{number}")).collect();
    let start = |name: &String| world.start("fifty", &mut world.bowline(&["users", "refresh", name]));
    let running: Vec<_> = names.iter().map(start).collect();
    for process in running {
        let end = process.finish(LIMIT);
        assert_eq!(end.code, Some(0), "{}", end.stderr);
    }
    let credentials = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    let config = fs::read_to_string(world.path(".aws/config")).unwrap();
    assert!(credentials.starts_with(&format!("{first}{last}{keys}")), "what was there is as it was");
    for name in &names {
        assert_eq!(credentials.matches(&format!("[{name}]\n")).count(), 1, "{name}");
        assert_eq!(config.matches(&format!("[profile {name}]\n")).count(), 1, "{name}");
        assert_eq!(world.cloud().keys_of(name), [], "{name}");
    }
}

#[test]
fn missing_sections_of_the_config_file_are_added_and_nothing_else() {
    let world = World::new("users-fix", |_| {});
    with_manager(&world);
    let keys = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    world.write(".aws/credentials", &format!("{keys}[dirk-a]\naws_access_key_id = A\naws_secret_access_key = B\n"));
    let before = fs::read_to_string(world.path(".aws/config")).unwrap();
    let fixed = users(&world, &["fix-profiles"]);
    assert_eq!((fixed.code, fixed.stdout.as_str()), (Some(0), "dirk-a\n"), "{}", fixed.stderr);
    let after = fs::read_to_string(world.path(".aws/config")).unwrap();
    assert_eq!(after, format!("{before}[profile dirk-a]\nregion = eu-central-1\n"));
    assert_eq!(users(&world, &["fix-profiles"]).stdout, "");
}

#[test]
fn the_documents_come_with_the_administrators_steps() {
    let world = World::new("users-policy", |_| {});
    let ours = world.run(&["policy", "admin", "dirk", "--account", ACCOUNT]);
    for step in
        ["tag those first", "create-policy", "attach-user-policy", "Key=bowline:manager,Value=dirk", "users bootstrap"]
    {
        assert!(ours.stderr.contains(step), "{step}: {}", ours.stderr);
    }
    let theirs = world.run(&["policy", "admin", "dirk", "--account", ACCOUNT, "--style", "iam-sorry"]);
    let theirs: Value = serde_json::from_str(&theirs.stdout).unwrap();
    assert_eq!(theirs["Statement"][1]["Sid"], "CreateUsersDelegation");
    let count = |more: &[&str]| {
        let lambda = ["policy", "lambda", "dirk", "--account", ACCOUNT, "--style", "iam-sorry"];
        let printed = world.run(&[&lambda, more].concat());
        serde_json::from_str::<Value>(&printed.stdout).unwrap()["Statement"].as_array().unwrap().len()
    };
    assert_eq!((count(&[]), count(&["--role", "other"])), (13, 8));
    let unknown = world.run(&["policy", "refresh", "dirk"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("--account"), "{}", unknown.stderr);
    with_manager(&world);
    let asked = world.run(&["policy", "refresh", "dirk"]);
    assert!(asked.stdout.contains(ACCOUNT), "AWS was asked: {}", asked.stderr);
}

/// moto knows users, tags, keys and their limit; that sessions are their user's is the fake's to judge.
#[test]
fn moto_takes_our_users_and_our_rotation() {
    let Some(python) = python() else { skip!("moto: no target/py") };
    let mut world = World::new("users-moto", |_| {});
    let (_server, made) = moto(&mut world, &python);
    static_keys(&world, "mgr", made["key_id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let manage = |arguments: &[&str]| users(&world, &[arguments, &["--profile", "mgr"]].concat());
    let created = manage(&["create", "ci-x"]);
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    assert!(manage(&["chown", "ci-x", "nobody-there"]).stderr.contains("there is no user"));
    assert_eq!(manage(&["create", "ci-y"]).code, Some(0));
    let given = manage(&["chown", "ci-x", "ci-y"]);
    assert_eq!(given.code, Some(0), "{}", given.stderr);
    let table = manage(&["list"]).stdout;
    assert!(table.contains("ci-x  ci-y") && table.contains("ci-y  ci"), "{table}");
    let rotated = run(&mut world.bowline(&["vault", "rotate", "mgr", "--grace", "0s"]), &world.path("r.out"), LIMIT);
    assert_eq!(rotated.code, Some(0), "{}", rotated.stderr);
    let credentials = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    assert!(!credentials.contains(made["key_id"].as_str().unwrap()));
    assert_eq!(manage(&["list"]).code, Some(0), "the new key works");
}

/// An SSH key with a passphrase, or without.
pub(crate) fn ssh_key(world: &World, passphrase: &str) -> bool {
    bowline_base::atomic::private_directory(&world.path(".ssh")).unwrap();
    fs::remove_file(world.path(".ssh/id_ed25519")).ok();
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(world.path(".ssh/id_ed25519"));
    keygen.stdin(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}
