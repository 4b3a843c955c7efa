//! The predecessor's environment file is enough: `.env.example` as it stands in the repository serves a bucket.

use std::time::Duration;

use bowline_fakeaws::Bucket;
use bowline_host::clock;

use crate::harness::{World, fetch, free_address, until};

#[test]
fn the_example_of_an_environment_file_serves_its_bucket() {
    let world = World::new("env-file", |_| {});
    world.cloud().add_bucket("corp-maven", Bucket::memory("us-east-1"));
    world.cloud().put_object(clock::now(), "corp-maven", "g/a/1/a-1.jar", bytes::Bytes::from_static(b"jar"));
    world.sign_in();
    let (address, example) = (free_address(), concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example"));
    let mut command = world.bowline(&["artifacts", "serve", "--env-file", example]);
    // What the environment says wins over the file, which names a port that may be taken.
    command.env("PROXY_PORT", address.port().to_string()).env("AWS_REGION", "us-east-1");
    let mut serving = world.start("serve", &mut command);
    until(Duration::from_secs(10), "the bucket is served", || {
        assert!(serving.runs(), "it ended: {}", serving.stderr());
        fetch(address, "/g/a/1/a-1.jar").is_ok_and(|answer| answer.body == b"jar")
    });
}

#[test]
fn a_file_that_is_none_is_named() {
    let world = World::new("env-file-wrong", |_| {});
    world.write("wrong.env", "PROXY_PORT=9000\nnonsense\n");
    let refused = world.run(&["artifacts", "serve", "--env-file", &world.path("wrong.env").display().to_string()]);
    assert!(refused.code == Some(2) && refused.stderr.contains("line 2"), "{}", refused.stderr);
}
