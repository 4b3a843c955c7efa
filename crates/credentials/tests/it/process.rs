//! `credential_process`.

use std::time::Duration;

use bowline_base::{Kind, Retry};
use bowline_credentials::RECURSION_MARK;
use bowline_fakeaws::Settings;

use crate::world::World;

const AGAIN: Retry = Retry::After(Duration::from_secs(60));

async fn run(script: &str) -> Result<bowline_base::Credentials, bowline_base::Fault> {
    let config = format!("[profile p]\ncredential_process = sh -c '{script}'\n");
    World::with_config(Settings::default(), &config).creds("p").await
}

#[tokio::test]
async fn a_command_s_credentials_are_taken_and_kept() {
    let world = World::with_config(
        Settings::default(),
        "[profile p]\ncredential_process = sh -c 'echo x >> \"$0\"; echo \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":\\\"S\\\"}\"' /dev/null\n",
    );
    assert_eq!(world.creds("p").await.unwrap().key_id.as_str(), "A");
}

#[tokio::test]
async fn a_failing_command_is_told_with_its_own_words() {
    let fault = run("echo no such vault >&2; exit 3").await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (Kind::Refused, AGAIN), "what is kept fresh is tried again by itself");
    assert!(fault.chain().contains("exited with 3") && fault.chain().contains("no such vault"), "{}", fault.chain());
}

#[tokio::test]
async fn output_that_is_no_credentials_is_refused_without_being_shown() {
    let fault = run("echo secret-text").await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (Kind::Config, AGAIN));
    assert!(!fault.chain().contains("secret-text"), "{}", fault.chain());
    assert!(run("head -c 100000 /dev/zero").await.unwrap_err().chain().contains("bytes"));
}

#[tokio::test]
async fn a_command_that_leads_back_to_us_is_told_so() {
    let world = World::with_config(Settings::default(), "[profile p]\ncredential_process = true\n");
    let lease = world.sources().lease_id(&world.sources().resolve("p").unwrap());
    let fault = below(&world, &format!("another,{}/one-more", lease.as_str()), "p").await.unwrap_err();
    assert!(fault.message.contains("asks Bowline"), "{fault}");
}

/// `bowline creds PROFILE` in a command whose mark is `mark`.
async fn below(world: &World, mark: &str, profile: &str) -> Result<bowline_base::Credentials, bowline_base::Fault> {
    let mut setup = world.setup();
    setup.environment.insert(RECURSION_MARK.to_owned(), mark.to_owned());
    let wire = std::sync::Arc::clone(&world.wire) as std::sync::Arc<dyn bowline_base::wire::Wire>;
    let sources = bowline_credentials::Sources::new(wire, world.tasks.clone(), setup);
    sources.credentials(&sources.resolve(profile)?, None).await
}

#[tokio::test]
async fn a_command_may_ask_for_another_profile_that_is_a_command_too() {
    let inner = r#"sh -c 'echo "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}"'"#;
    let config = format!("[profile inner]\ncredential_process = {inner}\n[profile outer]\ncredential_process = true\n");
    let world = World::with_config(Settings::default(), &config);
    let outer = world.sources().lease_id(&world.sources().resolve("outer").unwrap());
    assert_eq!(below(&world, outer.as_str(), "inner").await.unwrap().key_id.as_str(), "A");
}

#[tokio::test]
async fn a_command_is_told_every_lease_that_waits_for_it() {
    let config = "[profile top]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = p\n\
                  [profile p]\ncredential_process = sh -c 'echo $BOWLINE_CREDENTIAL_PROCESS >&2; exit 1'\n";
    let world = World::with_config(Settings::default(), config);
    let lease = |name: &str| world.sources().lease_id(&world.sources().resolve(name).unwrap());
    let said = below(&world, "above", "top").await.unwrap_err().chain();
    assert!(said.contains(&format!("above/{},{}", lease("top").as_str(), lease("p").as_str())), "{said}");
}
