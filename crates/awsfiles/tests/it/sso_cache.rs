//! The SSO cache on a real disk.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use base::{Fault, Kind, Secret, Timestamp, parse_timestamp};
use bowline_awsfiles::{Extra, Registration, RegistrationKey, SsoCache, SsoKey, SsoLogin, SsoToken, UnreadableReason};
use bowline_base as base;

fn cache() -> (tempfile::TempDir, SsoCache) {
    let home = tempfile::tempdir().unwrap();
    let cache = SsoCache::new(home.path().join(".aws/sso/cache"));
    (home, cache)
}

fn corp() -> SsoKey {
    SsoKey::Session("corp".into())
}

fn end() -> Timestamp {
    parse_timestamp("2026-11-22T01:39:17Z").unwrap()
}

fn registration(id: &str) -> Registration {
    let expires_at = end() + Duration::from_secs(86400);
    let (scopes, grant_types) = (Vec::new(), Vec::new());
    Registration { client_id: id.into(), client_secret: Secret::new("CS"), expires_at, scopes, grant_types }
}

fn token() -> SsoToken {
    SsoToken {
        start_url: Some("https://a/start".into()),
        region: Some("eu-west-1".into()),
        access_token: Secret::new("AT"),
        expires_at: end(),
        refresh_token: Some(Secret::new("RT")),
        registration: Some(registration("inside")),
        obtained_at: Some(end() - Duration::from_secs(3600)),
        extra: Extra::default(),
    }
}

fn login() -> SsoLogin {
    SsoLogin { key: corp(), start_url: "https://a/start".into(), region: "eu-west-1".into(), scopes: Vec::new() }
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names were printed by Python's hashlib and json.
#[test]
fn files_are_named_as_the_aws_cli_names_them() {
    assert_eq!(corp().hash(), "ee0bfd2552fbd840c02cc48b6e823320543c450f");
    assert_eq!(SsoKey::Legacy("https://a/start#/".into()).hash(), "30c674cc16517c7f1b565c50a5bf2f4e4387c982");
    let mut key = RegistrationKey {
        start_url: "https://a/start".into(),
        region: "eu-west-1".into(),
        scopes: vec!["sso:account:access".into(), "x".into()],
        session: Some("cörp😀".into()),
    };
    assert_eq!(key.hash(), "dfad292fd773a40b23a31a8371e86396fc39195e");
    (key.scopes, key.session) = (Vec::new(), None);
    assert_eq!(key.hash(), "216de271bb9e35a07dde1194117772c0d91797d2");
}

#[test]
fn a_token_is_stored_for_its_owner_only_in_a_directory_that_is_made() {
    let (_home, cache) = cache();
    assert_eq!(cache.token(&corp()).unwrap(), None);
    cache.store_token(&corp(), &token()).unwrap();
    assert_eq!(cache.token(&corp()).unwrap(), Some(token()));
    assert_eq!(mode(&cache.token_path(&corp())), 0o600);
    assert_eq!(mode(cache.directory()), 0o700);
    cache.remove_token(&corp()).unwrap();
    cache.remove_token(&corp()).unwrap();
    assert_eq!(cache.token(&corp()).unwrap(), None);
}

#[test]
fn an_unreadable_file_says_why_and_a_copy_of_it_is_kept() {
    let (_home, cache) = cache();
    let why = |bytes: &[u8]| {
        base::atomic::private_directory(cache.directory()).unwrap();
        base::atomic::write_private(&cache.token_path(&corp()), bytes).unwrap();
        cache.token(&corp()).unwrap_err()
    };
    assert!(matches!(why(b"").reason, UnreadableReason::Empty(_)));
    assert!(matches!(why(b"{\"clientIdHash\":\"x\"}").reason, UnreadableReason::Foreign(_)));
    assert!(matches!(why(b"\xff").reason, UnreadableReason::Broken(_)));
    let half = why(b"{\"accessToken\":\"hunter2");
    assert!(matches!(half.reason, UnreadableReason::Broken(_)));
    let copy = cache.keep_bad_copy(&corp()).unwrap();
    assert_eq!((fs::read(&copy).unwrap().as_slice(), mode(&copy)), (b"{\"accessToken\":\"hunter2".as_slice(), 0o600));
    assert_ne!(copy.extension().unwrap(), "json");
    let fault = Fault::from(half);
    assert_eq!(fault.kind, Kind::LoginRequired);
    assert!(!format!("{fault:?}").contains("hunter2"));
}

#[test]
fn a_directory_in_place_of_a_token_is_unreadable_not_a_panic() {
    let (_home, cache) = cache();
    fs::create_dir_all(cache.token_path(&corp())).unwrap();
    assert!(matches!(cache.token(&corp()).unwrap_err().reason, UnreadableReason::Io(_)));
    assert!(cache.store_token(&corp(), &token()).unwrap_err().message.starts_with("cannot write"));
}

#[test]
fn the_lock_lies_beside_the_token_where_the_aws_cli_does_not_look() {
    let (_home, cache) = cache();
    let held = cache.try_lock(&corp()).unwrap().unwrap();
    assert!(cache.try_lock(&corp()).unwrap().is_none());
    assert!(cache.try_lock(&SsoKey::Session("other".into())).unwrap().is_some());
    let names = fs::read_dir(cache.directory()).unwrap().map(|entry| entry.unwrap().path());
    assert!(names.into_iter().all(|path| path.extension().unwrap() != "json"));
    drop(held);
    assert!(cache.try_lock(&corp()).unwrap().is_some());
}

#[test]
fn a_cache_that_cannot_be_made_is_an_error_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    base::atomic::write_private(&home.path().join("file"), b"").unwrap();
    let fault = SsoCache::new(home.path().join("file/cache")).store_token(&corp(), &token()).unwrap_err();
    assert!(fault.hint.unwrap().contains("ls -ld"));
}

#[test]
fn registrations_are_reused_from_their_file_and_from_an_expired_token_until_they_end() {
    let (_home, cache) = cache();
    let ids = |now| cache.registrations(&login(), now).into_iter().map(|found| found.client_id).collect::<Vec<_>>();
    assert!(ids(end()).is_empty());
    cache.store_token(&corp(), &token()).unwrap();
    let after_the_token = end() + Duration::from_secs(10);
    assert_eq!(ids(after_the_token), ["inside"]);
    cache.store_registration(&login(), &registration("kept")).unwrap();
    assert_eq!(ids(after_the_token), ["kept", "inside"]);
    assert!(ids(end() + Duration::from_secs(86400)).is_empty());
}

#[test]
fn a_registration_without_scopes_is_where_the_aws_cli_looks_for_it() {
    let (_home, cache) = cache();
    let legacy = SsoLogin { key: SsoKey::Legacy("https://a/start".into()), ..login() };
    let written = Registration { grant_types: vec!["device".into()], ..registration("x") };
    cache.store_registration(&legacy, &written).unwrap();
    let path = cache.directory().join("216de271bb9e35a07dde1194117772c0d91797d2.json");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(cache.registrations(&legacy, end()), [written]);
}
