//! Signing in and out.

use std::{
    io::{Read as _, Write as _},
    sync::{Arc, mpsc},
    time::Duration,
};

use bowline_base::{Fault, Kind, wire::Wire as _};
use bowline_credentials::login::{How, LoginEvent, SignedIn, login, logout};
use bowline_fakeaws::{Effect, Fault as Strike, Settings};
use bytes::Bytes;
use http::Request;

use crate::world::{World, minutes};

async fn sign_in(world: &World, how: How, mut show: impl FnMut(LoginEvent) + Send) -> Result<SignedIn, Fault> {
    login(&world.sources(), &world.tasks, "corp", how, &mut show).await
}

#[tokio::test]
async fn a_device_code_ends_in_a_session_that_renews_itself() {
    let world = World::new(Settings::default());
    let mut shown = Vec::new();
    let signed_in = sign_in(&world, How::Device, |event| shown.push(event)).await.unwrap();
    assert!(signed_in.renewable && signed_in.session == "corp");
    let [LoginEvent::Device { user_code, complete_url, .. }] = &shown[..] else { panic!("{shown:?}") };
    assert!(complete_url.contains(user_code.as_str()));
    world.creds("build").await.unwrap();
    world.advance(minutes(61));
    world.creds("build").await.unwrap();
}

#[tokio::test]
async fn a_registration_is_used_again_until_it_ends() {
    let world = World::new(Settings::default());
    sign_in(&world, How::Device, |_| ()).await.unwrap();
    sign_in(&world, How::Device, |_| ()).await.unwrap();
    assert_eq!(world.calls("sso-oidc.RegisterClient"), 1);
    world.advance(minutes(90 * 24 * 60));
    sign_in(&world, How::Device, |_| ()).await.unwrap();
    assert_eq!(world.calls("sso-oidc.RegisterClient"), 2);
}

#[tokio::test]
async fn a_person_who_says_no_is_believed() {
    let world = Arc::new(World::new(Settings { approve_after: None, ..Settings::default() }));
    let cloud = Arc::clone(&world.cloud);
    let fault = sign_in(&world, How::Device, move |_| assert_eq!(cloud.deny(None), 1)).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Refused, "{}", fault.chain());
}

#[tokio::test]
async fn trouble_of_the_service_is_polled_through() {
    let world = World::new(Settings::default());
    world.cloud.fault(Strike::new("sso-oidc.CreateToken*", Effect::Html(503)).times(2));
    sign_in(&world, How::Device, |_| ()).await.unwrap();
}

#[tokio::test]
async fn a_code_that_nobody_approves_ends_by_our_own_clock() {
    let world = World::new(Settings { approve_after: None, ..Settings::default() });
    let waiting = sign_in(&world, How::Device, |_| ());
    let (fault, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.advance(minutes(11));
    });
    assert_eq!(fault.unwrap_err().kind, Kind::Interrupted);
}

/// A browser that follows one redirect, after a few other things that browsers and pages do.
fn browse(world: &World, url: &str) {
    let reply = world.cloud.handle(world.wire.now(), Request::get(url).body(Bytes::new()).unwrap());
    let back = reply.response.headers()["location"].to_str().unwrap().to_owned();
    let (authority, target) = back.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let visit = |host: &str, target: &str| {
        let mut stream = std::net::TcpStream::connect(authority).unwrap();
        write!(stream, "GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(visit(authority, "favicon.ico").starts_with("HTTP/1.1 404"));
    assert!(visit(authority, "oauth/callback?code=x&state=guessed").starts_with("HTTP/1.1 400"));
    assert!(visit("evil.example", target).starts_with("HTTP/1.1 403"));
    let page = visit(authority, target);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("no-store"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_comes_back_with_a_code_and_nothing_else_can() {
    let world = Arc::new(World::new(Settings::default()));
    let (open, opened) = mpsc::channel::<String>();
    let browser = Arc::clone(&world);
    let browsing = tokio::task::spawn_blocking(move || browse(&browser, &opened.recv().unwrap()));
    let signed_in = sign_in(&world, How::Browser, move |event| {
        let LoginEvent::Open { url } = event else { panic!("{event:?}") };
        open.send(url).unwrap();
    });
    assert!(signed_in.await.unwrap().renewable);
    browsing.await.unwrap();
    world.creds("build").await.unwrap();
    world.advance(minutes(61));
    world.creds("build").await.unwrap();
}

#[tokio::test]
async fn a_profile_that_has_nothing_to_sign_in_to_is_told_so() {
    let keys = "[profile corp]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n";
    let world = World::with_config(Settings::default(), keys);
    assert_eq!(sign_in(&world, How::Device, |_| ()).await.unwrap_err().kind, Kind::Config);
}

#[tokio::test]
async fn signing_out_leaves_neither_token_nor_lease() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.creds("deploy").await.unwrap();
    let token = world.token();
    let out = logout(&world.sources(), "corp").await.unwrap();
    assert!(out.had_token && out.portal.is_none());
    assert_eq!(out.leases, 2, "the role's and its base's");
    assert!(!world.token_path().exists());
    assert_eq!(world.creds("deploy").await.unwrap_err().kind, Kind::LoginRequired);
    logout(&world.sources(), "corp").await.unwrap();
    world.cache().store_token(&crate::world::corp(), &token).unwrap();
    assert_eq!(world.creds("build").await.unwrap_err().kind, Kind::LoginRequired, "the portal still takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_registration_that_the_service_no_longer_knows_is_made_anew() {
    let world = World::new(Settings::default());
    let corp = bowline_awsfiles::Config::load(&world.locations()).unwrap().login("corp").unwrap().unwrap();
    let unknown = bowline_awsfiles::Registration {
        client_id: "forgotten".to_owned(),
        client_secret: bowline_base::Secret::new("secret"),
        expires_at: world.wire.now().wall + minutes(60 * 24 * 60),
        scopes: vec!["sso:account:access".to_owned()],
        grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"].map(str::to_owned).to_vec(),
    };
    world.cache().store_registration(&corp, &unknown).unwrap();
    sign_in(&world, How::Device, |_| ()).await.unwrap();
    assert_eq!(world.calls("sso-oidc.RegisterClient"), 1);
    sign_in(&world, How::Device, |_| ()).await.unwrap();
    assert_eq!(world.calls("sso-oidc.RegisterClient"), 1, "the new one is kept");
}

#[tokio::test]
async fn signing_out_leaves_no_copy_of_a_broken_token() {
    let world = World::new(Settings::default());
    world.sign_in();
    std::fs::write(world.token_path(), "{").unwrap();
    world.creds("build").await.unwrap_err();
    let copy = world.token_path().with_extension("json.bad");
    assert!(copy.exists());
    logout(&world.sources(), "corp").await.unwrap();
    assert!(!copy.exists() && !world.token_path().exists());
}
