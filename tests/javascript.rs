//! The AWS SDK for JavaScript, version 3: each of its providers that Bowline feeds.

use std::time::Duration;

use crate::harness::{Serving, World, node, skip};

/// A provider, the variables that it reads, and what stands in the ARN.
type Case<'a> = (&'static str, &'a [(&'a str, &'a str)], &'static str);

const LIMIT: Duration = Duration::from_secs(18);

#[test]
fn every_provider_of_the_javascript_sdk_calls_as_the_role() {
    let world = World::new("javascript", |settings| settings.web_identity_tokens = vec!["jwt".to_owned().into()]);
    if node(&world, "caller.cjs").is_none() {
        skip!("the AWS SDK for JavaScript: no node, or no packages in target/node");
    }
    world.sign_in();
    world.write("jwt", "jwt");
    world.configure(&format!(
        "[profile ci]\nrole_arn = arn:aws:iam::111122223333:role/ci\nrole_session_name = job-7\nregion = us-east-1\n\
         web_identity_token_file = {}\n\n[profile ci-via-bowline]\ncredential_process = {} creds ci\n",
        world.path("jwt").display(),
        env!("CARGO_BIN_EXE_bowline")
    ));
    let serving = Serving::start(&world, &["build"]);
    let imds = format!("http://{}", serving.imds);
    let (jwt, exports) = (world.path("jwt").display().to_string(), &serving.exports);
    let token_file = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", jwt.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci"),
        ("AWS_ROLE_SESSION_NAME", "job-7"),
    ];
    let http: Vec<(&str, &str)> = exports.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let cases: [Case<'_>; 5] = [
        ("fromHttp", &http, "_build_"),
        ("fromInstanceMetadata", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds)], "_build_"),
        ("fromProcess", &[("AWS_PROFILE", "build-via-bowline")], "_build_"),
        ("fromTokenFile", &token_file, ":assumed-role/ci/job-7"),
        ("fromProcess", &[("AWS_PROFILE", "ci-via-bowline")], ":assumed-role/ci/job-7"),
    ];
    let start = |(provider, variables, role): Case<'_>| {
        let mut command = node(&world, "caller.cjs").unwrap();
        command.arg(provider).env("AWS_REGION", "us-east-1").env_remove("AWS_EC2_METADATA_DISABLED");
        (provider, role, world.start(provider, command.envs(variables.iter().copied())))
    };
    for (provider, role, process) in cases.map(start) {
        let end = process.finish(LIMIT);
        assert_eq!(end.code, Some(0), "{provider}: {}{}", end.stdout, end.stderr);
        assert!(end.stdout.contains(":assumed-role/") && end.stdout.contains(role), "{provider}: {}", end.stdout);
    }
}
