//! boto3 and the AWS CLI as users run them: through `credential_process`, and with SSO of their own beside the daemon.

use std::time::Duration;

use crate::harness::{Running, World, aws_cli_2, python, skip};

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
fn the_aws_cli_2_of_debian_calls_as_the_role_through_credential_process() {
    let world = World::new("aws-cli-2", |_| {});
    let Some(mut cli) = aws_cli_2(&world) else { skip!("the AWS CLI 2: no Debian package awscli in /usr/bin/aws") };
    world.sign_in();
    // It is older than `AWS_ENDPOINT_URL`.
    cli.args(["--endpoint-url", world.endpoint(), "--profile", "build-via-bowline"]);
    cli.args(["sts", "get-caller-identity", "--output", "text", "--query", "Arn"]);
    let arn = all(vec![world.start("aws", &mut cli)]).remove(0);
    assert!(arn.contains(":assumed-role/") && arn.contains("build"), "{arn}");
}

/// What the clients make of a token by themselves, and what they get for it from us.
#[test]
fn boto3_and_the_aws_cli_are_the_same_role_by_a_token_file_and_through_us() {
    let Some(python) = python() else { skip!("web identity in boto3 and the AWS CLI: no target/py") };
    let world = World::new("web-identity", |settings| settings.web_identity_tokens = vec!["a.jwt".to_owned().into()]);
    world.write("jwt", "a.jwt");
    world.configure(&format!(
        "[profile ci]\nrole_arn = arn:aws:iam::111122223333:role/ci\nrole_session_name = job-7\nregion = us-east-1\n\
         web_identity_token_file = {}\n\n[profile ci-via-bowline]\ncredential_process = {} creds ci\nregion = us-east-1\n",
        world.path("jwt").display(),
        env!("CARGO_BIN_EXE_bowline")
    ));
    let mut processes = Vec::new();
    for profile in ["ci", "ci-via-bowline"] {
        processes.push(world.start("boto3", python.script(&world, "caller.py").arg(profile)));
        let cli = ["sts", "get-caller-identity", "--profile", profile, "--output", "text", "--query", "Arn"];
        processes.push(world.start("aws", python.module(&world, "awscli").args(cli)));
    }
    for arn in all(processes) {
        assert_eq!(arn.trim(), "arn:aws:sts::111122223333:assumed-role/ci/job-7");
    }
    // Two clients by themselves, and one call of ours for the other two.
    assert_eq!(world.cloud().counts().sum("sts.AssumeRoleWithWebIdentity.ok"), 3);
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
