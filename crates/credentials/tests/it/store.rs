//! What processes share through the lease store, without a daemon.

use std::sync::Arc;

use bowline_base::{Kind, wire::Wire as _};
use bowline_fakeaws::{Effect, Fault as Strike, Settings};
use jiff::SignedDuration;

use crate::world::{World, minutes};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_commands_on_a_cold_store_make_one_call() {
    let world = Arc::new(World::new(Settings::default()));
    world.sign_in();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        running.spawn(async move { world.creds("build").await.unwrap().key_id });
    }
    let mut keys = running.join_all().await;
    keys.dedup();
    assert_eq!((keys.len(), world.calls("sso.GetRoleCredentials")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_commands_without_a_login_ask_the_service_once() {
    let world = Arc::new(World::new(Settings::default()));
    world.sign_in();
    world.cloud.end_sessions();
    world.advance(minutes(61));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        running.spawn(async move { world.creds("build").await.unwrap_err().kind });
    }
    assert!(running.join_all().await.iter().all(|kind| *kind == Kind::LoginRequired));
    assert_eq!(world.cloud.counts().sum(""), 1, "{:?}", world.cloud.counts().calls);
}

#[tokio::test]
async fn roles_of_one_source_share_its_credentials() {
    let world = World::new(Settings::default());
    world.sign_in();
    let (deploy, audit) = (world.creds("deploy").await.unwrap(), world.creds("audit").await.unwrap());
    assert_ne!(deploy.key_id, audit.key_id);
    assert_eq!((world.calls("sso.GetRoleCredentials"), world.calls("sts.AssumeRole")), (1, 2));
    world.creds("build").await.unwrap();
    assert_eq!(world.calls("sso.GetRoleCredentials"), 1);
}

#[tokio::test]
async fn a_base_that_sts_refuses_is_fetched_anew() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.creds("build").await.unwrap();
    world.cloud.expire_keys(world.wire.now());
    world.creds("deploy").await.unwrap();
    assert_eq!(world.calls("sso.GetRoleCredentials"), 2);
}

#[tokio::test]
async fn the_last_good_set_is_served_through_an_outage_until_it_really_ends() {
    let world = World::new(Settings::default());
    world.sign_in();
    let first = world.creds("build").await.unwrap();
    world.away(true);
    world.advance(minutes(45));
    assert_eq!(world.creds("build").await.unwrap().key_id, first.key_id);
    world.advance(minutes(16));
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!(fault.kind, Kind::Unreachable, "{}", fault.chain());
    world.away(false);
    world.advance(minutes(5));
    world.creds("build").await.unwrap();
}

#[tokio::test]
async fn upstream_trouble_is_never_a_wrong_answer() {
    for effect in [
        Effect::Error { status: 500, code: "InternalError".to_owned() },
        Effect::Throttle,
        Effect::Html(200),
        Effect::Html(503),
        Effect::Truncate(20),
        Effect::Hang,
    ] {
        let world = World::new(Settings::default());
        world.sign_in();
        world.cloud.fault(Strike::new("sso.GetRoleCredentials", effect.clone()));
        let fault = tokio::select! {
            answer = world.creds("build") => answer.unwrap_err(),
            () = async { loop {
                world.advance(minutes(1));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            } } => unreachable!(),
        };
        assert_eq!(fault.kind, Kind::Unreachable, "{effect:?}: {}", fault.chain());
        world.cloud.clear_faults();
        world.advance(minutes(6));
        world.creds("build").await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_in_either_direction_still_works() {
    for minutes_off in [10, -10] {
        let settings = Settings { clock_skew: SignedDuration::from_mins(minutes_off), ..Settings::default() };
        let world = World::new(settings);
        world.sign_in();
        world.creds("deploy").await.unwrap_or_else(|fault| panic!("{minutes_off}: {}", fault.chain()));
    }
}

#[tokio::test]
async fn a_clock_further_off_than_the_session_is_long_is_named_as_the_reason() {
    let settings = Settings {
        clock_skew: SignedDuration::from_mins(-10),
        role_lifetime: std::time::Duration::from_secs(60),
        ..Settings::default()
    };
    let world = World::new(settings);
    world.sign_in();
    let fault = world.creds("build").await.unwrap_err();
    assert!(fault.message.contains("already ended when they came"), "{fault}");
    assert!(fault.hint.unwrap().contains("clock"));
}

#[tokio::test]
async fn a_session_that_ends_while_the_machine_sleeps_on_its_way_is_fetched_once_more() {
    let role_lifetime = std::time::Duration::from_secs(10);
    let world = World::new(Settings { role_lifetime, ..Settings::default() });
    world.sign_in();
    world.sleep_over_the_next_answer(role_lifetime + role_lifetime / 2);
    world.creds("build").await.unwrap_or_else(|fault| panic!("{}", fault.chain()));
    assert_eq!(world.calls("sso.GetRoleCredentials"), 2);
}

#[tokio::test]
async fn a_refused_role_is_told_with_what_to_look_at_and_not_hammered() {
    let world = World::new(Settings { denied_roles: vec!["deploy".to_owned()], ..Settings::default() });
    world.sign_in();
    for _ in 0..5 {
        let fault = world.creds("deploy").await.unwrap_err();
        assert_eq!(fault.kind, Kind::Refused, "{}", fault.chain());
        assert!(fault.hint.as_deref().unwrap_or_default().contains("trusts"), "{fault:?}");
    }
    assert_eq!(world.calls("sts.AssumeRole"), 1);
    assert_eq!(world.profiles(), 3);
}

#[tokio::test]
async fn no_secret_is_in_any_file_name_or_open_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(Settings::default());
    world.sign_in();
    world.creds("deploy").await.unwrap();
    let secrets = world.cloud.secrets_in_play();
    for entry in std::fs::read_dir(world.setup().lease_directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(secrets.iter().all(|secret| !name.contains(secret.expose())));
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn a_role_of_the_environment_s_keys_belongs_to_these_keys() {
    let config = "[profile p]\nrole_arn = arn:aws:iam::111122223333:role/deploy\ncredential_source = Environment\n";
    let world = World::with_config(Settings::default(), config);
    let fault = world.creds("p").await.unwrap_err();
    assert!(fault.hint.unwrap().contains("AWS_ACCESS_KEY_ID"));
    world.advance(minutes(1));
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        let keys = world.cloud.add_user(name);
        let mut setup = world.setup();
        for (variable, value) in
            [("AWS_ACCESS_KEY_ID", keys.key_id.as_str()), ("AWS_SECRET_ACCESS_KEY", keys.secret_key.expose())]
        {
            setup.environment.insert(variable.to_owned(), value.to_owned());
        }
        let wire = Arc::clone(&world.wire) as Arc<dyn bowline_base::wire::Wire>;
        let sources = bowline_credentials::Sources::new(wire, world.tasks.clone(), setup);
        let resolved = sources.resolve("p").unwrap();
        sources.credentials(&resolved, None).await.unwrap();
        ids.push(sources.lease_id(&resolved));
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(world.calls("sts.AssumeRole"), 2);
}
