//! Sources beside SSO: container, instance, token file, MFA device, and profiles written after a sign-in. boto3 says who
//! the credentials are for, so that they are good for more than our own reading.

use std::{fs, process::Command, time::Duration};

use bowline_fakeaws::Bucket;
use bowline_host::clock;
use serde_json::{Value, json};

use crate::harness::{Finished, World, fetch, free_address, skip, until};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/me";

/// `bowline creds PROFILE` with more variables.
#[track_caller]
fn creds(world: &World, profile: &str, variables: &[(&str, &str)]) -> Finished {
    let mut command = world.bowline(&["creds", profile]);
    command.env_remove("AWS_EC2_METADATA_DISABLED").envs(variables.iter().copied());
    let finished = world.run_foreign("sources", &mut command);
    world.forget_output("sources");
    finished
}

#[track_caller]
fn key_of(finished: &Finished) -> String {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let json: Value = serde_json::from_str(&finished.stdout).unwrap();
    json["AccessKeyId"].as_str().unwrap().to_owned()
}

#[test]
fn the_container_the_instance_and_a_token_file_are_sources_of_the_environment() {
    let world = World::new("surroundings-of", |settings| {
        settings.container_token = Some("T".to_owned().into());
        settings.web_identity_tokens = vec!["jwt".to_owned().into()];
    });
    world.write("token", "T\n");
    world.write("jwt", "jwt\n");
    let (token, jwt) = (world.path("token"), world.path("jwt"));
    let container = format!("{}/v1/credentials", world.endpoint());
    let at = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    key_of(&creds(&world, "env", &at));
    key_of(&creds(&world, "env", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.endpoint())]));
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci");
    key_of(&creds(&world, "env", &[role, ("AWS_WEB_IDENTITY_TOKEN_FILE", jwt.to_str().unwrap())]));
    key_of(&creds(&world, "env", &[at[0], at[1], role]));
    let counts = world.cloud().counts();
    for call in
        ["container.Credentials.ok", "imds.Credentials.ok", "sts.AssumeRoleWithWebIdentity.ok", "sts.AssumeRole.ok"]
    {
        assert_eq!(counts.sum(call), 1, "{call}");
    }
}

#[test]
fn a_code_is_asked_for_on_the_terminal_or_told_to_be_missing() {
    let world = World::new("mfa", |settings| settings.mfa_roles = vec!["root".to_owned()]);
    let key = world.cloud().add_user("me");
    world.configure(&format!(
        "[profile root]\nrole_arn = arn:aws:iam::111122223333:role/root\nsource_profile = root\nmfa_serial = {DEVICE}\n\
         aws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.key_id,
        key.secret_key.expose()
    ));
    world.cloud().patch_settings(&json!({"mfa_devices": {DEVICE: ["123456"]}})).unwrap();
    let mut alone = world.foreign("setsid");
    let nobody = world.run_foreign("nobody", alone.args(["--wait", env!("CARGO_BIN_EXE_bowline"), "creds", "root"]));
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(5), ""), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("bowline creds root --mfa-code CODE"), "{}", nobody.stderr);
    let script = format!("{} creds root > out.json", env!("CARGO_BIN_EXE_bowline"));
    let pty = "import os, pty, sys\npid, fd = pty.fork()\nif pid == 0: os.execvp('sh', ['sh', '-c', sys.argv[1]])\n\
               seen = b''\nwhile b': ' not in seen: seen += os.read(fd, 999)\nos.write(fd, b'123456\\n')\n\
               sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let asked = world.run_foreign("terminal", world.foreign("python3").args(["-c", pty, &script]));
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    let printed: Value = serde_json::from_slice(&fs::read(world.path("out.json")).unwrap()).unwrap();
    assert!(printed["SessionToken"].is_string(), "the question is not on stdout");
    assert_eq!(world.cloud().counts().sum("sts.AssumeRole.ok"), 1);
}

#[test]
fn explain_tells_which_source_won_and_why_the_others_did_not() {
    let world = World::new("explain", |_| {});
    let explained = world.run(&["status", "build", "--explain"]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
    for words in ["sso                USED", "environment        no", "assume-role        no"] {
        assert!(explained.stdout.contains(words), "no `{words}` in:\n{}", explained.stdout);
    }
    world.configure("[profile long]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = build\nduration_seconds = 7200\n");
    let long = world.run(&["status", "long", "--explain", "--output", "json"]);
    let document: Value = serde_json::from_str(&long.stdout).unwrap();
    assert!(document["notes"][0].as_str().unwrap().contains("cut to 3600"), "{document}");
    let nothing = world.run(&["status", "env", "--explain"]);
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
    assert!(nothing.stdout.contains("AWS_EC2_METADATA_DISABLED is true"), "{}", nothing.stdout);
}

#[test]
fn profiles_of_a_session_are_written_into_their_block_and_boto3_uses_them() {
    let world = World::new("profiles-sync", |_| {});
    world.sign_in();
    let config = world.path(".aws/config");
    let before = fs::read_to_string(&config).unwrap();
    let dry = world.run(&["profiles", "sync", "--session", "corp", "--dry-run"]);
    assert_eq!((dry.code, fs::read_to_string(&config).unwrap()), (Some(0), before.clone()), "{}", dry.stderr);
    assert!(dry.stdout.contains("+ bowline-dev-admin\n+ bowline-dev-build\n"), "{}", dry.stdout);
    assert_eq!(world.run(&["profiles", "sync"]).code, Some(0));
    let after = fs::read_to_string(&config).unwrap();
    assert!(after.starts_with(&before), "what stood there stands there");
    assert_eq!(world.run(&["profiles", "sync"]).code, Some(0));
    assert_eq!(fs::read_to_string(&config).unwrap(), after, "a second time changes nothing");
    assert!(after.contains("sso_role_name = admin\nregion = us-east-1\n"), "the sign-in's region: {after}");
    let moved = world.run(&["profiles", "sync", "--region", "eu-west-1"]);
    assert!(moved.stdout.contains("~ bowline-dev-admin\n~ bowline-dev-build\n"), "{}", moved.stdout);
    assert!(fs::read_to_string(&config).unwrap().contains("sso_role_name = admin\nregion = eu-west-1\n"));
    assert_eq!(world.run(&["profiles", "sync", "--no-region"]).code, Some(0));
    assert!(!fs::read_to_string(&config).unwrap().contains("sso_role_name = admin\nregion"));
    assert_eq!(world.run(&["creds", "bowline-dev-admin"]).code, Some(0));
    if !Command::new("python3").args(["-c", "import boto3"]).status().is_ok_and(|status| status.success()) {
        skip!("boto3 with a written profile: no boto3 in python3");
    }
    let script = "import boto3\ns = boto3.Session(profile_name='bowline-dev-admin', region_name='us-east-1')\n\
                  print(s.client('sts').get_caller_identity()['Arn'])\n";
    let said = world.run_foreign("boto3", world.foreign("python3").args(["-c", script]));
    assert!(said.stdout.contains("AWSReservedSSO_admin"), "{}{}", said.stdout, said.stderr);
}

#[test]
fn boto3_takes_from_the_fakes_container_and_instance_what_we_take() {
    if !Command::new("python3").args(["-c", "import boto3"]).status().is_ok_and(|status| status.success()) {
        skip!("boto3 against the fake's container and instance: no boto3 in python3");
    }
    let world = World::new("oracle-surroundings", |settings| settings.container_token = Some("T".to_owned().into()));
    let script = "import boto3\nprint(boto3.client('sts', region_name='us-east-1').get_caller_identity()['Arn'])\n";
    let container = format!("{}/v1/credentials", world.endpoint());
    let at = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "T")];
    let instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.endpoint())];
    for (variables, role) in [(&at[..], "assumed-role/task/"), (&instance[..], "assumed-role/instance/")] {
        let mut python = world.foreign("python3");
        python.args(["-c", script]).env_remove("AWS_EC2_METADATA_DISABLED").envs(variables.iter().copied());
        let said = world.run_foreign("boto3", &mut python);
        assert!(said.stdout.contains(role), "{}{}", said.stdout, said.stderr);
    }
    assert_eq!(world.cloud().counts().sum("imds.Token.ok"), 1);
}

/// botocore's order where nobody names a profile: keys of the environment, then `default` of the files.
#[test]
fn without_a_profile_the_proxy_takes_the_environment_before_the_default_of_the_files() {
    let world = World::new("unnamed", |_| {});
    let (good, gone) = (world.cloud().add_user("good"), world.cloud().add_user("gone"));
    assert!(world.cloud().delete_key(gone.key_id.as_str()));
    let gone = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", gone.key_id, gone.secret_key.expose());
    world.configure(&format!("[default]\nregion = us-east-1\n{gone}"));
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    world.cloud().put_object(clock::now(), "maven", "a.jar", "from S3");
    let listen = free_address();
    let mut command = world.bowline(&["artifacts", "serve", "--from", "s3://maven", "--listen", &listen.to_string()]);
    command.env("AWS_ACCESS_KEY_ID", good.key_id.as_str()).env("AWS_SECRET_ACCESS_KEY", good.secret_key.expose());
    let mut proxy = world.start("artifacts", &mut command);
    until(Duration::from_secs(10), "the jar comes", || {
        assert!(proxy.runs(), "the proxy ended: {}", proxy.stderr());
        fetch(listen, "/a.jar").is_ok_and(|answer| answer.status == 200 && answer.text() == "from S3")
    });
}

#[test]
fn beside_a_daemon_the_chain_of_the_environment_is_that_of_who_asks() {
    let world = World::new("whose-chain", |_| {});
    world.sign_in();
    world.configure("[profile admin]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = admin\nregion = us-east-1\n");
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"/\"\n");
    for profile in ["build", "admin", "build"] {
        let mut command = world.bowline(&["verify", "default"]);
        let verified = world.run_foreign("verify", command.env("AWS_PROFILE", profile));
        assert_eq!(verified.code, Some(0), "{}", verified.stderr);
        assert!(verified.stdout.contains(&format!("_{profile}_")), "{profile}: {}", verified.stdout);
        world.forget_output("verify");
    }
    daemon.stop();
}

#[test]
fn the_endpoint_serves_the_chain_of_the_environment_too() {
    let world = World::new("serve-chain", |_| {});
    world.sign_in();
    for chain in ["env", "default"] {
        let address = free_address();
        let mut command = world.bowline(&["serve", chain, "--listen", &address.to_string()]);
        let _serving = world.start("serve", command.env("AWS_PROFILE", "build"));
        let token = world.path("run/bowline/endpoint/token");
        until(Duration::from_secs(15), "credentials are served", || {
            let token = fs::read_to_string(&token).unwrap_or_default();
            let url = format!("http://{address}/v1/role/{chain}");
            let mut curl = Command::new("curl");
            let answer = curl.args(["-s", "-H", &format!("Authorization: {token}"), &url]).output().unwrap();
            String::from_utf8_lossy(&answer.stdout).contains("\"AccessKeyId\"")
        });
        world.forget_output("serve");
    }
}
