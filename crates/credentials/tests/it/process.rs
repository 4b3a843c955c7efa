//! `credential_process`.

use bowline_base::Kind;
use bowline_credentials::RECURSION_MARK;
use bowline_fakeaws::Settings;

use crate::world::World;

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
    assert_eq!(fault.kind, Kind::Refused);
    assert!(fault.chain().contains("exited with 3") && fault.chain().contains("no such vault"), "{}", fault.chain());
}

#[tokio::test]
async fn output_that_is_no_credentials_is_refused_without_being_shown() {
    let fault = run("echo secret-text").await.unwrap_err();
    assert_eq!(fault.kind, Kind::Config);
    assert!(!fault.chain().contains("secret-text"), "{}", fault.chain());
    assert!(run("head -c 100000 /dev/zero").await.unwrap_err().chain().contains("bytes"));
}

#[tokio::test]
async fn a_command_that_leads_back_to_us_is_told_so() {
    let world = World::with_config(Settings::default(), "[profile p]\ncredential_process = true\n");
    let mut setup = world.setup();
    setup.environment.insert(RECURSION_MARK.to_owned(), "1".to_owned());
    let wire = std::sync::Arc::clone(&world.wire) as std::sync::Arc<dyn bowline_base::wire::Wire>;
    let sources = bowline_credentials::Sources::new(wire, world.tasks.clone(), setup);
    let resolved = sources.resolve("p").unwrap();
    let fault = sources.credentials(&resolved, None).await.unwrap_err();
    assert!(fault.message.contains("asks Bowline"), "{fault}");
}
