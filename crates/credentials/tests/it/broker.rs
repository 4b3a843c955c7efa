//! The running broker: renewal ahead, files that change, the notice, the socket.

use std::{sync::Arc, time::Duration};

use bowline_audit::{AuditLog, Places};
use bowline_awsfiles::SsoKey;
use bowline_base::{Kind, wire::Wire};
use bowline_credentials::{
    Broker, Settings, Witness,
    broker::State,
    client::{self, Answer, GoAlone},
    grant::AuditDuty,
};
use bowline_fakeaws::{Effect, Fault as Strike, Settings as Cloud};
use bowline_host::{Ctx, Listeners, metrics::Metrics, notice::LoginNotice};

use crate::world::{CONFIG, World, minutes};

fn ctx(world: &World) -> Ctx {
    Ctx {
        wire: Arc::clone(&world.wire) as Arc<dyn Wire>,
        tasks: world.tasks.clone(),
        listeners: Listeners::default(),
        metrics: Metrics::default(),
        notifier: Default::default(),
    }
}

async fn start(world: &World, profiles: &[&str]) -> Broker {
    let run = world.home.path().join("run");
    let settings = Settings {
        setup: world.setup(),
        profiles: profiles.iter().map(|name| (*name).to_owned()).collect(),
        notice: Some(LoginNotice::new(run.join("login_required.txt"))),
        socket: Some(run.join("sock")),
        witness: None,
        grants: Default::default(),
    };
    Broker::start(&ctx(world), settings).await.unwrap()
}

/// Waits until no fetch is on its way.
async fn settled(broker: &Broker) {
    until("an end of all fetches", || broker.status().iter().all(|status| !status.fetching)).await;
}

/// Waits for what another task brings about; fails after two seconds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_ask_at_once_one_call_is_made() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &[]).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let broker = broker.clone();
        running.spawn(async move { broker.ask("build").await.unwrap().key_id.clone() });
    }
    let mut keys = running.join_all().await;
    keys.dedup();
    assert_eq!((keys.len(), world.calls("sso.GetRoleCredentials")), (1, 1));
}

#[tokio::test]
async fn a_job_always_has_a_good_set_while_credentials_rotate_all_day() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build"]).await;
    let identity = broker.identity("build");
    until("a first set", || identity.current().is_ok()).await;
    let mut keys = vec![identity.current().unwrap().key_id.clone()];
    for _ in 0..14 {
        world.advance(minutes(31));
        assert!(identity.current().is_ok(), "there was a gap");
        // Time jumped past the sleep that is under way; a suspend would end it as late as this.
        broker.ask("build").await.unwrap();
        let last = keys.last().unwrap().clone();
        until("a renewed set", || identity.current().is_ok_and(|held| held.key_id != last)).await;
        keys.push(identity.current().unwrap().key_id.clone());
    }
    assert_eq!(world.calls("sso.GetRoleCredentials"), 15, "one call for each rotation");
    assert!(broker.status().iter().all(|status| status.state == State::Fresh), "{:?}", broker.status());
}

#[tokio::test]
async fn the_session_is_renewed_ahead_although_nobody_asks() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &[]).await;
    until("the session is known", || broker.status().iter().any(|status| status.expires.is_some())).await;
    assert_eq!(world.calls("sso-oidc.CreateToken"), 0);
    world.advance(minutes(41));
    until("a refresh", || world.calls("sso-oidc.CreateToken") == 1).await;
    until("a saved token", || world.token().obtained_at.is_some()).await;
    assert_eq!(broker.status()[0].kind, "session");
}

#[tokio::test]
async fn a_login_by_another_tool_is_picked_up_within_a_second_and_the_notice_vanishes() {
    let world = World::new(Cloud::default());
    let broker = start(&world, &["build"]).await;
    let identity = broker.identity("build");
    let notice = world.home.path().join("run/login_required.txt");
    until("the notice", || notice.exists()).await;
    let text = std::fs::read_to_string(&notice).unwrap();
    for said in ["session: corp\nstart URL: http", "\nregion: ", "\nprofiles: ", "build", "run `bowline login corp`"] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    assert_eq!(identity.current().unwrap_err().0.kind, Kind::LoginRequired);
    assert_eq!(broker.status().iter().find(|status| status.name == "build").unwrap().state, State::LoginNeeded);
    world.sign_in();
    let begun = bowline_host::clock::now().boot;
    until("credentials", || identity.current().is_ok()).await;
    assert!(bowline_host::clock::now().boot - begun < Duration::from_secs(1));
    until("no notice", || !notice.exists()).await;
}

#[tokio::test]
async fn a_rejected_key_is_replaced_and_who_comes_later_gets_the_new_one_at_once() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build"]).await;
    let identity = broker.identity("build");
    let first = broker.ask("build").await.unwrap();
    world.advance(minutes(1));
    let second = identity.renew(&first.key_id).await.unwrap();
    assert_ne!(first.key_id, second.key_id);
    assert_eq!(identity.renew(&first.key_id).await.unwrap().key_id, second.key_id);
    assert_eq!(world.calls("sso.GetRoleCredentials"), 2);
}

#[tokio::test]
async fn an_outage_of_an_hour_costs_nothing_but_tries_and_ends_by_itself() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build"]).await;
    let identity = broker.identity("build");
    until("a first set", || identity.current().is_ok()).await;
    world.away(true);
    world.advance(minutes(31));
    broker.ask("build").await.unwrap();
    until("a failure", || broker.status().iter().any(|status| status.state == State::Stale)).await;
    assert!(identity.current().is_ok(), "the last good set is kept");
    world.advance(minutes(30));
    assert!(identity.current().is_err(), "an ended set is never served");
    world.away(false);
    world.advance(minutes(10));
    until("a new set", || identity.current().is_ok()).await;
}

#[tokio::test]
async fn what_no_job_and_no_configuration_names_any_more_is_gone_from_the_checks_and_the_metrics() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build", "nope"]).await;
    let named = |name: &str| broker.status().into_iter().find(|status| status.name == name);
    until("the mistake is told", || named("nope").is_some_and(|status| status.state == State::Failing)).await;
    broker.keep_fresh(&["build".to_owned()]);
    assert!(named("nope").is_none() && named("build").is_some_and(|status| status.standing));
    let job = broker.identity("deploy");
    until("the job's set", || job.current().is_ok()).await;
    drop(job);
    assert!(named("deploy").is_none(), "{:?}", broker.status());
}

#[tokio::test]
async fn a_rewritten_profile_gets_its_own_credentials() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build"]).await;
    let build = broker.ask("build").await.unwrap();
    world.write_config(&CONFIG.replace("sso_role_name = build", "sso_role_name = admin"));
    let identity = broker.identity("build");
    until("another set", || identity.current().is_ok_and(|held| held.key_id != build.key_id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_line_gets_the_document_over_the_socket_and_goes_alone_when_it_must() {
    let world = World::new(Cloud::default());
    world.sign_in();
    start(&world, &[]).await;
    let (socket, context) = (world.home.path().join("run/sock"), world.setup().context().whole());
    let ask = |context: &str, profile: &str| {
        let (socket, context, profile) = (socket.clone(), context.to_owned(), profile.to_owned());
        tokio::task::spawn_blocking(move || client::credentials(&socket, &context, &profile))
    };
    let Ok(Answer::Good(document)) = ask(&context, "build").await.unwrap() else { panic!() };
    let document: serde_json::Value = serde_json::from_str(document.expose()).unwrap();
    assert_eq!((document["Version"].as_i64(), document["AccountId"].as_str()), (Some(1), Some("111122223333")));
    let Ok(Answer::Fault(fault)) = ask(&context, "biuld").await.unwrap() else { panic!() };
    assert_eq!(fault.kind, Kind::Config);
    assert!(fault.message.contains("biuld"), "{fault}");
    assert!(matches!(ask("0000", "build").await.unwrap(), Err(GoAlone::OtherContext)));
    let status = tokio::task::spawn_blocking(move || client::status(&socket, &context)).await.unwrap();
    let Ok(Answer::Good(status)) = status else { panic!() };
    assert!(status.expose().contains("\"name\":\"build\""), "{}", status.expose());
    world.cloud.secrets_in_play().iter().for_each(|secret| assert!(!status.expose().contains(secret.expose())));
    let nobody = client::credentials(&world.home.path().join("none"), "", "build");
    assert!(matches!(nobody, Err(GoAlone::NoDaemon(_))));
}

#[tokio::test]
async fn a_daemon_that_is_restarted_in_an_outage_serves_what_the_last_one_fetched() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let kept = world.creds("build").await.unwrap();
    world.away(true);
    world.advance(minutes(45));
    let broker = start(&world, &["build"]).await;
    assert_eq!(broker.ask("build").await.unwrap().key_id, kept.key_id);
    world.advance(minutes(10));
    until("a try", || broker.status().iter().any(|status| status.state == State::Stale)).await;
    world.away(false);
    world.advance(minutes(4));
    let identity = broker.identity("build");
    until("a new set", || identity.current().is_ok_and(|held| held.key_id != kept.key_id)).await;
}

#[tokio::test]
async fn a_session_that_ran_out_before_the_daemon_began_bothers_nobody_until_somebody_asks() {
    let other = CONFIG.replace("[sso-session corp]", "[sso-session other]");
    let world = World::with_config(Cloud::default(), &format!("{CONFIG}{}", other.split("[profile").next().unwrap()));
    world.sign_in();
    world.advance(minutes(61));
    world.sign_in_to(&SsoKey::Session("other".to_owned()));
    let broker = start(&world, &[]).await;
    let knows = |session: &str| broker.status().iter().any(|status| status.name == session);
    // All sessions are looked at in one go.
    until("a look at the sessions", || knows("other")).await;
    assert!(!knows("corp") && world.calls("") == 0);
    broker.ask("build").await.unwrap();
    until("the session is known", || knows("corp")).await;
    assert_eq!(world.calls("sso-oidc.CreateToken"), 1);
}

#[tokio::test]
async fn an_audit_log_that_another_process_holds_keeps_only_who_must_be_written_down() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let places = Places::below(world.home.path());
    let lock = places.directory.join("audit.lock");
    let (socket, context) = (world.home.path().join("run/sock"), world.setup().context().whole());
    let settings = Settings {
        setup: world.setup(),
        profiles: Vec::new(),
        notice: None,
        socket: Some(socket.clone()),
        witness: Some(Witness::new(AuditLog::new(places, Vec::new()), AuditDuty::Warn)),
        grants: Default::default(),
    };
    let broker = Broker::start(&ctx(&world), settings).await.unwrap();
    broker.ask("build").await.unwrap();
    let held = std::fs::File::open(lock).unwrap();
    held.lock().unwrap();
    let mut asked = tokio::task::spawn_blocking(move || client::credentials(&socket, &context, "build"));
    let begun = bowline_host::clock::now().boot;
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut asked).await.is_err(), "it is written down first");
    assert!(bowline_host::clock::now().boot - begun < Duration::from_secs(3), "the one thread of this test goes on");
    held.unlock().unwrap();
    assert!(matches!(asked.await.unwrap(), Ok(Answer::Good(_))));
}

#[tokio::test]
async fn metrics_and_checks_tell_how_it_stands() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let ctx = ctx(&world);
    let settings = Settings {
        setup: world.setup(),
        profiles: vec!["build".to_owned()],
        notice: None,
        socket: None,
        witness: None,
        grants: Default::default(),
    };
    let broker = Broker::start(&ctx, settings).await.unwrap();
    broker.ask("build").await.unwrap();
    let text = ctx.metrics.text();
    assert!(text.contains(r#"bowline_credential_fetches_total{kind="profile",outcome="ok"} 1"#), "{text}");
    let checks = bowline_host::Job::checks(&broker);
    let check = checks.iter().find(|check| check.id == "credentials.profile.build").unwrap();
    assert_eq!(check.verdict, bowline_host::Verdict::Ok);
    let status = bowline_host::Job::status(&broker).to_string();
    assert!(world.cloud.secrets_in_play().iter().all(|secret| !status.contains(secret.expose())));
}

#[tokio::test]
async fn a_refresh_of_our_own_forgives_nothing_and_somebody_s_change_does() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let no = Effect::Error { status: 403, code: "ForbiddenException".to_owned() };
    world.cloud.fault(Strike::new("sso.GetRoleCredentials", no));
    let broker = start(&world, &["build"]).await;
    until("a refusal", || broker.status().iter().any(|status| status.name == "build" && status.failure.is_some()))
        .await;
    world.advance(minutes(41));
    until("a refresh", || world.token().obtained_at.is_some()).await;
    settled(&broker).await;
    broker.look_at_files();
    std::fs::write(world.token_path().with_extension("lock"), "").unwrap();
    std::fs::write(world.home.path().join(".aws/history"), "").unwrap();
    broker.look_at_files();
    settled(&broker).await;
    assert_eq!(world.calls("sso.GetRoleCredentials"), 1);
    world.write_config(&format!("{CONFIG}\n"));
    until("another try", || world.calls("sso.GetRoleCredentials") == 2).await;
}

#[tokio::test]
async fn after_a_logout_the_daemon_serves_none_of_its_profiles() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &["build"]).await;
    let identity = broker.identity("build");
    broker.ask("deploy").await.unwrap();
    until("a first set", || identity.current().is_ok()).await;
    bowline_credentials::login::logout(&world.sources(), "corp").await.unwrap();
    until("the job is told", || identity.current().is_err_and(|why| why.0.kind == Kind::LoginRequired)).await;
    assert_eq!(broker.ask("deploy").await.unwrap_err().0.kind, Kind::LoginRequired);
    world.sign_in();
    until("credentials after a login", || identity.current().is_ok()).await;
}

#[tokio::test]
async fn a_token_that_had_ended_when_it_came_is_told_so() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let broker = start(&world, &[]).await;
    until("the session is known", || broker.status().iter().any(|status| status.expires.is_some())).await;
    world.cloud.set(|settings| settings.access_token_lifetime = Duration::ZERO);
    world.advance(minutes(41));
    let said = |text: &str| broker.status()[0].failure.as_ref().is_some_and(|why| why.contains(text));
    until("the reason", || said("already ended")).await;
}
