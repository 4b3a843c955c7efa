//! What stands beside the program gives credentials: a container's endpoint, an instance's metadata, a token file, a device.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bowline_base::{Credentials, Fault, Kind, Secret, wire::Wire};
use bowline_credentials::{
    Sources,
    mfa::{Codes, Prompt},
    once,
};
use bowline_fakeaws::{Effect, Fault as Trouble, Settings};
use serde_json::json;

use crate::world::{World, minutes};

const FULL: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:4567/v1/credentials");
const DEVICE: &str = "arn:aws:iam::111122223333:mfa/me";

fn sources(world: &World, variables: &[(&str, &str)]) -> Sources {
    let mut setup = world.setup();
    setup.environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Sources::new(Arc::clone(&world.wire) as Arc<dyn Wire>, world.tasks.clone(), setup)
}

async fn creds(sources: &Sources, profile: &str) -> Result<Credentials, Fault> {
    once::credentials(sources, &sources.resolve(profile)?).await
}

#[tokio::test]
async fn a_container_gives_credentials_and_its_token_file_is_read_anew_without_its_newline() {
    let token = |text: &str| Some(Secret::new(text));
    let world = World::with_config(Settings { container_token: token("one"), ..Settings::default() }, "");
    let file = world.home.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let variables = [FULL, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap())];
    let first = creds(&sources(&world, &variables), "env").await.unwrap();
    assert_eq!(first.account_id.as_deref(), Some("111122223333"));
    world.cloud.set(|settings| settings.container_token = token("two"));
    std::fs::write(&file, "two").unwrap();
    world.advance(minutes(31));
    assert_ne!(creds(&sources(&world, &variables), "env").await.unwrap().key_id, first.key_id);
    std::fs::write(&file, "wrong").unwrap();
    world.advance(minutes(61));
    let refused = creds(&sources(&world, &variables), "env").await.unwrap_err();
    assert!(refused.kind == Kind::Refused && refused.hint.is_some(), "{refused:?}");
    assert_eq!(world.calls("container.Credentials"), 3, "a refusal is not repeated");
}

#[tokio::test]
async fn a_container_is_asked_three_times_and_garbage_is_no_set() {
    let world = World::with_config(Settings::default(), "");
    world.cloud.fault(Trouble::new("container.*", Effect::Html(200)));
    let fault = creds(&sources(&world, &[FULL]), "env").await.unwrap_err();
    assert_eq!((fault.kind, world.calls("container.Credentials")), (Kind::Unreachable, 3));
}

#[tokio::test]
async fn the_program_never_asks_its_own_endpoint() {
    let world = World::with_config(Settings::default(), "");
    let sources = sources(&world, &[FULL]);
    sources.never_ask(([127, 0, 0, 1], 4567).into());
    let fault = creds(&sources, "env").await.unwrap_err();
    assert!(fault.message.contains("own endpoint"), "{fault}");
    assert_eq!(world.calls("container"), 0);
}

#[tokio::test]
async fn an_instance_is_asked_by_version_2_and_by_version_1_only_where_that_is_wanted() {
    let world = World::with_config(Settings::default(), "[default]\nregion = x\n");
    assert!(creds(&sources(&world, &[]), "default").await.is_ok());
    assert_eq!((world.calls("imds.Token.ok"), world.calls("imds.Credentials.ok")), (1, 1));
    let old = Settings { imds_v1: true, imds_v1_only: true, ..Settings::default() };
    let world = World::with_config(old, "");
    let fault = creds(&sources(&world, &[]), "env").await.unwrap_err();
    let hint = fault.hint.clone().unwrap();
    assert!(
        hint.contains("AWS_EC2_METADATA_V1_DISABLED=false") && hint.contains("something else answers"),
        "{fault:?}"
    );
    world.advance(minutes(1));
    assert!(creds(&sources(&world, &[("AWS_EC2_METADATA_V1_DISABLED", "false")]), "env").await.is_ok());
    let bare = World::with_config(Settings { instance_role: None, ..Settings::default() }, "");
    assert!(creds(&sources(&bare, &[]), "env").await.unwrap_err().message.contains("no role"));
}

#[tokio::test]
async fn off_an_instance_it_is_the_missing_source_that_is_told() {
    let world = World::with_config(Settings::default(), "[profile x]\nregion = y\n");
    world.away(true);
    let fault = creds(&sources(&world, &[]), "x").await.unwrap_err();
    assert_eq!(fault.kind, Kind::Config);
    assert!(fault.message.contains("profile `x` has no credentials"), "{fault}");
    let nobody = creds(&sources(&world, &[]), "env").await.unwrap_err();
    assert!(nobody.message.contains("no credentials") && nobody.hint.unwrap().contains("--explain"));
}

#[tokio::test]
async fn a_token_file_is_read_at_each_call_and_its_faults_name_it() {
    let tokens = vec![Secret::new("jwt-1"), Secret::new("jwt-2")];
    let world = World::with_config(Settings { web_identity_tokens: tokens, ..Settings::default() }, "");
    let file = world.home.path().join("jwt");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci");
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()), role];
    let gone = creds(&sources(&world, &variables), "env").await.unwrap_err();
    assert!(gone.message.contains("jwt") && gone.kind == Kind::Config, "{gone}");
    for token in ["jwt-1", "jwt-2\n"] {
        std::fs::write(&file, token).unwrap();
        world.advance(minutes(31));
        creds(&sources(&world, &variables), "env").await.unwrap();
    }
    assert_eq!(world.calls("sts.AssumeRoleWithWebIdentity.ok"), 2);
    std::fs::write(&file, "foreign").unwrap();
    world.advance(minutes(61));
    let refused = creds(&sources(&world, &variables), "env").await.unwrap_err();
    assert!(refused.hint.as_deref().unwrap().contains("identity provider"), "{refused:?}");
}

#[tokio::test]
async fn a_role_is_assumed_with_the_container_or_the_instance_below_it() {
    let config = "[profile c]\nrole_arn = arn:aws:iam::111122223333:role/x\ncredential_source = EcsContainer\n\
                  [profile i]\nrole_arn = arn:aws:iam::111122223333:role/x\ncredential_source = Ec2InstanceMetadata\n";
    let world = World::with_config(Settings::default(), config);
    let role = [FULL, ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/y")];
    for (profile, variables) in [("c", &role[..1]), ("i", &[][..]), ("env", &role[..])] {
        creds(&sources(&world, variables), profile)
            .await
            .unwrap_or_else(|fault| panic!("{profile}: {}", fault.chain()));
    }
    assert_eq!(world.calls("sts.AssumeRole.ok"), 3);
    assert_eq!(world.calls("container.Credentials.ok"), 1, "the base is shared through its lease");
}

/// Types these codes in turn.
struct Types(&'static [&'static str], AtomicU64);

impl Prompt for Types {
    fn ask<'a>(&'a self, _: &'a str) -> bowline_base::BoxFuture<'a, Result<Option<Secret>, Fault>> {
        let at = usize::try_from(self.1.fetch_add(1, Ordering::Relaxed)).unwrap();
        Box::pin(async move { Ok(self.0.get(at).copied().map(Secret::new)) })
    }

    fn ask_hidden<'a>(&'a self, question: &'a str) -> bowline_base::BoxFuture<'a, Result<Option<Secret>, Fault>> {
        self.ask(question)
    }

    fn tell(&self, _: &str) {}
}

fn with_device() -> World {
    let settings = Settings { mfa_roles: vec!["admin".to_owned()], ..Settings::default() };
    let world = World::with_config(settings, "");
    let key = world.cloud.add_user("me");
    let keys = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", key.key_id, key.secret_key.expose());
    world.write_config(&format!(
        "[profile keys]\n{keys}[profile me]\n{keys}mfa_serial = {DEVICE}\n[profile admin]\nsource_profile = keys\n\
         role_arn = arn:aws:iam::111122223333:role/admin\nmfa_serial = {DEVICE}\n[profile made]\nsource_profile = keys\n\
         role_arn = arn:aws:iam::111122223333:role/admin\nmfa_serial = {DEVICE}\nmfa_process = echo 333333\n"
    ));
    world.cloud.patch_settings(&json!({"mfa_devices": {DEVICE: ["111111", "222222", "333333"]}})).unwrap();
    world
}

#[tokio::test]
async fn a_code_is_asked_for_and_no_window_of_a_device_is_used_twice() {
    let world = with_device();
    let nobody = creds(&world.sources(), "admin").await.unwrap_err();
    assert_eq!((nobody.kind, world.calls("sts")), (Kind::LoginRequired, 0));
    assert!(nobody.hint.unwrap().contains("bowline creds admin --mfa-code"));
    let given = |code: &str| Codes { given: Some(Secret::new(code)), prompt: None };
    let admin = creds(&world.sources().with_codes(given("111111")), "admin").await.unwrap();
    assert_eq!(creds(&world.sources(), "admin").await.unwrap().key_id, admin.key_id, "a lease asks for nothing");
    world.advance(minutes(31));
    let due = creds(&world.sources(), "admin").await.unwrap();
    assert_eq!(due.key_id, admin.key_id, "what cost a code is used to its end");
    let me = creds(&world.sources().with_codes(given("222222")), "me").await.unwrap();
    assert_eq!(world.calls("sts.GetSessionToken.ok"), 1);
    assert!(me.session_token.is_some());
    world.advance(minutes(31));
    let wrong = creds(&world.sources().with_codes(given("222222")), "admin").await.unwrap_err();
    assert_eq!((wrong.kind, wrong.message.contains("did not take")), (Kind::LoginRequired, true), "{wrong}");
    let spent = creds(&world.sources().with_codes(given("333333")), "admin").await.unwrap_err();
    assert!(spent.message.contains("used already"), "{spent}");
    world.advance(Duration::from_secs(31));
    let prompt: Arc<dyn Prompt> = Arc::new(Types(&["333333"], AtomicU64::new(0)));
    let typed = Codes { given: None, prompt: Some(prompt) };
    assert!(creds(&world.sources().with_codes(typed), "admin").await.is_ok());
}

#[tokio::test]
async fn a_command_gives_the_code_where_nobody_can_be_asked() {
    let world = with_device();
    creds(&world.sources(), "made").await.unwrap();
    assert_eq!(world.calls("sts.AssumeRole.ok"), 1);
}
