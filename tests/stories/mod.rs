//! The people whom Bowline is for, each with a script beside this file: the program under test, on the PATH, and one of
//! others.
//!
//! Here is only what the world gives them: an account, a bucket, a provider's address. Every story is told twice: with
//! its job it ends well, and without its job it fails for want of that, so that none of them can pass by itself.

use std::{fs, os::unix::fs::symlink, path::Path, thread, time::Duration};

use bowline_base::Credentials;
use bowline_fakeaws::{Bucket, NewConnection, NewGateway, Settings, VpnManners};
use bowline_host::clock;
use serde_json::Value;

use crate::{
    harness::{Finished, World, free_address, python, skip},
    vpn,
};

/// Under the runner's 20 s.
const LIMIT: Duration = Duration::from_secs(19);

/// What the world of a story is like, and what is in it before the story begins.
struct Setting {
    aws: fn(&mut Settings),
    furnish: fn(&World),
    /// What the story ends with where its job is off.
    missed: &'static str,
}

#[test]
fn a_laptop_signs_in_once_and_builds_through_renewals() {
    let aws = |settings: &mut Settings| settings.role_lifetime = Duration::from_secs(4);
    tell("laptop", &Setting { aws, furnish: bucket, missed: "the repository does not answer" });
}

#[test]
fn a_router_has_its_vpn_follow_the_address() {
    let aws = |settings: &mut Settings| {
        settings.vpn = VpnManners { modify_time: Duration::from_millis(300), ..VpnManners::default() };
    };
    let missed = "not within 3 s: the VPN is at the new address, and the old gateway is gone";
    tell("router", &Setting { aws, furnish: site, missed });
}

#[test]
fn a_ci_host_has_a_token_and_no_key() {
    let aws = |settings: &mut Settings| {
        settings.web_identity_tokens = ["first.jwt", "second.jwt"].map(|token| token.to_owned().into()).into();
    };
    tell("ci", &Setting { aws, furnish: |_| {}, missed: "the job has no credentials" });
}

#[test]
fn an_ops_lead_hands_out_users_of_a_namespace() {
    tell("lead", &Setting { aws: |_| {}, furnish: manager, missed: "no credentials for the user" });
}

#[test]
fn a_fleet_of_containers_has_no_secret() {
    tell(
        "fleet",
        &Setting {
            aws: |settings| settings.role_lifetime = Duration::from_secs(4),
            furnish: |world| drop(world.sign_in()),
            missed: "a container has no credentials",
        },
    );
}

#[test]
fn an_auditor_is_told_who_got_what_and_proves_it() {
    let furnish = |world: &World| drop(world.sign_in());
    tell("auditor", &Setting { aws: |_| {}, furnish, missed: "nobody can be asked who got what" });
}

#[test]
fn a_traveller_comes_out_somewhere_else_and_leaves_no_trace() {
    if let Some(why) = bowline_rig::missing() {
        skip!("the story of the traveller: {why}");
    }
    both(vpn::traveller, "the server is not there");
}

/// Tells the story `name`.
#[track_caller]
fn tell(name: &str, setting: &Setting) {
    if python().is_none() {
        skip!("the story of the {name}: no target/py for boto3 and the AWS CLI");
    }
    both(|job| run(name, job, setting), setting.missed);
}

/// Once with its job and, beside that, once without, where it has to fail for want of that and of nothing else.
#[track_caller]
fn both(story: impl Fn(&str) -> Finished + Sync, missed: &str) {
    let (with, without) = thread::scope(|scope| {
        let without = scope.spawn(|| story("off"));
        (story("on"), without.join().unwrap())
    });
    assert_eq!(with.code, Some(0), "{}{}", with.stdout, with.stderr);
    let last = without.stdout.lines().last().unwrap_or_default();
    let said = format!("{}{}", without.stdout, without.stderr);
    assert_eq!((without.code, last), (Some(1), format!("FAILED: {missed}").as_str()), "{said}");
}

fn run(name: &str, job: &str, setting: &Setting) -> Finished {
    let world = World::new(&format!("story-{name}-{job}"), setting.aws);
    (setting.furnish)(&world);
    fs::create_dir(world.path("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_bowline"), world.path("bin/bowline")).unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let program = python().unwrap().program(&world).get_program().to_owned();
    let mut script = world.foreign("sh");
    script.arg(tests.join(format!("stories/{name}.sh"))).env("JOB", job);
    script.env("PYTHON", program).env("CALLERS", tests.join("python"));
    script.env("STATUS", free_address().to_string()).env("PORT", free_address().to_string());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", world.path("bin").display());
    world.start(name, script.env("PATH", path)).finish(LIMIT)
}

/// A repository with two versions of a jar. Nobody has signed in yet.
fn bucket(world: &World) {
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    for version in ["1.0", "1.1"] {
        let key = format!("releases/org/acme/knot/{version}/knot-{version}.jar");
        world.cloud().put_object(clock::now(), "maven", &key, format!("the knot of {version}").into_bytes());
    }
}

/// A connection at the address that the site has at first, and the keys of its router.
fn site(world: &World) {
    let tags = vec![("bowline:owner".to_owned(), "site-1".to_owned()), ("Name".to_owned(), "Home".to_owned())];
    let address = Some("198.51.100.1".parse().unwrap());
    let gateway =
        world.cloud().add_customer_gateway(&NewGateway { address, tags: tags.clone(), ..NewGateway::default() });
    world.cloud().add_vpn_connection(&NewConnection { customer_gateway: gateway, tags, ..NewConnection::default() });
    keep(world, "site", &world.cloud().add_user("router"));
}

/// `dirk-mgr` with what the program's own policy allows.
fn manager(world: &World) {
    let printed = world.run(&["policy", "admin", "dirk", "--account", "111122223333"]);
    let policy: Value = serde_json::from_str(&printed.stdout).unwrap();
    keep(world, "iam-sorry", &world.cloud().add_limited_user("dirk-mgr", &[policy]).unwrap());
}

/// A long-lived key, where the AWS CLI keeps such.
fn keep(world: &World, profile: &str, key: &Credentials) {
    let (id, secret) = (key.key_id.as_str(), key.secret_key.expose());
    let section = format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    world.write(".aws/credentials", &section);
    world.configure(&format!("[profile {profile}]\nregion = us-east-1\n"));
}
