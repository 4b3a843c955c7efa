//! boto3 and the AWS CLI as users run them: through `credential_process`, and with SSO of their own beside the daemon.

use std::time::Duration;

use crate::harness::{Running, World, python, skip};

const LIMIT: Duration = Duration::from_secs(18);

/// Ends every process; what each printed.
#[track_caller]
fn all(processes: Vec<Running>) -> Vec<String> {
    let ends = processes.into_iter().map(|process| process.finish(LIMIT));
    ends.map(|end| {
        assert_eq!(end.code, Some(0), "{}{}", end.stdout, end.stderr);
        end.stdout
    })
    .collect()
}

#[test]
fn boto3_and_the_aws_cli_call_as_the_role_through_credential_process() {
    let Some(python) = python() else { skip!("boto3 and the AWS CLI: no target/py") };
    let world = World::new("credential-process", |_| {});
    world.sign_in();
    let boto3 = world.start("boto3", python.script(&world, "caller.py").arg("build-via-bowline"));
    let cli = ["sts", "get-caller-identity", "--profile", "build-via-bowline", "--output", "text", "--query", "Arn"];
    let cli = world.start("aws", python.module(&world, "awscli").args(cli));
    for arn in all(vec![boto3, cli]) {
        assert!(arn.contains(":assumed-role/") && arn.contains("build"), "{arn}");
    }
}

#[test]
fn eight_boto3_on_an_expired_token_refresh_it_once() {
    let Some(python) = python() else { skip!("eight boto3 processes: no target/py") };
    let world = World::new("eight-at-once", |_| {});
    world.sign_in_long_ago();
    let start = |number| {
        let mut script = python.script(&world, "caller.py");
        world.start(&format!("boto3-{number}"), script.arg("build-via-bowline"))
    };
    assert_eq!(all((0..8).map(start).collect()).len(), 8);
    let counts = world.cloud().counts();
    assert_eq!(counts.sum("sso-oidc.CreateToken"), 1, "{counts:?}");
    assert_eq!(counts.sum("sso-oidc.CreateToken.refresh_token.ok"), 1, "{counts:?}");
}

#[test]
fn fifty_creds_at_once_make_one_call_each_way() {
    let world = World::new("fifty-at-once", |_| {});
    world.sign_in_long_ago();
    let start = |_| world.start("creds", &mut world.bowline(&["creds", "build"]));
    let outputs = all((0..50).map(start).collect());
    // What they printed is credentials by design: keep it out of the search for leaks.
    world.forget_output("creds");
    let keys: std::collections::BTreeSet<String> = outputs
        .iter()
        .map(|json| serde_json::from_str::<serde_json::Value>(json).unwrap()["AccessKeyId"].to_string())
        .collect();
    let counts = world.cloud().counts();
    assert_eq!(counts.sum("sso-oidc.CreateToken"), 1, "{counts:?}");
    assert_eq!(counts.sum("sso.GetRoleCredentials"), 1, "{counts:?}");
    assert_eq!(keys.len(), 1);
}

/// Times are scaled 600 to 1, for both sides: a token lives 6 s instead of an hour, and botocore's own limits of 15 and
/// 10 minutes are 1.5 s and 1 s (set in native_sso.py).
#[test]
fn native_sso_clients_beside_the_daemon_never_need_to_refresh() {
    let Some(python) = python() else { skip!("native SSO in botocore: no target/py") };
    let world = World::new("native-sso", |settings| settings.access_token_lifetime = Duration::from_secs(6));
    world.sign_in();
    world.cloud().add_bucket("maven", bowline_fakeaws::Bucket::memory("us-east-1"));
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    let start = |number| {
        let mut script = python.script(&world, "native_sso.py");
        world.start(&format!("botocore-{number}"), script.args(["build", "11"]))
    };
    for report in all((0..8).map(start).collect()) {
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["refreshes"], 0, "{report}");
        assert!(report["calls"].as_u64() >= Some(3), "{report}");
    }
    let counts = world.cloud().counts();
    let refreshes = counts.sum("sso-oidc.CreateToken.refresh_token.ok");
    assert!(refreshes >= 2, "the daemon renewed over several lives: {counts:?}");
    assert_eq!(counts.sum("sso-oidc.CreateToken"), refreshes, "no refresh failed: {counts:?}");
    assert_eq!(counts.sum("sso.GetRoleCredentials"), counts.sum("sso.GetRoleCredentials.ok"), "{counts:?}");
    assert_eq!(daemon.stop().0.code, Some(0));
}
