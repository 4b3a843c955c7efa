//! The endpoints with real clients: who is answered and who is not, rotation under load, and the ways out around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    thread,
    time::Duration,
};

use bowline_fakeaws::{Effect, Fault};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Serving, World, ask, document, elapsed, free_address, is_private, pause, python, skip, until};

const LIMIT: Duration = Duration::from_secs(18);

/// Address, method, path, headers, and the status that comes back.
type Refused<'a> = (SocketAddr, &'a str, &'a str, &'a [(&'a str, &'a str)], u16);

#[test]
fn boto3_and_the_aws_cli_call_as_the_role_through_both_endpoints() {
    let Some(python) = python() else { skip!("boto3 and the AWS CLI: no target/py") };
    let world = World::new("endpoint-clients", |_| {});
    world.sign_in();
    let serving = Serving::start(&world, &["build"]);
    let imds = format!("http://{}", serving.imds);
    let mut processes = Vec::new();
    let cli = ["sts", "get-caller-identity", "--output", "text", "--query", "Arn"];
    for through_imds in [false, true] {
        let mut boto3 = python.script(&world, "default_caller.py");
        let mut awscli = python.module(&world, "awscli");
        for command in [&mut boto3, awscli.args(cli)] {
            command.env("AWS_DEFAULT_REGION", "us-east-1");
            if through_imds {
                command.env_remove("AWS_EC2_METADATA_DISABLED").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds);
            } else {
                command.envs(serving.exports.iter().cloned());
            }
        }
        processes.push((through_imds, false, world.start("boto3", &mut boto3)));
        processes.push((through_imds, true, world.start("aws", &mut awscli)));
    }
    for (through_imds, is_cli, process) in processes {
        let end = process.finish(LIMIT);
        assert_eq!(end.code, Some(0), "imds {through_imds}: {}{}", end.stdout, end.stderr);
        assert!(end.stdout.contains(":assumed-role/") && end.stdout.contains("build"), "{}", end.stdout);
        let method = if through_imds { "iam-role" } else { "container-role" };
        assert!(is_cli || end.stdout.trim_end().ends_with(method), "{}", end.stdout);
    }
}

#[test]
fn who_is_no_client_of_ours_gets_a_reason_and_no_credentials() {
    let world = World::new("endpoint-refusals", |_| {});
    world.sign_in();
    let serving = Serving::start(&world, &["build"]);
    let (address, imds, good) = (serving.address, serving.imds, ("authorization", serving.token.as_str()));
    let metadata = "/latest/meta-data/iam/security-credentials/build";
    let refusals: [Refused<'_>; 11] = [
        (address, "GET", "/v1/role/build", &[], 401),
        (address, "GET", "/v1/role/build", &[("authorization", "guess")], 401),
        (address, "GET", "/v1/role/deploy", &[good], 404),
        (address, "GET", "/v1/role/build", &[good, ("host", "evil.example:9911")], 403),
        (address, "GET", "/v1/role/build", &[good, ("origin", "http://evil.example")], 403),
        (address, "GET", "/v1/role/build", &[good, ("x-forwarded-for", "10.0.0.1")], 403),
        (address, "POST", "/v1/role/build", &[good], 405),
        (imds, "GET", metadata, &[], 401),
        (imds, "GET", metadata, &[("x-aws-ec2-metadata-token", "guess")], 401),
        (imds, "PUT", "/latest/api/token", &[], 400),
        (imds, "PUT", "/latest/api/token", &[("x-aws-ec2-metadata-token-ttl-seconds", "60"), ("via", "x")], 403),
    ];
    for (address, method, path, headers, status) in refusals {
        let (got, answer) = ask(address, method, path, headers);
        assert_eq!(got, status, "{method} {path} {headers:?}: {answer}");
        let body = document(&answer);
        assert!(
            body["Code"].is_string() && body["Message"].is_string() && body["SecretAccessKey"].is_null(),
            "{answer}"
        );
    }
    assert!(is_private(std::path::Path::new(&serving.exports[1].1)));
}

#[test]
fn a_slow_client_is_cut() {
    let world = World::new("endpoint-slow", |_| {});
    world.sign_in();
    let serving = Serving::start(&world, &["build"]);
    for sent in ["", "GET /v1/role/build HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(serving.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        let start = elapsed();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(elapsed() - start < Duration::from_secs(5), "`{sent}` was cut after {:?}", elapsed() - start);
    }
}

#[test]
fn ten_seconds_of_two_second_sessions_have_no_gap_and_no_mixed_set() {
    let world = World::new("endpoint-load", |settings| settings.role_lifetime = Duration::from_secs(2));
    world.sign_in();
    let serving = Serving::start(&world, &["build"]);
    world.cloud().clear_counts();
    let sets: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::default();
    let end = elapsed() + Duration::from_secs(10);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while elapsed() < end {
                    let (status, answer) = serving.role("build");
                    assert_eq!(status, 200, "{answer}");
                    let set = document(&answer);
                    let rest = format!("{}{}{}", set["SecretAccessKey"], set["Token"], set["Expiration"]);
                    sets.lock().unwrap().entry(set["AccessKeyId"].to_string()).or_default().insert(rest);
                    pause(Duration::from_millis(5));
                }
            });
        }
    });
    let sets = sets.into_inner().unwrap();
    assert!(sets.len() >= 6, "{} rotations", sets.len());
    assert!(sets.values().all(|rest| rest.len() == 1), "a key came with two secrets");
    let calls = world.cloud().counts().sum("sso.GetRoleCredentials");
    assert!(calls <= sets.len() as u64 + 1, "{calls} calls for {} sets", sets.len());
}

#[test]
fn when_upstream_is_dead_the_old_set_is_served_to_its_end_and_then_a_clear_refusal() {
    let world = World::new("endpoint-dead", |settings| settings.role_lifetime = Duration::from_secs(4));
    world.sign_in();
    let serving = Serving::start(&world, &["build"]);
    world.cloud().fault(Fault::new("sso.*", Effect::Reset));
    let mut answers = Vec::new();
    until(Duration::from_secs(10), "the session has ended", || {
        answers.push(serving.role("build"));
        answers.last().unwrap().0 != 200
    });
    let (status, answer) = answers.pop().unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nretry-after: ") && document(&answer)["Message"].is_string(),
        "{answer}"
    );
    assert!(!answers.is_empty(), "the old set was served");
}

#[test]
fn the_child_of_exec_has_one_source_which_ends_with_it() {
    let world = World::new("exec-endpoint", |_| {});
    world.sign_in();
    let script = "test -z \"$AWS_ACCESS_KEY_ID$AWS_PROFILE\" && env | grep ^AWS_CONTAINER && \
                  curl -fsS -H \"Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)\" \
                  $AWS_CONTAINER_CREDENTIALS_FULL_URI | grep -c SecretAccessKey; exit 7";
    let mut command = world.bowline(&["exec", "build", "--", "sh", "-c", script]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAOTHER").env("AWS_PROFILE", "other");
    let exec = world.run_foreign("exec", &mut command);
    assert_eq!(exec.code, Some(7), "{}{}", exec.stdout, exec.stderr);
    assert!(exec.stdout.ends_with("\n1\n"), "{}{}", exec.stdout, exec.stderr);
    let uri = exec.stdout.lines().find_map(|line| line.strip_prefix("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://"));
    let address: SocketAddr = uri.unwrap().split('/').next().unwrap().parse().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the endpoint ended with the child");
    let left = fs::read_dir(world.path("run/bowline")).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with("exec-")));
}

#[test]
fn a_signal_to_exec_reaches_the_child() {
    let world = World::new("exec-signal", |_| {});
    world.sign_in();
    let script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let exec = world.start("exec", &mut world.bowline(&["exec", "build", "--", "sh", "-c", script]));
    until(Duration::from_secs(10), "the child runs", || exec.stdout().contains("ready"));
    exec.signal(Signal::TERM);
    let end = exec.finish(LIMIT);
    assert_eq!((end.code, end.stdout.ends_with("got it\n")), (Some(9), true), "{}{}", end.stdout, end.stderr);
}

#[test]
fn a_container_is_started_with_a_mounted_token_and_no_key() {
    let world = World::new("exec-container", |_| {});
    world.sign_in();
    world.write(
        "bin/docker",
        "#!/bin/sh\n[ \"$1\" = version ] && exit 0\nprintf '%s\\n' \"$@\"\nenv | grep -c KEY\nexit 3\n",
    );
    fs::set_permissions(world.path("bin/docker"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut command = world.bowline(&["exec", "build", "--container", "alpine", "--", "true"]);
    let path = format!("{}:/usr/bin:/bin", world.path("bin").display());
    let exec = world.run_foreign("exec", command.env("PATH", path).env("AWS_SECRET_ACCESS_KEY", "other"));
    assert_eq!(exec.code, Some(3), "{}{}", exec.stdout, exec.stderr);
    for words in ["run\n", ":/run/bowline:ro\n", "TOKEN_FILE=/run/bowline/token\n", "alpine\ntrue\n0\n"] {
        assert!(exec.stdout.contains(words), "no `{words}` in {}", exec.stdout);
    }
    assert!(!exec.stdout.contains("--privileged"), "{}", exec.stdout);
}

#[test]
fn the_daemon_starts_moves_and_ends_the_endpoint_on_reload() {
    let world = World::new("endpoint-reload", |_| {});
    world.sign_in();
    world.cloud().add_bucket("maven", bowline_fakeaws::Bucket::memory("us-east-1"));
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    let without = fs::read_to_string(&daemon.config).unwrap();
    let address = free_address();
    world.write("bowline.toml", &format!("{without}\n[endpoint]\nlisten = \"{address}\"\nserve = [\"build\"]\n"));
    daemon.process.signal(Signal::HUP);
    let token = world.path("run/bowline/endpoint/token");
    until(Duration::from_secs(5), "the endpoint answers", || TcpStream::connect(address).is_ok());
    let token = fs::read_to_string(token).unwrap();
    let (status, answer) = ask(address, "GET", "/v1/role/build", &[("authorization", &token)]);
    assert_eq!(status, 200, "{answer}");
    world.write("bowline.toml", &without);
    daemon.process.signal(Signal::HUP);
    until(Duration::from_secs(5), "the address is closed", || TcpStream::connect(address).is_err());
    assert_eq!(daemon.stop().0.code, Some(0));
}

#[test]
fn write_keeps_a_section_fresh_and_touches_nothing_else() {
    let Some(python) = python() else { skip!("boto3: no target/py") };
    let world = World::new("write", |settings| settings.role_lifetime = Duration::from_secs(4));
    world.sign_in();
    let foreign = "# mine\n[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n";
    world.write(".aws/credentials", foreign);
    let credentials = || fs::read_to_string(world.path(".aws/credentials")).unwrap();
    let refused = world.run(&["write", "build", "--as", "other"]);
    assert_eq!((refused.code, credentials().as_str()), (Some(2), foreign), "{}", refused.stderr);
    let watch = world.start("write", &mut world.bowline(&["write", "build", "--as", "legacy", "--watch"]));
    until(Duration::from_secs(5), "the section is there", || credentials().contains("[legacy]"));
    let first = credentials();
    assert!(first.starts_with(foreign) && is_private(&world.path(".aws/credentials")), "{}", watch.stderr());
    until(Duration::from_secs(8), "it is renewed", || credentials() != first);
    let caller = world
        .run_foreign("boto3", python.script(&world, "caller.py").arg("legacy").env("AWS_DEFAULT_REGION", "us-east-1"));
    assert!(caller.stdout.contains("assumed-role"), "{}{}", caller.stdout, caller.stderr);
    watch.signal(Signal::TERM);
    assert_eq!(watch.finish(LIMIT).code, Some(0));
    let file = world.path("secrets/aws");
    fs::create_dir(world.path("secrets")).unwrap();
    assert_eq!(world.run(&["write", "build", "--file", file.to_str().unwrap()]).code, Some(0));
    assert!(is_private(&file) && fs::read_to_string(&file).unwrap().starts_with("[default]\naws_access_key_id = ASIA"));
}

#[test]
fn verify_names_who_it_is_before_and_after_a_rotation() {
    let world = World::new("verify", |_| {});
    world.sign_in();
    let verify = world.run(&["verify", "build", "--rotate", "--output", "json"]);
    assert_eq!(verify.code, Some(0), "{}", verify.stderr);
    let report: Value = serde_json::from_str(&verify.stdout).unwrap();
    let verified = report["verified"].as_array().unwrap();
    assert_eq!(verified.len(), 2);
    assert!(verified.iter().all(|one| one["arn"].as_str().unwrap().contains("assumed-role")), "{report}");
    assert_ne!(verified[0]["key"], verified[1]["key"]);
}

#[test]
fn a_lasting_key_that_a_person_put_into_our_section_is_not_lost() {
    let world = World::new("pasted", |_| {});
    world.sign_in();
    assert_eq!(world.run(&["write", "build", "--as", "legacy"]).code, Some(0));
    assert_eq!(world.run(&["write", "build", "--as", "legacy"]).code, Some(0), "our own section is written again");
    let pasted = "[legacy]\naws_access_key_id = AKIAPASTED\naws_secret_access_key = s\nbowline_profile = build\n";
    world.write(".aws/credentials", pasted);
    let refused = world.run(&["write", "build", "--as", "legacy"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--as ANOTHER-NAME"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(world.path(".aws/credentials")).unwrap(), pasted);
}
