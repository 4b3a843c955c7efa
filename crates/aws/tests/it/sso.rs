//! Identity Center: a login by device code, renewal, the portal, and answers that get lost.

use std::time::Duration;

use bowline_aws::{
    sso::{RoleOf, list_account_roles, list_accounts, logout, role_credentials},
    sso_oidc::{
        Grant, Refusal, RegisterClient, Registration, Token, create_token, register_client, start_device_authorization,
    },
    sts::caller_identity,
};
use bowline_base::FixedIdentity;
use bowline_fakeaws::{Effect, Fault, Settings};

use crate::World;

async fn client(world: &World) -> Registration {
    let request = RegisterClient {
        client_name: "bowline".to_owned(),
        scopes: vec!["sso:account:access".to_owned()],
        ..RegisterClient::default()
    };
    register_client(&world.aws, &world.region, &request).await.unwrap()
}

async fn log_in(world: &World, client: &Registration) -> Token {
    let start = &world.scenario.start_url;
    let device = start_device_authorization(&world.aws, &world.region, client, start).await.unwrap();
    let grant = Grant::DeviceCode { device_code: device.device_code };
    create_token(&world.aws, &world.region, client, &grant).await.unwrap()
}

#[tokio::test]
async fn a_device_login_opens_accounts_roles_and_keys() {
    let world = World::new(Settings::default()).await;
    let token = log_in(&world, &client(&world).await).await;
    let access = &token.access_token;
    let accounts = list_accounts(&world.aws, &world.region, access).await.unwrap();
    assert_eq!(accounts.iter().map(|account| &account.id).collect::<Vec<_>>(), [&world.scenario.account_id]);
    let account_id = accounts[0].id.clone();
    let roles = list_account_roles(&world.aws, &world.region, access, &account_id).await.unwrap();
    assert!(roles.contains(&world.scenario.role), "{roles:?}");
    let role = RoleOf { account_id, role_name: world.scenario.role.clone() };
    let keys = role_credentials(&world.aws, &world.region, access, &role).await.unwrap();
    let life = keys.expires_at.unwrap().duration_since(keys.obtained_at).as_secs();
    assert!((3595..=3601).contains(&life), "{life} s");
    let who = caller_identity(&world.aws, &world.region, &FixedIdentity::new(keys)).await.unwrap();
    assert_eq!(who.account, world.scenario.account_id);
    logout(&world.aws, &world.region, access).await.unwrap();
    let error = role_credentials(&world.aws, &world.region, access, &role).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
}

#[tokio::test]
async fn an_unanswered_device_code_is_pending_and_a_denied_one_denied() {
    let world =
        World::new(Settings { approve_after: None, poll_interval: Duration::ZERO, ..Settings::default() }).await;
    let client = client(&world).await;
    let start = &world.scenario.start_url;
    let device = start_device_authorization(&world.aws, &world.region, &client, start).await.unwrap();
    let grant = Grant::DeviceCode { device_code: device.device_code };
    let error = create_token(&world.aws, &world.region, &client, &grant).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::AuthorizationPending), "{error}");
    world.cloud().deny(None);
    let error = create_token(&world.aws, &world.region, &client, &grant).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::AccessDenied), "{error}");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let world = World::new(Settings::default()).await;
    let client = client(&world).await;
    let refresh_token = log_in(&world, &client).await.refresh_token.unwrap();
    let grant = Grant::RefreshToken { refresh_token };
    assert!(create_token(&world.aws, &world.region, &client, &grant).await.unwrap().refresh_token.is_some());
    let error = create_token(&world.aws, &world.region, &client, &grant).await.unwrap_err();
    assert_eq!((Refusal::of(&error), error.is_ambiguous()), (Some(Refusal::InvalidGrant), false), "{error}");
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_is_reported_as_that() {
    for effect in [Effect::Reset, Effect::Truncate(10), Effect::Hang, Effect::Html(200)] {
        let world = World::new(Settings::default()).await;
        let client = client(&world).await;
        let refresh_token = log_in(&world, &client).await.refresh_token.unwrap();
        let before = world.calls("sso-oidc.CreateToken");
        world.cloud().fault(Fault::new("sso-oidc.CreateToken*", effect.clone()).after_work().times(1));
        let grant = Grant::RefreshToken { refresh_token };
        let error = create_token(&world.aws, &world.region, &client, &grant).await.unwrap_err();
        assert!(error.is_ambiguous(), "{effect:?}: {error}");
        assert!(world.calls("sso-oidc.CreateToken") - before <= 2, "{effect:?}");
    }
}
