//! `bowline doctor --bundle`: everything that helps is in it, and nothing that is secret, in whatever form.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::harness::{World, is_private, python, skip};

/// Made up, and in two parts so that no search for keys finds this file.
const KEY: &str = concat!("AKIA", "Q3EGRT4ZK7XPLM2N");
const SECRET: &str = concat!("q7Yz0pLk3/Xw9VtR5nMb", "2sDfGh8jKl1+AaZzQwEr");
/// Planted where a person may have put them.
const CANARIES: [&str; 8] = [
    "hook-Zq8rT2vXk5",
    "T00000000/B0/xoxp",
    "pw-Jd72ksLq",
    "sess-9Qm4ZxVb7Kp2",
    "ann.secretive",
    "S3cretPw!",
    "9f3c-77ab-1d",
    "Tr0ub4dor&3",
];

fn extracted(world: &World, archive: &Path) -> PathBuf {
    let place = world.path("extracted");
    fs::create_dir_all(&place).unwrap();
    let opened = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&place).output().unwrap();
    assert!(opened.status.success() && opened.stderr.is_empty(), "{opened:?}");
    place.join("bowline-support")
}

/// As it is, in base64 at any alignment, in hex, and URL-encoded.
fn forms(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let url = secret
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    let shifted = |shift: usize| {
        let whole = BASE64_STANDARD.encode([&vec![b'x'; shift], secret.as_bytes()].concat());
        // The edges hold bits of what stands around.
        whole[4..whole.len() - 4].to_owned()
    };
    [secret.to_owned(), hex, url.collect()].into_iter().chain((0..3).map(shifted)).collect()
}

#[test]
fn a_bundle_has_what_helps_and_no_secret() {
    let world = World::new("support-bundle", |_| {});
    let tokens = world.sign_in();
    let credentials = format!(
        "[old]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {}\n",
        CANARIES[3]
    );
    world.write(".aws/credentials", &credentials);
    world.write("hook.secret", CANARIES[0]);
    let [_, path, _, _, person, user, header, comment] = CANARIES;
    let hook = world.path("hook.secret").display().to_string();
    let more = format!(
        "[[artifacts.repository]]\nfrom = \"s3://maven\"\n[notify]\nwebhook = {{ url = \"https://hooks.example/{path}\", secret = {{ file = \"{hook}\" }} }}\n\
         # call {person}@corp.example\n# smtp password: {comment}\n\
         command = [\"/bin/true\", \"-u\", \"ci:{user}\", \"--header\", \"X-Api-Key: {header}\"]\n"
    );
    let daemon = world.daemon(&more);
    assert_eq!(world.run(&["creds", "build"]).code, Some(0));
    let archive = world.path("support.tar.gz");
    let config = daemon.config.display().to_string();
    let mut doctor = world.bowline(&["doctor", "--config", &config, "--bundle", archive.to_str().unwrap()]);
    let proxy = format!("http://me:{}@127.0.0.1:1", CANARIES[2]);
    doctor.env("AWS_SECRET_ACCESS_KEY", SECRET).env("HTTP_PROXY", &proxy);
    let end = world.run_foreign("doctor", &mut doctor);
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{}", end.stderr);
    assert!(is_private(&archive) && end.stderr.contains("tar -xzf"), "{}", end.stderr);
    let place = extracted(&world, &archive);
    let file = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (name, words) in [
        ("README.txt", "bowline "),
        ("doctor.txt", "daemon.running"),
        ("status.json", "\"supervision\""),
        ("troubles.json", "["),
        ("metrics.txt", "bowline_job_up"),
        ("bowline.toml", "from = \"s3://maven\""),
        ("bowline.toml", "https://hooks.example/[hidden]"),
        ("bowline.toml", "notify.command = [hidden]"),
        ("aws-config.txt", "[profile build]"),
        ("aws-config.txt", "aws_secret_access_key = [not shown]"),
        ("environment.txt", "AWS_SECRET_ACCESS_KEY is set"),
        ("files.txt", "credentials"),
        ("audit.txt", "\"bad\": null"),
    ] {
        assert!(file(name).contains(words), "no `{words}` in {name}:\n{}", file(name));
    }
    let mut secrets: Vec<String> = CANARIES.map(ToOwned::to_owned).into();
    secrets.extend([KEY.to_owned(), SECRET.to_owned(), tokens.access_token.expose().to_owned()]);
    secrets.extend(world.cloud().secrets_in_play().iter().map(|secret| secret.expose().to_owned()));
    let names = fs::read_dir(&place).unwrap().flatten().map(|entry| entry.path());
    for path in names {
        let text = fs::read_to_string(&path).unwrap();
        for form in secrets.iter().flat_map(|secret| forms(secret)).filter(|form| form.len() >= 6) {
            assert!(!text.contains(&form), "a secret is in {}", path.display());
        }
    }
    let Some(python) = python() else { skip!("Python's tarfile: no target/py") };
    let mut listed = python.program(&world);
    listed.args(["-c", "import sys, tarfile; print(len(tarfile.open(sys.argv[1]).getnames()))"]).arg(&archive);
    assert_eq!(world.run_foreign("tarfile", &mut listed).stdout.trim(), "10");
}

/// One makes a bundle when something is wrong: a secret where none belongs, a file that is no TOML, a variable with a
/// password that nothing can be begun with.
#[test]
fn a_bundle_of_what_is_wrong_is_made_and_tells_no_secret() {
    let world = World::new("support-bundle-wrong", |_| {});
    let archive = world.path("support.tar.gz");
    let misplaced = "[vpn]\nmaster-key = \"hunter2secret\"\nstore = \"redis://:hunter2secret@db\"\n[artifacts]\ntoken = \"correct-horse-battery\"\n";
    for (name, text, finding) in [
        ("misplaced.toml", misplaced, "   2  vpn.master-key = [hidden]"),
        ("broken.toml", "password = correct-horse-battery\n[vpn]\nmaster-key = \"hunter2secret\n", "it is not TOML"),
    ] {
        world.write(name, text);
        let config = world.path(name).display().to_string();
        let mut doctor =
            world.bowline(&["doctor", "files", "--config", &config, "--bundle", archive.to_str().unwrap()]);
        doctor.env("AWS_ENDPOINT_URL", "http://ann:pw-Jd72ksLq@127.0.0.1:1");
        let end = world.run_foreign("doctor", &mut doctor);
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{}", end.stderr);
        let place = extracted(&world, &archive);
        let shown = fs::read_to_string(place.join("bowline.toml")).unwrap();
        assert!(shown.contains(finding), "{shown}");
        let found = fs::read_to_string(place.join("doctor.txt")).unwrap();
        assert!(found.contains("AWS_ENDPOINT_URL") && found.contains("more than a host"), "{found}");
        for path in fs::read_dir(&place).unwrap().flatten().map(|entry| entry.path()) {
            let text = fs::read_to_string(&path).unwrap() + &end.stderr;
            for secret in ["hunter2secret", "correct-horse-battery", "pw-Jd72ksLq"] {
                assert!(!text.contains(secret), "a secret is in {} of {name}:\n{text}", path.display());
            }
        }
    }
}
