//! Awkward surroundings: disks that are full or read-only, clocks that are off, old and incomplete profiles.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::harness::{World, fetch, skip};

/// A small file system of its own below the home folder; gone when dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None` where we may not mount.
    fn tmpfs(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"], path).then(|| Self(path.to_owned()))
    }

    fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], &self.0));
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        use std::io::Write as _;
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[b'x'; 512]).is_ok() {}
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, since a daemon may still watch it; a failure here would hide the one that matters.
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

fn mount(options: &[&str], path: &Path) -> bool {
    let mounted = Command::new("mount").args(options).arg(path).output();
    mounted.is_ok_and(|output| output.status.success())
}

/// Signed in long ago, in a token cache that `spoil` makes unwritable: two commands in a row must work on one refresh.
#[track_caller]
fn a_token_cache_that_takes_no_writes(name: &str, spoil: impl Fn(&Mount)) {
    let world = World::new(name, |_| {});
    let cache = world.path(".aws/sso/cache");
    let Some(mount) = Mount::tmpfs(&cache) else { skip!("{name}: not allowed to mount a tmpfs") };
    world.sign_in_long_ago();
    let before = world.token();
    spoil(&mount);
    for _ in ["refreshes", "remembers"] {
        let creds = world.run(&["creds", "build"]);
        assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    }
    assert_eq!(world.token(), before, "the old file is whole");
    let counts = world.cloud().counts();
    assert_eq!(counts.sum("sso-oidc.CreateToken.refresh_token"), 1, "{counts:?}");
    world.cloud().expire_access_tokens(clock::now());
    world.cloud().expire_keys(clock::now());
    let later = world.run(&["creds", "deploy"]);
    assert_eq!(later.code, Some(0), "the rotated token was not lost: {}", later.stderr);
    assert_eq!(world.cloud().counts().sum("sso-oidc.CreateToken.refresh_token.reused"), 0);
}

#[test]
fn a_full_disk_under_the_token_cache_loses_no_session() {
    a_token_cache_that_takes_no_writes("disk-full", Mount::fill);
}

#[test]
fn a_read_only_token_cache_loses_no_session() {
    a_token_cache_that_takes_no_writes("read-only", Mount::make_read_only);
}

#[test]
fn a_clock_ten_minutes_off_either_way_does_no_harm() {
    for (name, minutes) in [("clock-behind", 10), ("clock-ahead", -10)] {
        let world = World::new(name, |settings| settings.clock_skew = jiff::SignedDuration::from_mins(minutes));
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        world.cloud().put_object(clock::now(), "maven", "a.jar", "one");
        assert_eq!(world.run(&["login", "build", "--device"]).code, Some(0));
        let chain = world.run(&["creds", "deploy"]);
        assert_eq!(chain.code, Some(0), "{name}: {}", chain.stderr);
        let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
        let answer = fetch(daemon.artifacts, "/a.jar").unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}

#[test]
fn a_bucket_in_another_region_is_told_and_served_once_the_region_is_set() {
    const REPOSITORY: &str = "[[artifacts.repository]]\nfrom = \"s3://maven\"\n";
    let world = World::new("region", |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("eu-west-1"));
    world.cloud().put_object(clock::now(), "maven", "a.jar", "one");
    world.sign_in();
    let daemon = world.daemon(REPOSITORY);
    let answer = fetch(daemon.artifacts, "/a.jar").unwrap();
    assert!(answer.status != 404 && answer.text().contains("eu-west-1"), "{}: {}", answer.status, answer.text());
    drop(daemon);
    let daemon = world.daemon(&format!("region = \"eu-west-1\"\n{REPOSITORY}"));
    let answer = fetch(daemon.artifacts, "/a.jar").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
}

/// Before `[sso-session]` there was no refresh token, and the cache file was named after the start URL.
#[test]
fn an_old_profile_without_a_session_works_until_its_token_ends() {
    const URL: &str = "https://legacy.awsapps.com/start";
    let world = World::new("legacy", |_| {});
    world.configure(&format!(
        "[profile old]\nsso_start_url = {URL}\nsso_region = us-east-1\nsso_account_id = 111122223333\n\
         sso_role_name = build\nregion = us-east-1\n"
    ));
    let tokens = world.cloud().sign_in(clock::now());
    let file = serde_json::json!({
        "startUrl": URL,
        "region": "us-east-1",
        "accessToken": tokens.access_token.expose(),
        "expiresAt": bowline_base::utc(clock::now().wall + Duration::from_secs(600)),
    });
    let name: String = Sha1::digest(URL).iter().map(|byte| format!("{byte:02x}")).collect();
    world.write(&format!(".aws/sso/cache/{name}.json"), &file.to_string());
    let creds = world.run(&["creds", "old"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    let json: Value = serde_json::from_str(&creds.stdout).unwrap();
    assert_eq!(json["Version"], 1);
}

#[test]
fn a_session_that_is_not_configured_is_named() {
    let world = World::new("no-session", |_| {});
    world.configure(
        "[profile lost]\nsso_session = nowhere\nsso_account_id = 111122223333\nsso_role_name = build\nregion = us-east-1\n",
    );
    let creds = world.run(&["creds", "lost"]);
    assert_eq!((creds.code, creds.stdout.as_str()), (Some(2), ""), "{}", creds.stderr);
    assert!(creds.stderr.contains("nowhere"), "{}", creds.stderr);
}
