//! Roles Anywhere against the fake's own verifier, with keys and certificates of the real `openssl`.

use std::{fs, sync::Arc};

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Credentials, Fault, Kind, wire::Wire};
use bowline_credentials::{Sources, once};
use bowline_fakeaws::Settings;
use jiff::SignedDuration;

use crate::{
    openssl::{Ca, ISSUER, LEAF, P256},
    world::{World, minutes},
};

const REGION: &str = "eu-central-1";

fn identity(ca: &Ca) -> RolesAnywhere {
    RolesAnywhere {
        name: "site".to_owned(),
        certificate: ca.path("p.pem"),
        intermediates: None,
        private_key: Some(ca.path("p.key")),
        password: None,
        trust_anchor: format!("arn:aws:rolesanywhere:{REGION}:111122223333:trust-anchor/t"),
        profile: format!("arn:aws:rolesanywhere:{REGION}:111122223333:profile/p"),
        role: "arn:aws:iam::111122223333:role/site".to_owned(),
        session_name: None,
        duration: None,
        region: None,
        edition: None,
    }
}

fn world(ca: &Ca, change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = Settings { trust_anchors: vec![ca.text("ca.pem")], ..Settings::default() };
    change(&mut settings);
    World::new(settings)
}

fn sources(world: &World, identity: RolesAnywhere) -> Sources {
    let mut setup = world.setup();
    setup.identities = vec![identity];
    Sources::new(Arc::clone(&world.wire) as Arc<dyn Wire>, world.tasks.clone(), setup)
}

async fn creds(sources: &Sources, name: &str) -> Result<Credentials, Fault> {
    once::credentials(sources, &sources.resolve(name)?).await
}

const CALL: &str = "rolesanywhere.CreateSession";

#[tokio::test]
async fn every_kind_of_key_is_believed_by_another_verifier() {
    let ca = Ca::new();
    for make in [
        "genrsa 2048",
        "genrsa 4096",
        P256,
        "ecparam -name secp384r1 -genkey -noout",
        "ecparam -name secp521r1 -genkey -noout",
    ] {
        ca.issue("p", make, LEAF);
        let world = world(&ca, |_| ());
        let got = creds(&sources(&world, identity(&ca)), "site")
            .await
            .unwrap_or_else(|fault| panic!("{make}: {}", fault.chain()));
        assert_eq!(got.account_id.as_deref(), Some("111122223333"));
        assert_eq!(world.calls("rolesanywhere.CreateSession.ok"), 1);
    }
}

#[tokio::test]
async fn intermediates_go_along_and_without_them_the_refusal_says_what_is_missing() {
    let ca = Ca::new();
    ca.key("inter", P256);
    ca.certify("inter", ISSUER, "ca", "-sha256 -days 30");
    ca.key("p", P256);
    ca.certify("p", LEAF, "inter", "-sha256 -days 30");
    let world = world(&ca, |_| ());
    let fault = creds(&sources(&world, identity(&ca)), "site").await.unwrap_err();
    assert_eq!(fault.kind, Kind::Refused);
    assert!(fault.message.contains("Untrusted Signing Certificate"), "{}", fault.message);
    assert!(fault.hint.unwrap().contains("the certificates between them"));
    let with = RolesAnywhere { intermediates: Some(ca.path("inter.pem")), ..identity(&ca) };
    world.advance(minutes(10));
    creds(&sources(&world, with), "site").await.unwrap();
}

#[tokio::test]
async fn a_session_is_shared_and_its_own_end_counts_not_the_wish() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = world(&ca, |settings| settings.anywhere_lifetime = Some(minutes(2)));
    let first = creds(&sources(&world, identity(&ca)), "site").await.unwrap();
    let second = creds(&sources(&world, identity(&ca)), "site").await.unwrap();
    assert_eq!((first.key_id, world.calls(CALL)), (second.key_id.clone(), 1));
    let life = first.expires_at.unwrap().duration_since(first.obtained_at);
    assert!(life > SignedDuration::from_secs(110) && life <= SignedDuration::from_secs(121), "{life}");
    world.advance(minutes(3));
    let third = creds(&sources(&world, identity(&ca)), "site").await.unwrap();
    assert!(third.key_id != second.key_id && world.calls(CALL) == 2);
}

#[tokio::test]
async fn a_clock_that_is_off_is_learnt_and_the_call_repeated_once() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = world(&ca, |settings| settings.clock_skew = SignedDuration::from_mins(20));
    // Aged by a second try of the clock's host; the certificate has begun on both clocks.
    creds(&sources(&world, identity(&ca)), "site").await.unwrap();
    assert_eq!((world.calls("rolesanywhere.CreateSession.AccessDenied"), world.calls(CALL)), (1, 2));
}

#[tokio::test]
async fn a_role_chain_may_begin_with_a_certificate() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = world(&ca, |_| ());
    world.write_config("[profile far]\nrole_arn = arn:aws:iam::111122223333:role/far\nsource_profile = site\n");
    creds(&sources(&world, identity(&ca)), "far").await.unwrap();
    assert_eq!((world.calls(CALL), world.calls("sts.AssumeRole.ok")), (1, 1));
}

#[tokio::test]
async fn nothing_is_asked_with_what_would_be_refused() {
    let ca = Ca::new();
    ca.issue("p", P256, ISSUER);
    let world = world(&ca, |_| ());
    let fault = creds(&sources(&world, identity(&ca)), "site").await.unwrap_err();
    assert!(fault.message.contains("certificate of a CA") && fault.kind == Kind::Config, "{}", fault.message);
    assert_eq!(world.calls(CALL), 0);
}

#[tokio::test]
async fn a_renewed_pair_is_taken_without_a_restart_and_the_old_one_used_while_the_new_is_half_there() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = world(&ca, |_| ());
    let sources = sources(&world, identity(&ca));
    creds(&sources, "site").await.unwrap();
    // The new key is there before its certificate.
    ca.key("new", P256);
    ca.certify("new", LEAF, "ca", "-sha256 -days 60 -set_serial 77");
    fs::copy(ca.path("new.key"), ca.path("p.key")).unwrap();
    world.advance(minutes(61));
    let half = creds(&sources, "site").await.unwrap();
    fs::copy(ca.path("new.pem"), ca.path("p.pem")).unwrap();
    world.advance(minutes(61));
    let whole = creds(&sources, "site").await.unwrap();
    assert!(half.key_id != whole.key_id && world.calls("rolesanywhere.CreateSession.ok") == 3);
}

#[tokio::test]
async fn a_pair_that_is_completed_a_moment_later_is_waited_for() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    ca.key("new", P256);
    ca.certify("new", LEAF, "ca", "-sha256 -days 60");
    fs::copy(ca.path("new.key"), ca.path("p.key")).unwrap();
    let world = world(&ca, |_| ());
    let sources = sources(&world, identity(&ca));
    let (from, to) = (ca.path("new.pem"), ca.path("p.pem"));
    world.meanwhile(move || fs::rename(from, to).unwrap());
    creds(&sources, "site").await.unwrap();
}

#[tokio::test]
async fn a_session_name_that_the_profile_does_not_take_is_told() {
    let ca = Ca::new();
    ca.issue("p", P256, LEAF);
    let world = world(&ca, |_| ());
    let named = RolesAnywhere { session_name: Some("router".to_owned()), ..identity(&ca) };
    let fault = creds(&sources(&world, named.clone()), "site").await.unwrap_err();
    assert!(fault.hint.unwrap().contains("acceptRoleSessionName"));
    world.cloud.set(|settings| settings.accept_role_session_name = true);
    world.advance(minutes(10));
    creds(&sources(&world, named), "site").await.unwrap();
}
