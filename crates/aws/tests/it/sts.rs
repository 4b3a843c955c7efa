//! STS: role sessions and who we are.

use std::time::Duration;

use bowline_aws::sts::{
    AssumeRole, AssumeRoleWithWebIdentity, assume_role, assume_role_with_web_identity, caller_identity,
};
use bowline_base::{FixedIdentity, Kind, Secret};
use bowline_fakeaws::{Effect, Fault, Settings};

use crate::World;

#[tokio::test]
async fn a_role_is_assumed_and_is_who_we_are_then() {
    let world = World::new(Settings::default()).await;
    let mut request = AssumeRole::new(&world.scenario.role_arn, "it-test");
    request.duration = Some(Duration::from_secs(900));
    let role = assume_role(&world.aws, &world.region, &world.user(), &request).await.unwrap();
    assert_eq!(role.credentials.account_id.as_ref(), Some(&world.scenario.account_id));
    let life = role.credentials.expires_at.unwrap().duration_since(role.credentials.obtained_at).as_secs();
    assert!((895..=901).contains(&life), "{life} s");
    let who = caller_identity(&world.aws, &world.region, &FixedIdentity::new(role.credentials)).await.unwrap();
    assert_eq!(who.arn, role.arn);
}

#[tokio::test]
async fn a_web_identity_becomes_a_role_without_keys() {
    let token = Secret::new("jwt-of-the-cluster");
    let settings = Settings { web_identity_tokens: vec![token.clone()], ..Settings::default() };
    let world = World::new(settings).await;
    let request = AssumeRoleWithWebIdentity {
        role_arn: world.scenario.role_arn.clone(),
        session_name: "it".to_owned(),
        token,
        duration: None,
    };
    let role = assume_role_with_web_identity(&world.aws, &world.region, &request).await.unwrap();
    assert_eq!(role.credentials.account_id.as_ref(), Some(&world.scenario.account_id));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_as_a_credential_failure() {
    let world = World::new(Settings::default()).await;
    let mut keys = world.scenario.user.clone();
    keys.secret_key = Secret::new("wrong");
    let error = caller_identity(&world.aws, &world.region, &FixedIdentity::new(keys)).await.unwrap_err();
    assert!(error.is_credential_failure(), "{error}");
    assert_eq!((error.kind(), world.calls("sts.GetCallerIdentity")), (Kind::Refused, 1));
}

#[tokio::test]
async fn throttling_errors_resets_and_hangs_are_ridden_out() {
    let error = Effect::Error { status: 500, code: "InternalFailure".to_owned() };
    for effect in [Effect::Throttle, error, Effect::Reset, Effect::Hang, Effect::Html(502), Effect::Truncate(20)] {
        let world = World::new(Settings::default()).await;
        world.cloud().fault(Fault::new("sts.*", effect.clone()).times(1));
        let who = caller_identity(&world.aws, &world.region, &world.user()).await;
        assert!(who.is_ok(), "{effect:?}: {who:?}");
    }
}

#[tokio::test]
async fn a_captive_portal_is_unreachable() {
    let world = World::new(Settings::default()).await;
    world.cloud().fault(Fault::new("*", Effect::Html(200)));
    let error = caller_identity(&world.aws, &world.region, &world.user()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("answered with something that is not"), "{error}");
}

#[tokio::test]
async fn keys_that_take_a_moment_to_spread_are_waited_for() {
    let world = World::new(Settings { propagation_delay: Duration::from_millis(30), ..Settings::default() }).await;
    let session = world.session();
    let mut found = caller_identity(&world.aws, &world.region, &session).await;
    assert!(world.calls("sts.GetCallerIdentity") > 1, "the first try must have come too early");
    // Pauses are random; a call with three very short ones may still be too early.
    for _ in 0..5 {
        if found.is_err() {
            found = caller_identity(&world.aws, &world.region, &session).await;
        }
    }
    assert!(found.is_ok(), "{found:?}");
}
