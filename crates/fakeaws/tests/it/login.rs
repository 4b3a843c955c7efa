//! Logins, refreshes and the ends of sessions.

use std::time::Duration;

use bowline_base::Now;
use bowline_fakeaws::{Cloud, Effect, Fault, SsoTokens};
use serde_json::{Value, json};

use crate::requests::{cloud, portal, post, start};

fn refresh(cloud: &Cloud, now: Now, tokens: &SsoTokens, refresh_token: &str) -> (u16, Value) {
    let body = json!({
        "grantType": "refresh_token", "clientId": tokens.client_id,
        "clientSecret": tokens.client_secret.expose(), "refreshToken": refresh_token,
    });
    post(cloud, now, "/token", &body)
}

fn first(tokens: &SsoTokens) -> &str {
    tokens.refresh_token.as_ref().unwrap().expose()
}

fn accounts(cloud: &Cloud, now: Now, token: &str) -> u16 {
    portal(cloud, now, "/assignment/accounts", token).0
}

#[test]
fn a_refresh_token_that_is_used_twice_ends_its_session_and_no_other() {
    let (cloud, now) = (cloud(json!({})), start());
    let (ours, other) = (cloud.sign_in(now), cloud.sign_in(now));
    let (status, second) = refresh(&cloud, now, &ours, first(&ours));
    assert_eq!(status, 200);
    let (access, next) = (second["accessToken"].as_str().unwrap(), second["refreshToken"].as_str().unwrap());
    assert_ne!(next, first(&ours));
    assert_eq!(accounts(&cloud, now, access), 200);
    let (status, error) = refresh(&cloud, now, &ours, first(&ours));
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    assert_eq!(refresh(&cloud, now, &ours, next).0, 400);
    assert_eq!(accounts(&cloud, now, access), 401);
    assert_eq!(accounts(&cloud, now, other.access_token.expose()), 200);
    assert_eq!(refresh(&cloud, now, &other, first(&other)).0, 200);
    let calls = cloud.counts().calls;
    assert_eq!(calls["sso-oidc.CreateToken.refresh_token.ok"], 2);
    assert_eq!(calls["sso-oidc.CreateToken.refresh_token.reused"], 1);
    assert_eq!(calls["sso-oidc.CreateToken.refresh_token.invalid_grant"], 1);
}

#[test]
fn strictness_can_be_taken_back() {
    let (cloud, now) = (cloud(json!({"revoke_on_reuse": false})), start());
    let tokens = cloud.sign_in(now);
    let (_, second) = refresh(&cloud, now, &tokens, first(&tokens));
    assert_eq!(refresh(&cloud, now, &tokens, first(&tokens)).0, 400);
    let next = second["refreshToken"].as_str().unwrap();
    cloud.set(|settings| settings.rotate_refresh_tokens = false);
    let (_, third) = refresh(&cloud, now, &tokens, next);
    assert_eq!(third["refreshToken"], next);
    cloud.patch_settings(&json!({"omit_refresh_token": "on-refresh"})).unwrap();
    let (status, fourth) = refresh(&cloud, now, &tokens, next);
    assert_eq!((status, fourth.get("refreshToken")), (200, None));
    assert_eq!(refresh(&cloud, now, &tokens, next).0, 200);
}

#[test]
fn tokens_sessions_and_registrations_end_to_the_second() {
    let lifetimes = json!({"access_token_lifetime": "1s", "session_lifetime": "5s", "registration_lifetime": "9s"});
    let (cloud, now) = (cloud(lifetimes), start());
    let tokens = cloud.sign_in(now);
    let token = tokens.access_token.expose();
    assert_eq!(accounts(&cloud, now.after(Duration::from_millis(999)), token), 200);
    assert_eq!(accounts(&cloud, now.after(Duration::from_secs(1)), token), 401);
    let (status, second) = refresh(&cloud, now.after(Duration::from_millis(4500)), &tokens, first(&tokens));
    assert_eq!((status, second["expiresIn"].as_i64()), (200, Some(0)));
    let next = second["refreshToken"].as_str().unwrap();
    let (status, error) = refresh(&cloud, now.after(Duration::from_secs(5)), &tokens, next);
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    let (status, error) = refresh(&cloud, now.after(Duration::from_secs(9)), &tokens, next);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
}

#[test]
fn a_lost_answer_has_rotated_the_token_all_the_same() {
    let (cloud, now) = (cloud(json!({})), start());
    let tokens = cloud.sign_in(now);
    cloud.fault(Fault::new("sso-oidc.CreateToken.*", Effect::Html(502)).times(1).after_work());
    let body = json!({
        "grantType": "refresh_token", "clientId": tokens.client_id,
        "clientSecret": tokens.client_secret.expose(), "refreshToken": first(&tokens),
    });
    let request = http::Request::post("/token").body(body.to_string().into()).unwrap();
    let reply = cloud.handle(now, request);
    assert_eq!(reply.response.status(), 502);
    assert_eq!(refresh(&cloud, now, &tokens, first(&tokens)).0, 400);
    assert_eq!(cloud.counts().calls["sso-oidc.CreateToken.refresh_token.reused"], 1);
}

#[test]
fn a_device_code_waits_for_its_person_and_minds_the_pace() {
    let (cloud, now) = (cloud(json!({"approve_after": "10s", "poll_interval": "5s"})), start());
    let registration = json!({"clientName": "t", "clientType": "public", "scopes": ["sso:account:access"]});
    let (_, client) = post(&cloud, now, "/client/register", &registration);
    let mut ask = json!({"clientId": client["clientId"], "clientSecret": client["clientSecret"], "startUrl": "u"});
    let (_, device) = post(&cloud, now, "/device_authorization", &ask);
    ask["grantType"] = "urn:ietf:params:oauth:grant-type:device_code".into();
    ask["deviceCode"] = device["deviceCode"].clone();
    let poll = |second| {
        let (_, answer) = post(&cloud, now.after(Duration::from_secs(second)), "/token", &ask);
        answer["error"].as_str().unwrap_or("ok").to_owned()
    };
    assert_eq!([poll(0), poll(2), poll(7)], ["authorization_pending", "slow_down", "authorization_pending"]);
    assert_eq!([poll(12), poll(13)], ["ok", "invalid_grant"]);
}

#[test]
fn every_secret_that_goes_out_is_known_to_the_scanner() {
    let (cloud, now) = (cloud(json!({})), start());
    let tokens = cloud.sign_in(now);
    let path = "/federation/credentials?role_name=build&account_id=111122223333";
    let (_, answer) = portal(&cloud, now, path, tokens.access_token.expose());
    let known: Vec<String> = cloud.secrets_in_play().iter().map(|secret| secret.expose().to_owned()).collect();
    let keys = &answer["roleCredentials"];
    for secret in [keys["secretAccessKey"].as_str(), keys["sessionToken"].as_str(), Some(first(&tokens))] {
        assert!(known.contains(&secret.unwrap().to_owned()));
    }
    assert!(known.contains(&tokens.client_secret.expose().to_owned()));
}
