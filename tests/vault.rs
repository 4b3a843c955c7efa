//! Sealed keys with the real binary: boto3, ssh-keygen and Debian's `age` around it, people at a terminal, crashes.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Daemon, Python, World, free_address, is_private, pause, python, skip, until};

const PASSPHRASE: &str = "correct horse battery";
const VAULT: &str = ".local/share/bowline/vault";
const LIMIT: Duration = Duration::from_secs(15);

/// What a command printed, without a file that would hold it.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// A world with an SSH key that has a passphrase, and a user with a long-lived key in `keys`.
pub(crate) fn world(name: &str) -> (World, String) {
    let world = World::new(name, |_| {});
    fs::create_dir(world.path(".ssh")).unwrap();
    let key = world.path(".ssh/id_ed25519");
    let made =
        said(world.foreign("ssh-keygen").args(["-q", "-t", "ed25519", "-a", "4", "-N", PASSPHRASE, "-f"]).arg(&key));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    world.note_secret("passphrase", PASSPHRASE);
    let user = world.cloud().add_user("manager");
    let secret = user.secret_key.expose().to_owned();
    world.write("keys", &format!("{}\n{secret}\n", user.key_id));
    (world, secret)
}

fn have(program: &str) -> bool {
    ["/usr/bin", "/usr/local/bin", "/bin"]
        .iter()
        .any(|folder| fs::exists(format!("{folder}/{program}")).unwrap_or(false))
}

/// `bowline vault …` where nobody can be asked.
fn vault(world: &World, arguments: &[&str]) -> Said {
    let said = said(world.bowline(&["vault"]).args(arguments));
    world.keep("vault-stderr", said.stderr.as_bytes());
    said
}

/// The same with the recovery key at hand.
pub(crate) fn headless(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.bowline(arguments);
    command.env("BOWLINE_VAULT_RECOVERY_KEY_FILE", world.path("recovery.txt"));
    command
}

#[track_caller]
fn add(world: &World, profile: &str) {
    let (keys, recovery) = (world.path("keys"), world.path("recovery.txt"));
    let place = [keys.to_str().unwrap(), recovery.to_str().unwrap()];
    let added = vault(world, &["add", profile, "--file", place[0], "--recovery-file", place[1]]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
}

/// The program at a terminal of its own, where these answers are typed.
fn at_terminal(world: &World, python: &Python, arguments: &[&str], answers: &[(&str, &str)]) -> Value {
    let argv: Vec<&str> = std::iter::once(env!("CARGO_BIN_EXE_bowline")).chain(arguments.iter().copied()).collect();
    let mut script = python.script(world, "on_terminal.py");
    let typed = said(script.arg(json!({ "argv": argv, "answers": answers }).to_string()));
    serde_json::from_str(&typed.stdout).unwrap_or_else(|error| panic!("{error}: {}", typed.stderr))
}

fn daemon(world: &World, more: &str) -> Daemon {
    let status = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n{more}"));
    let config = world.path("bowline.toml");
    let process = world.start("run", &mut world.bowline(&["run", "--config", config.to_str().unwrap()]));
    let mut daemon = Daemon { process, status, artifacts: status, config };
    daemon.wait_until_ready();
    daemon
}

#[test]
fn keys_that_were_added_are_what_boto3_signs_with_and_age_opens_the_store() {
    let Some(python) = python() else { skip!("boto3: no target/py") };
    let (world, secret) = world("vault-add");
    add(&world, "manager");
    let mut caller = python.script(&world, "caller.py");
    caller.arg("manager").env("BOWLINE_VAULT_RECOVERY_KEY_FILE", world.path("recovery.txt"));
    caller.env("AWS_DEFAULT_REGION", "us-east-1");
    let called = world.run_foreign("caller", &mut caller);
    assert!(called.stdout.contains(":user/manager"), "{}{}", called.stdout, called.stderr);
    let listed = said(headless(&world, &["vault", "list", "--output", "json"]).env("NO_COLOR", "1"));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        (&listed["profiles"][0]["profile"], listed["recipients"].as_array().unwrap().len()),
        (&json!("manager"), 2)
    );
    for file in ["vault.age", "recipients.txt"] {
        assert!(is_private(&world.path(&format!("{VAULT}/{file}"))), "{file}");
    }
    if !have("age") {
        skip!("Debian's age: not installed");
    }
    let mut age = world.foreign("age");
    age.arg("--decrypt")
        .arg("--identity")
        .arg(world.path("recovery.txt"))
        .arg(world.path(&format!("{VAULT}/vault.age")));
    let opened: Value = serde_json::from_str(&said(&mut age).stdout).unwrap();
    assert_eq!(opened["profiles"]["manager"]["aws_secret_access_key"], secret);
}

#[test]
fn a_sealed_key_is_the_base_of_a_role() {
    let (world, _) = world("vault-chain");
    add(&world, "manager");
    world.configure(
        "[profile up]\nsource_profile = manager\nrole_arn = arn:aws:iam::111122223333:role/admin\nregion = us-east-1\n",
    );
    let verified = said(&mut headless(&world, &["verify", "up"]));
    assert!(verified.stdout.contains("assumed-role/admin"), "{}{}", verified.stdout, verified.stderr);
    let explained = world.run(&["status", "manager", "--explain"]);
    assert!(explained.stdout.contains("sealed key in the store"), "{}", explained.stdout);
    let lying: Vec<PathBuf> =
        fs::read_dir(world.path("run/bowline/leases")).unwrap().map(|e| e.unwrap().path()).collect();
    let secret = fs::read_to_string(world.path("keys")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    assert!(!lying.is_empty());
    for lease in lying {
        assert!(!String::from_utf8_lossy(&fs::read(&lease).unwrap()).contains(secret), "{}", lease.display());
    }
}

#[test]
fn fewer_than_two_ways_in_are_refused_and_default_cannot_be_sealed() {
    let (world, _) = world("vault-refusals");
    let keys = world.path("keys").display().to_string();
    let one = vault(&world, &["add", "a", "--file", &keys, "--no-recovery-key"]);
    assert_eq!(one.code, Some(1), "{}", one.stderr);
    assert!(one.stderr.contains("1 recipient"), "{}", one.stderr);
    assert!(!world.path(VAULT).join("vault.age").exists());
    let default = vault(&world, &["add", "default", "--file", &keys]);
    assert!(default.code == Some(2) && default.stderr.contains("cannot be sealed"), "{}", default.stderr);
    let nowhere = vault(&world, &["add", "a", "--file", &keys]);
    assert!(nowhere.stderr.contains("--recovery-file"), "{}", nowhere.stderr);
    let insisted = vault(&world, &["add", "a", "--file", &keys, "--no-recovery-key", "--insist"]);
    assert_eq!(insisted.code, Some(0), "{}", insisted.stderr);
    let locked = said(&mut world.bowline(&["creds", "a"]));
    assert_eq!((locked.code, locked.stdout.as_str()), (Some(5), ""));
    assert!(locked.stderr.contains("hint: "), "{}", locked.stderr);
}

#[test]
fn a_passphrase_is_asked_once_on_the_terminal_and_lock_forgets_it() {
    let Some(python) = python() else { skip!("a terminal: no target/py") };
    let (world, secret) = world("vault-passphrase");
    add(&world, "manager");
    let daemon = daemon(&world, "");
    let refused = said(&mut world.bowline(&["creds", "manager"]));
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(5), ""), "{}", refused.stderr);
    let answers = [("Passphrase of", "wrong horse"), ("Passphrase of", PASSPHRASE)];
    let first = at_terminal(&world, &python, &["creds", "manager"], &answers);
    assert_eq!((&first["code"], &first["unasked"]), (&json!(0), &json!([])), "{}", first["terminal"]);
    let document: Value = serde_json::from_str(first["stdout"].as_str().unwrap()).unwrap();
    assert_eq!(document["SecretAccessKey"], secret);
    let shown = first["terminal"].as_str().unwrap();
    assert!(shown.contains("the passphrase is wrong") && !shown.contains("horse"), "{shown}");
    // Nobody is asked any more, by any command.
    for arguments in [&["creds", "manager"][..], &["vault", "list"], &["vault", "show", "manager", "--reveal"]] {
        let again = said(&mut world.bowline(arguments));
        assert_eq!(again.code, Some(0), "{arguments:?}: {}", again.stderr);
    }
    // What is added while it is open needs no passphrase either.
    add(&world, "second");
    assert_eq!(said(&mut world.bowline(&["creds", "second"])).code, Some(0));
    assert_eq!(vault(&world, &["lock"]).code, Some(0));
    // A role whose base is sealed asks for the same passphrase.
    world.configure("[profile up]\nsource_profile = manager\nrole_arn = arn:aws:iam::111122223333:role/admin\n");
    let role = at_terminal(&world, &python, &["creds", "up"], &[("Passphrase of", PASSPHRASE)]);
    assert!(role["stdout"].as_str().unwrap().contains("SessionToken"), "{}", role["terminal"]);
    assert_eq!(vault(&world, &["lock"]).code, Some(0));
    let locked = said(&mut world.bowline(&["creds", "manager"]));
    assert_eq!((locked.code, locked.stdout.as_str()), (Some(5), ""));
    let wrong = at_terminal(&world, &python, &["vault", "list"], &[("Passphrase of", "x"); 3]);
    assert_eq!((&wrong["code"], &wrong["stdout"]), (&json!(1), &json!("")), "{}", wrong["terminal"]);
    assert_eq!(daemon.stop().0.code, Some(0));
}

#[test]
fn a_locked_daemon_has_no_key_in_its_memory() {
    let Some(python) = python() else { skip!("a terminal: no target/py") };
    let (world, _) = world("vault-memory");
    let needle = format!("{}{}", "kept0Nowhere", std::process::id());
    world.write("hidden", &format!("AKIAHIDDENHIDDEN0000\n{needle}\n"));
    add(&world, "manager");
    let hidden = world.path("hidden").display().to_string();
    assert_eq!(vault(&world, &["add", "hidden", "--file", &hidden]).code, Some(0));
    let daemon = daemon(&world, "");
    let opened = at_terminal(&world, &python, &["vault", "list"], &[("Passphrase of", PASSPHRASE)]);
    assert_eq!(opened["code"], 0, "{}", opened["terminal"]);
    let pid = daemon.process.id();
    if File::open(format!("/proc/{pid}/mem")).is_err() {
        // Not dumpable: that is why this user, whose process it is, may not look.
        eprintln!(
            "skipped: the search of the daemon's memory: it is not dumpable, and this user may not look past that"
        );
        return;
    }
    assert!(said(&mut world.bowline(&["creds", "hidden"])).stdout.contains(&needle), "the daemon hands it out");
    assert!(count(pid, needle.as_bytes()) > 0, "the search finds nothing even when it is there");
    assert_eq!(vault(&world, &["lock"]).code, Some(0));
    assert_eq!(count(pid, needle.as_bytes()), 0);
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_store_that_nobody_asks_for_is_locked_by_itself_and_never_written_in_plaintext() {
    let Some(python) = python() else { skip!("a terminal: no target/py") };
    let (world, _) = world("vault-idle");
    add(&world, "manager");
    let daemon = daemon(&world, "[vault]\nidle = \"1s\"\n");
    let opened = at_terminal(&world, &python, &["vault", "list"], &[("Passphrase of", PASSPHRASE)]);
    assert_eq!(opened["code"], 0, "{}", opened["terminal"]);
    until(LIMIT, "it is locked", || daemon.process.stderr().contains("nobody has asked"));
    assert_eq!(said(&mut world.bowline(&["creds", "manager"])).code, Some(5));
    let written = world.run(&["write", "manager", "--as", "tool"]);
    assert!(written.code == Some(1) && written.stderr.contains("lie sealed"), "{}", written.stderr);
}

/// How often `needle` stands in the writable memory of a process.
fn count(pid: u32, needle: &[u8]) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.seek(SeekFrom::Start(from)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == needle[0]).map(|(at, _)| at);
            found += starts.filter(|at| bytes[*at..].starts_with(needle)).count();
        }
    }
    found
}

/// Profiles around the one that is changed, with everything that an editor could lose.
fn credentials(world: &World) -> (String, String) {
    let keys = fs::read_to_string(world.path("keys")).unwrap();
    let (id, secret) = keys.trim().split_once('\n').unwrap();
    let before = "# mine\n[default]\nregion = x\n\n[other]\naws_access_key_id=AKIAOTHEROTHEROTHER0\naws_secret_access_key =  s  \n; c\n";
    let section = format!("[old]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    let after = "\n[last]\nregion= y";
    world.write(".aws/credentials", &format!("{before}{section}{after}"));
    (before.to_owned(), after.to_owned())
}

#[test]
fn sealing_in_place_changes_two_values_and_nothing_else() {
    let (world, secret) = world("vault-seal");
    let (before, after) = credentials(&world);
    let sealed = vault(&world, &["seal", "old", "--format", "iam-sorry-v1"]);
    assert_eq!(sealed.code, Some(0), "{}", sealed.stderr);
    let text = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    let middle =
        text.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after)).expect("other bytes are as before");
    assert!(!text.contains(&secret) && middle.matches("= __encrypted__:").count() == 2, "{middle}");
    assert_eq!(vault(&world, &["seal", "default", "--format", "iam-sorry-v1"]).code, Some(2));
    assert_eq!(vault(&world, &["seal", "old", "--format", "iam-sorry-v1"]).code, Some(2), "it is sealed already");
    let document: Value = serde_json::from_str(&said(&mut world.bowline(&["creds", "old"])).stdout).unwrap();
    assert_eq!(document["SecretAccessKey"], secret);
    let explained = world.run(&["status", "old", "--explain"]);
    assert!(explained.stdout.contains("iam-sorry envelope"), "{}", explained.stdout);
    assert!(vault(&world, &["show", "old"]).stdout.contains("__encrypted__:"));
    assert!(vault(&world, &["show", "old", "--reveal"]).stdout.contains(&secret));
    let key = world.path(".ssh/id_ed25519");
    let changed =
        said(world.foreign("ssh-keygen").args(["-q", "-p", "-P", PASSPHRASE, "-N", "another", "-f"]).arg(&key));
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let closed = said(&mut world.bowline(&["creds", "old"]));
    assert_eq!((closed.code, closed.stdout.as_str()), (Some(2), ""));
    assert!(closed.stderr.contains("ssh-keygen -p"), "{}", closed.stderr);
}

#[test]
fn keys_move_into_the_store_and_back() {
    let (world, secret) = world("vault-migrate");
    let (before, after) = credentials(&world);
    let recovery = world.path("recovery.txt").display().to_string();
    let config = fs::read(world.path(".aws/config")).unwrap();
    let planned = vault(&world, &["migrate", "old", "--dry-run"]);
    assert!(planned.code == Some(0) && planned.stdout.contains("--undo"), "{}", planned.stderr);
    assert_eq!(fs::read(world.path(".aws/config")).unwrap(), config);
    let unasked = vault(&world, &["migrate", "old"]);
    assert!(unasked.code == Some(2) && unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    world.write("passphrase", &format!("{PASSPHRASE}\n"));
    let with_passphrase = |arguments: &[&str]| {
        said(world.bowline(arguments).env("BOWLINE_VAULT_PASSPHRASE_FILE", world.path("passphrase")))
    };
    let moved = with_passphrase(&["vault", "migrate", "old", "--yes", "--recovery-file", &recovery]);
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    let left = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    assert_eq!(left.trim_end(), format!("{before}{}", after.trim_start()).trim_end());
    let document = with_passphrase(&["creds", "old"]);
    assert!(document.stdout.contains(&secret), "{}", document.stderr);
    let back = with_passphrase(&["vault", "migrate", "old", "--undo"]);
    assert_eq!(back.code, Some(0), "{}", back.stderr);
    assert_eq!(fs::read_to_string(world.path(".aws/config")).unwrap().matches("[profile old]").count(), 1);
    let document = said(&mut world.bowline(&["creds", "old"]));
    assert!(document.stdout.contains(&secret), "without the vault: {}", document.stderr);
}

#[test]
fn new_keys_take_the_place_of_the_old_ones_in_every_form() {
    let (world, secret) = world("vault-replace");
    credentials(&world);
    world.write("new", "AKIANEWNEWNEWNEW0000\nnew0secret0new0secret\n");
    let new = world.path("new").display().to_string();
    let replace = |profile: &str| said(headless(&world, &["vault", "add", profile, "--replace", "--file"]).arg(&new));
    let reveal = |profile: &str| said(&mut headless(&world, &["vault", "show", profile, "--reveal"])).stdout;
    add(&world, "kept");
    assert!(reveal("kept").contains(&secret));
    assert_eq!(vault(&world, &["seal", "other", "--format", "iam-sorry-v1"]).code, Some(0));
    for profile in ["kept", "old", "other"] {
        let replaced = replace(profile);
        assert_eq!(replaced.code, Some(0), "{profile}: {}", replaced.stderr);
        assert!(reveal(profile).contains("new0secret0new0secret"), "{profile}");
    }
    let text = fs::read_to_string(world.path(".aws/credentials")).unwrap();
    assert_eq!(text.matches("new0secret0new0secret").count(), 1, "in plaintext only where it was in plaintext");
    assert_eq!(text.matches("__encrypted__:").count(), 2);
}

#[test]
fn a_passphrase_is_let_in_later_and_keys_that_wait_are_thrown_away() {
    let (world, secret) = world("vault-later");
    add(&world, "manager");
    world.write("phrase", "eleven words or so\n");
    let with_phrase = |command: &mut Command| said(command.env("BOWLINE_VAULT_PASSPHRASE_FILE", world.path("phrase")));
    let let_in = || with_phrase(&mut headless(&world, &["vault", "recipients", "add", "--passphrase"]));
    let first = let_in();
    assert!(first.code == Some(0) && first.stderr.contains("passphrase opens it too"), "{}", first.stderr);
    let second = let_in();
    assert!(second.code == Some(2) && second.stderr.contains("already"), "{}", second.stderr);
    let given = with_phrase(&mut world.bowline(&["creds", "manager"]));
    assert!(given.stdout.contains(&secret), "{}", given.stderr);
    let other = world.cloud().add_user("other");
    world.write("keys", &format!("{}\n{}\n", other.key_id, other.secret_key.expose()));
    add(&world, "manager");
    let waiting = || said(&mut headless(&world, &["vault", "list"])).stdout.contains("waiting");
    let discard = || said(&mut headless(&world, &["vault", "discard", "manager"]));
    assert!(waiting(), "other keys wait");
    let gone = discard();
    assert!(gone.code == Some(0) && !waiting(), "{}", gone.stderr);
    let nothing = discard();
    assert!(nothing.code == Some(2) && nothing.stderr.contains("no keys wait"), "{}", nothing.stderr);
    assert!(said(&mut headless(&world, &["creds", "manager"])).stdout.contains(&secret), "the first keys stay");
    let left_out = said(&mut headless(&world, &["vault", "recipients", "rm", "passphrase"]));
    assert_eq!(left_out.code, Some(0), "{}", left_out.stderr);
    assert!(!world.path(&format!("{VAULT}/passphrase.age")).exists());
    assert_eq!(let_in().code, Some(0), "another one may come");
}

#[test]
fn each_reveal_is_in_the_audit_log() {
    let (world, secret) = world("vault-reveal");
    add(&world, "manager");
    for _ in 0..2 {
        let shown = said(&mut headless(&world, &["vault", "show", "manager", "--reveal"]));
        assert!(shown.stdout.contains(&secret), "{}", shown.stderr);
    }
    assert_eq!(said(&mut headless(&world, &["vault", "show", "manager"])).code, Some(0), "sealed: nothing to tell");
    let told = world.run(&["audit", "query", "--event", "revealed", "--output", "json"]);
    let records: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2, "{}", told.stdout);
    let right = |one: &Value| one["profile"] == "manager" && one["key_id"].as_str().unwrap().starts_with("AKIA");
    assert!(records.iter().all(right) && !told.stdout.contains(&secret), "{}", told.stdout);
    assert_eq!(world.run(&["audit", "verify"]).code, Some(0));
}

#[test]
fn an_enrolled_agent_opens_the_store_without_a_passphrase() {
    if !have("ssh-agent") {
        skip!("ssh-agent: not installed");
    }
    let (world, secret) = world("vault-agent");
    let world = &world;
    add(world, "manager");
    world.write("bowline.toml", "[vault]\nagent = true\n");
    let open = world.path("plain-key");
    let made = said(world.foreign("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&open));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let socket = world.path("agent.sock");
    let _agent = world.start("ssh-agent", world.foreign("ssh-agent").arg("-D").arg("-a").arg(&socket));
    until(LIMIT, "the agent listens", || {
        said(world.foreign("ssh-add").arg("-q").arg(&open).env("SSH_AUTH_SOCK", &socket)).code == Some(0)
    });
    let public = world.path("plain-key.pub").display().to_string();
    let config = world.path("bowline.toml");
    let mut enrol = headless(world, &["vault", "recipients", "add", &public, "--ssh-agent"]);
    let enrolled = said(enrol.env("SSH_AUTH_SOCK", &socket).env("BOWLINE_CONFIG", &config));
    assert_eq!(enrolled.code, Some(0), "{}", enrolled.stderr);
    let mut opened = world.bowline(&["creds", "manager"]);
    let opened = said(opened.env("SSH_AUTH_SOCK", &socket).env("BOWLINE_CONFIG", &config));
    assert!(opened.stdout.contains(&secret), "{}", opened.stderr);
    let not_allowed = said(world.bowline(&["creds", "manager"]).env("SSH_AUTH_SOCK", &socket));
    assert_eq!(not_allowed.code, Some(5), "off by default: {}", not_allowed.stderr);
}

#[test]
fn fifty_who_add_at_once_leave_fifty_profiles() {
    let (world, _) = world("vault-fifty");
    add(&world, "first");
    let keys = world.path("keys").display().to_string();
    let adding: Vec<_> = (0..50)
        .map(|number| {
            let mut command = world.bowline(&["vault", "add", &format!("p{number}"), "--file", &keys]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in adding {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let listed = said(&mut headless(&world, &["vault", "list", "--output", "json"]));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["profiles"].as_array().unwrap().len(), 51);
    let config = fs::read_to_string(world.path(".aws/config")).unwrap();
    assert_eq!(config.matches("[profile p").count(), 50);
}

#[test]
fn an_add_that_is_killed_leaves_the_store_as_it_was_or_with_the_new_key() {
    let (world, secret) = world("vault-killed");
    add(&world, "first");
    for number in 0..25_u32 {
        let arguments = ["vault", "add", &format!("p{number}")];
        let mut child = world.bowline(&arguments).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&fs::read(world.path("keys")).unwrap()).unwrap();
        pause(Duration::from_micros(u64::from(number) * 700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let listed = said(&mut headless(&world, &["vault", "list", "--output", "json"]));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap_or_else(|_| panic!("{}", listed.stderr));
    let profiles: Vec<&str> =
        listed["profiles"].as_array().unwrap().iter().map(|kept| kept["profile"].as_str().unwrap()).collect();
    assert!(profiles.contains(&"first"), "{profiles:?}");
    for profile in &profiles {
        let shown = said(&mut headless(
            &world,
            &[
                "vault",
                "show",
                profile,
                "--reveal",
                "--recovery-key-file",
                world.path("recovery.txt").to_str().unwrap(),
            ],
        ));
        // One that was killed before it named itself in the config file has its keys in the store all the same.
        assert!(shown.stdout.contains(&secret) || shown.code == Some(2), "{profile}: {}", shown.stderr);
    }
    assert_eq!(listed["unreadable"], json!([]));
    add_again(&world);
}

/// After any crash the next command works.
fn add_again(world: &World) {
    until(LIMIT, "the vault takes keys again", || {
        vault(world, &["add", "after", "--file", world.path("keys").to_str().unwrap()]).code == Some(0)
    });
    assert_eq!(said(&mut headless(world, &["creds", "after"])).code, Some(0));
}
