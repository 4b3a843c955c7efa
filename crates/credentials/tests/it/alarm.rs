//! What people are told by the running broker, and that a refusal is remembered until something changes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Kind, wire::Wire};
use bowline_credentials::{Broker, Settings};
use bowline_fakeaws::{Effect, Fault as Strike, Settings as Cloud};
use bowline_host::{Ctx, Listeners, Notifier, metrics::Metrics, notify::Channels};

use crate::{
    openssl::{Ca, LEAF, P256},
    world::{World, minutes},
};

const DAY: Duration = Duration::from_secs(86_400);

/// A broker that keeps `profile` fresh, and the file in which people are told what goes on.
async fn start(world: &World, profile: &str, identities: Vec<RolesAnywhere>) -> (Broker, PathBuf) {
    let told = world.home.path().join("told.txt");
    let wire = Arc::clone(&world.wire) as Arc<dyn Wire>;
    let channels = Channels { file: Some(told.clone()), ..Channels::default() };
    let notifier = Notifier::start(Arc::clone(&wire), &world.tasks, world.home.path().join("notify.json"), channels);
    let (tasks, listeners) = (world.tasks.clone(), Listeners::default());
    let ctx = Ctx { wire, tasks, listeners, metrics: Metrics::default(), notifier };
    let mut setup = world.setup();
    setup.identities = identities;
    let settings = Settings {
        setup,
        profiles: vec![profile.to_owned()],
        notice: None,
        socket: None,
        witness: None,
        grants: Default::default(),
    };
    (Broker::start(&ctx, settings).await.unwrap(), told)
}

fn site(ca: &Ca) -> RolesAnywhere {
    let arn = |what: &str| format!("arn:aws:rolesanywhere:eu-central-1:111122223333:{what}");
    RolesAnywhere {
        name: "site".to_owned(),
        certificate: ca.path("p.pem"),
        intermediates: None,
        private_key: Some(ca.path("p.key")),
        password: None,
        trust_anchor: arn("trust-anchor/t"),
        profile: arn("profile/p"),
        role: "arn:aws:iam::111122223333:role/site".to_owned(),
        session_name: None,
        duration: None,
        region: None,
        edition: None,
    }
}

/// Waits for what another task brings about; fails after ten seconds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

fn text(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn a_renewal_that_fails_for_long_is_told_and_its_success_ends_it() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let (broker, told) = start(&world, "build", Vec::new()).await;
    let identity = broker.identity("build");
    until("a first set", || identity.current().is_ok()).await;
    world.away(true);
    world.advance(minutes(31));
    until("a failure", || broker.status().iter().any(|status| status.name == "build" && status.failure.is_some()))
        .await;
    assert_eq!(text(&told), "", "there is time left");
    world.advance(minutes(11));
    until("it is told", || text(&told).contains("profile `build` cannot be renewed since 20")).await;
    assert!(text(&told).contains("cannot be reached; what is held ends at 20"), "{}", text(&told));
    world.away(false);
    world.advance(minutes(10));
    until("it is over", || !told.exists()).await;
    assert!(world.cloud.secrets_in_play().iter().all(|secret| !text(&told).contains(secret.expose())));
}

#[tokio::test]
async fn a_certificate_is_told_in_the_last_third_of_its_life_until_there_is_another() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = World::new(Cloud { trust_anchors: vec![ca.text("ca.pem")], ..Cloud::default() });
    let (broker, told) = start(&world, "site", vec![site(&ca)]).await;
    let identity = broker.identity("site");
    until("a first set", || identity.current().is_ok()).await;
    world.advance(19 * DAY);
    broker.ask("site").await.unwrap();
    assert_eq!(text(&told), "");
    world.advance(2 * DAY);
    until("it is told", || text(&told).contains("the certificate of `site`")).await;
    assert!(text(&told).contains(&format!("put the new one into `{}`", ca.path("p.pem").display())), "{}", text(&told));
    ca.certify("p", LEAF, "ca", "-sha256 -days 300");
    until("it is over", || !told.exists()).await;
}

#[tokio::test]
async fn a_refusal_is_asked_about_once_until_the_certificate_changes() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = World::new(Cloud { trust_anchors: vec![ca.text("ca.pem")], ..Cloud::default() });
    let no = Effect::Error { status: 403, code: "AccessDeniedException".to_owned() };
    world.cloud.fault(Strike::new("rolesanywhere.CreateSession", no));
    let (broker, told) = start(&world, "site", vec![site(&ca)]).await;
    for _ in 0..20 {
        assert_eq!(broker.ask("site").await.unwrap_err().0.kind, Kind::Refused);
    }
    assert_eq!(world.calls("rolesanywhere.CreateSession"), 1);
    until("nothing tries by itself, so it is told at once", || text(&told).contains("nothing left to hand out")).await;
    world.cloud.clear_faults();
    ca.certify("p", LEAF, "ca", "-sha256 -days 31");
    until("another try although nobody asks", || {
        world.advance(Duration::from_millis(100));
        world.calls("rolesanywhere.CreateSession") == 2
    })
    .await;
    until("it is over", || !told.exists()).await;
}

#[tokio::test]
async fn a_refresh_token_that_was_refused_is_never_sent_again_and_a_login_ends_it() {
    let world = World::new(Cloud::default());
    world.sign_in();
    let (broker, told) = start(&world, "build", Vec::new()).await;
    broker.ask("build").await.unwrap();
    world.cloud.end_sessions();
    world.advance(minutes(61));
    for _ in 0..20 {
        assert_eq!(broker.ask("build").await.unwrap_err().0.kind, Kind::LoginRequired);
        world.advance(minutes(6));
    }
    assert_eq!(world.calls("sso-oidc.CreateToken"), 1);
    assert_eq!(text(&told), "`corp` needs a login\nrun `bowline login corp`\n");
    world.sign_in();
    until("it is over", || !told.exists() && broker.identity("build").current().is_ok()).await;
}

#[tokio::test]
async fn a_profile_that_is_not_wanted_any_more_needs_no_login() {
    let world = World::with_config(Cloud::default(), "");
    let device = "arn:aws:iam::111122223333:mfa/me";
    world.write_config(&format!(
        "[profile admin]\naws_access_key_id = AKIAME\naws_secret_access_key = x\nmfa_serial = {device}\n"
    ));
    let (broker, told) = start(&world, "admin", Vec::new()).await;
    until("it is told", || text(&told).contains("`profile admin` needs a login")).await;
    broker.keep_fresh(&[]);
    until("it is over", || !told.exists()).await;
}
