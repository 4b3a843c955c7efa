//! The place of `iam-sorry` and `aws-creds`: the program called by these names, with that program's flags and files. What
//! stands in a file is compared byte by byte; who somebody is, the fake AWS says.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bowline_base::{Credentials, utc};
use bowline_host::clock;
use serde_json::Value;

use crate::harness::{Finished, World, is_private, until};

const LIMIT: Duration = Duration::from_secs(19);
const ACCOUNT: &str = "111122223333";
/// Made, so that what is around the manager's section can be seen to stay.
const BEFORE: &str = "# mine\n[other]\naws_access_key_id = AKIAOTHER  \naws_secret_access_key=oThEr/+x\n\t\n\n";
const AFTER: &str = "\n; and so on\n[last]\nregion=x\n";

/// A manager's machine: both names on the path, a protected SSH key, and the manager's keys if asked for.
struct Desk {
    world: World,
}

impl Desk {
    fn new(name: &str) -> Self {
        let world = World::new(name, |settings| settings.propagation_delay = Duration::from_millis(300));
        fs::create_dir(world.path("bin")).unwrap();
        for name in ["iam-sorry", "aws-creds"] {
            symlink(env!("CARGO_BIN_EXE_bowline"), world.path("bin").join(name)).unwrap();
        }
        let desk = Self { world };
        desk.ssh_key(".ssh/id_ed25519", "ed25519");
        desk
    }

    /// With `dirk-iam-sorry`, who has the rights that `--print-policy` prints; keys as they are, or sealed.
    fn with_manager(name: &str, sealed: bool) -> (Self, Credentials) {
        let desk = Self::new(name);
        let printed = desk.run(&["--print-policy", "dirk", "--account", ACCOUNT]);
        let document: Value = serde_json::from_str(&printed.stdout).unwrap();
        let keys = desk.world.cloud().add_limited_user("dirk-iam-sorry", &[document]).unwrap();
        desk.write_manager(&keys);
        desk.world.configure("[profile iam-sorry]\nregion = eu-central-1\n");
        if sealed {
            desk.good(&["--encrypt"]);
        }
        (desk, keys)
    }

    fn write_manager(&self, keys: &Credentials) {
        let lines = format!(
            "[iam-sorry]\n# manager\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = eu-west-1\n",
            keys.key_id,
            keys.secret_key.expose()
        );
        self.world.write(".aws/credentials", &format!("{BEFORE}{lines}{AFTER}"));
    }

    fn ssh_key(&self, path: &str, fixture: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vault/tests/fixtures").join(fixture);
        self.world.write(path, &fs::read_to_string(from).unwrap());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.world.foreign(self.world.path("bin/iam-sorry"));
        command.args(words);
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Finished {
        self.finish(&mut self.command(words))
    }

    /// Runs to the end. What it prints on stdout may be credentials, and is not kept.
    #[track_caller]
    fn finish(&self, command: &mut Command) -> Finished {
        let process = self.world.start("iam-sorry", command);
        let finished = process.finish(LIMIT);
        self.world.forget_output("iam-sorry");
        finished
    }

    #[track_caller]
    fn good(&self, words: &[&str]) -> Finished {
        let finished = self.run(words);
        assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.stderr);
        finished
    }

    /// Fails with 1 and the words, and nothing on stdout.
    #[track_caller]
    fn refused(&self, words: &[&str], why: &str) {
        let finished = self.run(words);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{words:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(why), "{words:?}: no `{why}` in: {}", finished.stderr);
    }

    fn file(&self) -> PathBuf {
        self.world.path(".aws/credentials")
    }

    fn credentials(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// The value of `key` in `[profile]` of the credentials file.
    fn value(&self, profile: &str, key: &str) -> String {
        let text = self.credentials();
        let section = text.split(&format!("[{profile}]\n")).nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        let line = section.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_default().to_owned()
    }

    fn iam_calls(&self) -> u64 {
        self.world.cloud().counts().sum("iam.")
    }

    /// Who `profile` is to AWS.
    #[track_caller]
    fn who(&self, profile: &str) -> String {
        let verified = self.world.run(&["verify", profile]);
        assert_eq!(verified.code, Some(0), "{}", verified.stderr);
        verified.stdout.lines().next().unwrap().to_owned()
    }
}

#[test]
fn sealing_changes_two_values_and_no_other_byte() {
    let (desk, keys) = Desk::with_manager("sorry-seal", false);
    let before = desk.credentials();
    fs::set_permissions(desk.file(), fs::Permissions::from_mode(0o644)).unwrap();
    let sealed = desk.good(&["--encrypt"]);
    assert!(sealed.stderr.contains("others could read"), "{}", sealed.stderr);
    let after = desk.credentials();
    assert!(is_private(&desk.file()));
    let [id, secret] = ["aws_access_key_id", "aws_secret_access_key"].map(|key| desk.value("iam-sorry", key));
    assert!(id.starts_with("__encrypted__:") && secret.starts_with("__encrypted__:"));
    let restored = after.replace(&id, keys.key_id.as_str()).replace(&secret, keys.secret_key.expose());
    assert_eq!(restored, before);
    assert!(after.starts_with(BEFORE) && after.ends_with(AFTER));
    let shown = desk.good(&["--show-decrypted", "iam-sorry"]);
    assert!(before.contains(&shown.stdout), "{}", shown.stdout);
    let shown = desk.good(&["--show-encrypted", "iam-sorry"]);
    assert!(after.contains(&shown.stdout) && !shown.stdout.contains(keys.secret_key.expose()));
    let shown = desk.good(&["--show-encrypted", "other"]);
    assert!(shown.stdout.contains("AKIAOTHER") && !shown.stdout.contains("oThEr"), "{}", shown.stdout);
    desk.refused(&["--encrypt"], "sealed already");
    desk.refused(&["--profile", "default", "--encrypt"], "cannot be sealed");
    desk.refused(&["--profile", "nobody", "--encrypt"], "no profile `nobody`");
    assert_eq!(desk.credentials(), after);
}

#[test]
fn only_good_ssh_keys_seal_and_only_the_right_one_opens() {
    let (desk, keys) = Desk::with_manager("sorry-keys", false);
    let before = desk.credentials();
    for (fixture, why) in [("ed25519-open", "ssh-keygen -p -f"), ("rsa2048", "3072"), ("ecdsa", "only ed25519")] {
        desk.ssh_key("key", fixture);
        desk.refused(&["--encrypt", "--ssh-key", "key"], why);
    }
    desk.refused(&["--encrypt", "--ssh-key", "nowhere"], "cannot read the SSH key `nowhere`");
    assert_eq!(desk.credentials(), before);
    desk.ssh_key("rsa", "rsa3072");
    let doubted = desk.good(&["--encrypt", "--ssh-key", "rsa"]);
    assert!(doubted.stderr.contains("4096"), "{}", doubted.stderr);
    desk.refused(&["--eval", "iam-sorry"], "cannot be opened");
    desk.refused(&["--show-decrypted", "iam-sorry"], "--ssh-key");
    let opened = desk.good(&["--eval", "iam-sorry", "--ssh-key", "rsa"]);
    assert!(opened.stdout.contains(keys.secret_key.expose()));
}

#[test]
fn while_the_keys_are_not_sealed_nothing_is_made_with_them() {
    let (desk, keys) = Desk::with_manager("sorry-open", false);
    let (before, calls) = (desk.credentials(), desk.iam_calls());
    for words in [
        ["dirk-bedrock"].as_slice(),
        &["dirk-bedrock", "--chown", "bob"],
        &["--show-encrypted", "iam-sorry"],
        &["--show-decrypted", "iam-sorry"],
        &["--profiles"],
        &["--fix-profiles"],
        &["--reset"],
        &[],
    ] {
        desk.refused(words, "not sealed");
    }
    assert_eq!((desk.credentials(), desk.iam_calls()), (before, calls));
    let out = desk.good(&["--eval", "iam-sorry"]);
    assert!(out.stdout.contains(keys.secret_key.expose()) && out.stderr.contains("not sealed"), "{}", out.stderr);
    let printed = desk.good(&["--print-policy", "dirk"]);
    assert!(printed.stdout.contains(&format!("arn:aws:iam::{ACCOUNT}:user/dirk-*")), "{}", printed.stdout);
    desk.good(&["--encrypt"]);
}

#[test]
fn the_command_line_is_that_programs() {
    let (desk, _) = Desk::with_manager("sorry-flags", true);
    let calls = desk.iam_calls();
    for words in [["iam-sorry"].as_slice(), &["--profile", "iam-sorry", "iam-sorry"], &["other", "--profile", "other"]]
    {
        desk.refused(words, "never make way for temporary credentials");
    }
    for words in [[""].as_slice(), &["  "], &["--eval", ""], &["dirk-a", "--chown", ""], &["--print-policy", " "]] {
        desk.refused(words, "is blank");
    }
    for hours in ["0", "37", "-1"] {
        desk.refused(&["dirk-a", "--duration", hours], "between 1 and 36");
    }
    for words in [["--nonsense"].as_slice(), &["--duration", "x", "dirk-a"], &["a", "b"], &["--reset", "--encrypt"]] {
        let finished = desk.run(words);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{words:?}");
    }
    let help = desk.good(&["--help"]);
    assert!(help.stdout.contains("Usage: iam-sorry"), "{}", help.stdout);
    let listed = desk.finish(desk.world.foreign(desk.world.path("bin/aws-creds")).arg("--profiles"));
    assert_eq!(listed.stdout, "build\ndeploy\nbuild-via-bowline\niam-sorry\n");
    desk.refused(&["--profile", "nobody", "--profiles"], "no profile `nobody`");
    assert_eq!(desk.iam_calls(), calls);
}

#[test]
fn a_user_is_made_and_its_credentials_are_that_users() {
    let (desk, _) = Desk::with_manager("sorry-name", true);
    desk.world.configure("[profile dirk-role]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = dirk-a\n");
    let (before, calls) = (desk.credentials(), desk.iam_calls());
    for (name, why) in [("alice", "outside the namespace"), ("dirk-", "a part of the name"), ("dirk-role", "is kept")] {
        desk.refused(&[name], why);
    }
    desk.refused(&["last-x", "--chown", "bob"], "outside the namespace");
    assert_eq!((desk.credentials(), desk.iam_calls()), (before.clone(), calls), "nothing was asked of IAM");
    let made = desk.good(&["dirk-bedrock", "--duration", "12"]);
    assert_eq!(made.stdout, "[profile dirk-bedrock]\nregion = eu-central-1\n");
    assert_eq!(desk.who("dirk-bedrock"), format!("arn:aws:iam::{ACCOUNT}:user/dirk-bedrock"));
    assert_eq!(desk.world.cloud().keys_of("dirk-bedrock"), [], "the key that it was made with is gone");
    let after = desk.credentials();
    assert!(after.starts_with(&before) && is_private(&desk.file()), "the rest of the file is as it was");
    assert_eq!(desk.value("dirk-bedrock", "credentials_owner"), "dirk-bedrock");
    let end = desk.value("dirk-bedrock", "expiration");
    assert!(end.ends_with("+00:00"), "{end}");
    let hours = (bowline_base::parse_timestamp(&end).unwrap() - clock::now().wall).get_seconds() / 3600;
    assert!((11..=12).contains(&hours), "{hours}");
    let first = desk.value("dirk-bedrock", "aws_access_key_id");
    let again = desk.good(&["dirk-bedrock"]);
    assert_eq!(again.stdout, "[profile dirk-bedrock]\nregion = eu-central-1\n");
    assert_ne!(desk.value("dirk-bedrock", "aws_access_key_id"), first);
    desk.refused(&["other"], "long-lived key");
    assert_eq!(desk.value("other", "aws_access_key_id"), "AKIAOTHER  ");
}

#[test]
fn who_was_given_away_is_its_owners_alone() {
    let (desk, _) = Desk::with_manager("sorry-chown", true);
    let _ = desk.world.cloud().add_user("bob");
    desk.good(&["dirk-a"]);
    desk.refused(&["dirk-a", "--chown", "nobody"], "no user `nobody`");
    desk.good(&["dirk-a", "--chown", "bob"]);
    until(LIMIT, "the new owner is seen", || desk.run(&["dirk-a"]).stderr.contains("belongs to `bob`"));
    let soon = utc(clock::now().wall + Duration::from_secs(60));
    let text = desk.credentials();
    let end = desk.value("dirk-a", "expiration");
    desk.world.write(".aws/credentials", &text.replace(&end, &soon));
    let (before, keys) = (desk.credentials(), desk.world.cloud().counts().sum("iam.CreateAccessKey"));
    for words in [["dirk-a"].as_slice(), &["dirk-a", "--chown", "dirk-iam-sorry"], &["--eval", "dirk-a"]] {
        desk.refused(words, "belongs to `bob`");
    }
    let after = desk.world.cloud().counts().sum("iam.CreateAccessKey");
    assert_eq!((desk.credentials(), after), (before, keys), "no credential came to be, and none was lost");
    desk.good(&["dirk-b", "--chown", "bob"]);
    assert!(desk.world.cloud().users().contains(&"dirk-b".to_owned()));
    until(LIMIT, "the new user is seen", || desk.run(&["dirk-b"]).stderr.contains("belongs to `bob`"));
}

#[test]
fn what_leaves_and_what_is_refused_is_in_the_audit_log() {
    let (desk, _) = Desk::with_manager("sorry-audit", true);
    desk.good(&["dirk-a"]);
    desk.good(&["--eval", "dirk-a"]);
    desk.refused(&["alice"], "outside the namespace");
    let records = |event: &str| {
        let found = desk.world.run(&["audit", "query", "--event", event, "--output", "json"]).stdout;
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let (issued, refused) = (records("issued"), records("refused"));
    let key = desk.value("dirk-a", "aws_access_key_id");
    assert!(!issued.is_empty() && issued.iter().all(|one| one["key_id"] == *key), "{issued:?}");
    assert_eq!(issued[0]["source"], "IAM user dirk-a, by the manager of profile iam-sorry");
    assert!(refused.len() == 1 && refused[0]["profile"] == "alice", "{refused:?}");
}

#[test]
fn eval_renews_what_is_about_to_end() {
    let (mut desk, _) = Desk::with_manager("sorry-eval", true);
    desk.good(&["dirk-a"]);
    let first = desk.value("dirk-a", "aws_access_key_id");
    let kept = desk.good(&["--eval", "dirk-a"]);
    assert!(kept.stdout.contains(&first), "36 hours are left");
    let ends_in = |seconds: u64| {
        let end = utc(clock::now().wall + Duration::from_secs(seconds));
        let text = desk.credentials();
        desk.world.write(".aws/credentials", &text.replace(&desk.value("dirk-a", "expiration"), &end));
    };
    ends_in(240);
    let fresh = desk.finish(desk.command(&["--eval"]).env("AWS_PROFILE", "dirk-a"));
    let second = desk.value("dirk-a", "aws_access_key_id");
    assert!(fresh.code == Some(0) && second != first && fresh.stdout.contains(&second), "{}", fresh.stderr);
    ends_in(240);
    desk.world.use_endpoint("http://127.0.0.1:1".to_owned());
    let old = desk.good(&["--eval", "dirk-a"]);
    assert!(old.stdout.contains(&second) && old.stderr.contains("end soon"), "{}", old.stderr);
    let text = desk.credentials().replace("credentials_owner = dirk-a\n", "");
    desk.world.write(".aws/credentials", &text);
    desk.refused(&["--eval", "dirk-a"], "credentials_owner");
    desk.refused(&["--eval", "nobody"], "no profile `nobody`");
}

#[test]
fn no_value_gets_out_of_its_quotes_in_any_shell() {
    let desk = Desk::new("sorry-shells");
    let nasty = "a'b$(touch pwned)`touch pwned`\"c\\d !*;&| ~{x,y} #e";
    let section = |name: &str, secret: &str| {
        format!("[{name}]\naws_access_key_id = ASIANASTY\naws_secret_access_key = {secret}\naws_session_token = t/+=\n")
    };
    desk.world.write(".aws/credentials", &format!("{}{}", section("nasty", nasty), section("usual", "AbC/+d")));
    let tool = desk.world.path("bin/iam-sorry");
    for shell in ["sh", "bash", "zsh", "dash"] {
        let script = |quote: &str, profile: &str| {
            let eval = format!("eval {quote}$({} --eval {profile}){quote}", tool.display());
            format!(
                "{eval}\nprintf '%s|%s|%s' \"$AWS_SECRET_ACCESS_KEY\" \"$AWS_SESSION_TOKEN\" \"${{AWS_PROFILE-unset}}\""
            )
        };
        if !Path::new("/usr/bin").join(shell).exists() {
            eprintln!("skipped: {shell} is not installed");
            continue;
        }
        for (quote, profile, expected) in [("\"", "nasty", nasty), ("\"", "usual", "AbC/+d"), ("", "usual", "AbC/+d")] {
            let mut command = desk.world.foreign(shell);
            command.args(["-c", &script(quote, profile)]).env("AWS_PROFILE", "before");
            let said = desk.finish(&mut command);
            assert_eq!(said.stdout, format!("{expected}|t/+=|unset"), "{shell} {profile}: {}", said.stderr);
        }
    }
    assert!(!desk.world.path("pwned").exists());
}

#[test]
fn policies_are_printed_with_what_an_administrator_does() {
    let (desk, _) = Desk::with_manager("sorry-policies", true);
    let json = |words: &[&str]| -> Value { serde_json::from_str(&desk.good(words).stdout).unwrap() };
    let mut unix = desk.command(&["--print-policy"]);
    let printed = desk.finish(unix.env("LOGNAME", "dirk"));
    assert!(printed.stderr.contains("aws iam create-policy"), "{}", printed.stderr);
    let ours: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(ours, json(&["--print-admin-policy", "dirk"]));
    assert_eq!(ours, json(&["--print-policy", "dirk", "--account", ACCOUNT]));
    let allowed = ours["Statement"].as_array().unwrap().iter().filter(|statement| statement["Effect"] == "Allow");
    let actions: String = allowed.map(|statement| statement["Action"].to_string()).collect();
    assert!(!actions.contains("Group") && !actions.contains('*') && !actions.contains("Untag"), "{actions}");
    let theirs = json(&["--print-policy", "dirk", "--style", "iam-sorry"]);
    assert!(theirs.to_string().contains("PreventTagRemovalOrModification"));
    assert!(!json(&["--print-refresh-policy", "dirk"]).to_string().contains("CreateUser"));
    desk.world.configure("[profile dirk-web]\nrole_arn = arn:aws:iam::111122223333:role/iam-sorry-dirk-web\n");
    let calls = desk.world.cloud().counts().sum("");
    assert!(json(&["--print-lambda-policy", "dirk-web"]).to_string().contains("function:dirk-*"));
    desk.refused(&["--print-lambda-policy", "build"], "no `role_arn`");
    desk.refused(&["--print-policy=-dirk", "--account", ACCOUNT], "begins or ends with");
    assert_eq!(desk.world.cloud().counts().sum(""), calls, "no call is made for these");
}

#[test]
fn sections_are_added_and_removed_and_nothing_else_moves() {
    let (desk, _) = Desk::with_manager("sorry-sections", true);
    let config = || fs::read_to_string(desk.world.path(".aws/config")).unwrap();
    let (before, credentials) = (config(), desk.credentials());
    let fixed = desk.good(&["--fix-profiles"]);
    assert_eq!(fixed.stdout, "last: region = eu-central-1\nother: region = eu-central-1\n");
    assert!(config().starts_with(&before) && config().contains("[profile other]\nregion = eu-central-1\n"));
    assert_eq!(desk.credentials(), credentials);
    let reset = desk.good(&["--reset"]);
    assert!(!config().contains("iam-sorry") && desk.credentials().starts_with(BEFORE));
    assert!(desk.credentials().ends_with(AFTER.trim_start()), "{}", desk.credentials());
    let copies = fs::read_dir(desk.world.path(".aws")).unwrap().flatten().map(|entry| entry.path());
    let copy = copies.into_iter().find(|path| path.to_string_lossy().contains("credentials.iam-sorry-")).unwrap();
    assert!(is_private(&copy) && reset.stderr.contains(copy.to_str().unwrap()));
    assert!(credentials.contains(&fs::read_to_string(copy).unwrap()));
    desk.refused(&["--reset"], "no profile `iam-sorry`");
}

#[test]
fn an_administrator_makes_a_manager_whose_key_is_replaced_at_the_first_start() {
    let desk = Desk::new("sorry-bootstrap");
    let administrator = desk.world.cloud().add_user("root-of-all");
    let lines = format!(
        "[admin]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        administrator.key_id,
        administrator.secret_key.expose()
    );
    desk.world.write(".aws/credentials", &lines);
    desk.refused(&["--create-iam-sorry", "dirk-iam-sorry"], "administrator");
    desk.refused(&["--profile", "admin", "--create-iam-sorry", "dirk"], "no `-`");
    let made = desk.good(&["--profile", "admin", "--create-iam-sorry", "dirk-iam-sorry"]);
    desk.refused(&["--profile", "admin", "--create-iam-sorry", "dirk-iam-sorry"], "already");
    let first = desk.world.cloud().keys_of("dirk-iam-sorry");
    let exported = |words: &[&str]| {
        let mut command = desk.command(words);
        for line in made.stdout.lines().filter(|line| line.starts_with("export ")) {
            let (name, value) = line.trim_start_matches("export ").split_once('=').unwrap();
            command.env(name, value.trim_matches(['\'', ';']));
        }
        command
    };
    let before = desk.credentials();
    desk.ssh_key("open", "ed25519-open");
    let unprotected = desk.finish(&mut exported(&["--ssh-key", "open"]));
    assert_eq!(unprotected.code, Some(1), "{}", unprotected.stderr);
    assert_eq!((desk.world.cloud().keys_of("dirk-iam-sorry"), desk.credentials()), (first.clone(), before.clone()));
    // A key that was made a moment ago may be unknown yet, and then nothing is stored.
    until(LIMIT, "the new key is known", || {
        let tried = desk.finish(&mut exported(&[]));
        assert!(tried.code == Some(0) || tried.stderr.contains("InvalidClientTokenId"), "{}", tried.stderr);
        tried.code == Some(0)
    });
    assert!(
        desk.credentials().starts_with(&before) && desk.value("iam-sorry", "aws_access_key_id").starts_with("__enc")
    );
    let keys = desk.world.cloud().keys_of("dirk-iam-sorry");
    assert_eq!(keys.iter().filter(|(_, active)| *active).count(), 1, "{keys:?}");
    assert!(keys.contains(&(first[0].0.clone(), false)), "the key that was shown sleeps: {keys:?}");
    assert_eq!(desk.value("iam-sorry", "credentials_owner"), "dirk-iam-sorry");
    let calls = desk.world.cloud().counts().sum("");
    desk.refused(&["alice"], "outside the namespace");
    assert_eq!(desk.world.cloud().counts().sum(""), calls, "who the manager is stands in the file");
    assert_eq!(desk.who("dirk"), format!("arn:aws:iam::{ACCOUNT}:user/dirk"));
    desk.good(&["dirk-bedrock"]);
}

#[test]
fn without_keys_and_without_a_profile_it_says_what_to_do() {
    let desk = Desk::new("sorry-nothing");
    desk.refused(&[], "no profile `iam-sorry`");
    desk.refused(&["dirk-a"], "no profile `iam-sorry`");
    assert!(!desk.file().exists());
    let version = desk.good(&["--version"]);
    assert!(version.stdout.starts_with("bowline "), "{}", version.stdout);
}
