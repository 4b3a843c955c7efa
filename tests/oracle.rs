//! Outside oracles: botocore's models decode every answer that the fake gives, so that the fake and our own client are
//! not wrong together.

use std::time::Duration;

use bowline_fakeaws::Bucket;

use crate::harness::{World, python, run, skip};

#[test]
fn botocores_models_decode_every_answer_of_the_fake() {
    let Some(python) = python() else { skip!("botocore's models against the fake: no target/py") };
    let world = World::new("oracle", |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    let key = world.cloud().add_user("oracle");
    let mut script = python.script(&world, "../../crates/fakeaws/tests/oracle/models.py");
    script.env_remove("AWS_ENDPOINT_URL").env("FAKEAWS_ENDPOINT", world.endpoint());
    script.env("FAKEAWS_KEY_ID", key.key_id.as_str()).env("FAKEAWS_SECRET", key.secret_key.expose());
    let checked = run(&mut script, &world.path("models"), Duration::from_secs(18));
    eprintln!("{}", checked.stdout);
    assert_eq!(checked.code, Some(0), "{}\n{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains(" passed, 0 failed"), "{}", checked.stdout);
}
