//! SSO tokens: one refresher, nothing lost, and the true reason when a login is needed.

use std::{fs, process::Command, sync::Arc};

use bowline_base::Kind;
use bowline_fakeaws::{Effect, Fault as Strike, OmitRefresh, Settings};

use crate::world::{CONFIG, World, minutes};

const CREATE: &str = "sso-oidc.CreateToken";

#[tokio::test]
async fn one_login_serves_until_the_session_ends_and_then_says_what_to_type() {
    let world = World::new(Settings::default());
    world.sign_in();
    for _ in 0..22 {
        let credentials = world.creds("build").await.unwrap();
        assert!(credentials.usable_at(bowline_base::wire::Wire::now(&*world.wire).wall));
        world.advance(minutes(20));
    }
    assert!(world.calls(CREATE) >= 9 && world.calls(CREATE) <= 13, "{:?}", world.cloud.counts().calls);
    world.advance(minutes(120));
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!((fault.kind, fault.hint.as_deref()), (Kind::LoginRequired, Some("run `bowline login corp`")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_refreshers_on_one_expired_token_make_one_refresh() {
    let world = Arc::new(World::new(Settings::default()));
    world.sign_in();
    world.advance(minutes(61));
    let mut running = tokio::task::JoinSet::new();
    for profile in ["build", "deploy", "audit", "build", "deploy", "audit", "build", "build"] {
        let world = Arc::clone(&world);
        running.spawn(async move { world.creds(profile).await.unwrap() });
    }
    assert_eq!(running.join_all().await.len(), 8);
    assert_eq!(world.calls(CREATE), 1, "{:?}", world.cloud.counts().calls);
    assert_eq!(world.calls("sso.GetRoleCredentials"), 1);
    assert_eq!(world.calls("sts.AssumeRole"), 2, "one for each role of the two");
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let world = World::new(Settings { omit_refresh_token: OmitRefresh::OnRefresh, ..Settings::default() });
    world.sign_in();
    let before = world.token().refresh_token;
    for _ in 0..3 {
        world.advance(minutes(61));
        world.creds("build").await.unwrap();
    }
    assert_eq!(world.token().refresh_token, before);
    assert_eq!(world.calls(CREATE), 3);
}

#[tokio::test]
async fn a_rotated_token_is_on_disk_before_it_is_used() {
    let world = World::new(Settings::default());
    world.sign_in();
    let (old, path) = (world.token(), world.token_path());
    world.advance(minutes(61));
    let (seen, spent) = (path.clone(), old.access_token.clone());
    world.before(move |request| {
        if request.uri().path() == "/federation/credentials" {
            assert!(!fs::read_to_string(&seen).unwrap().contains(spent.expose()), "used before it was saved");
        }
    });
    world.creds("build").await.unwrap();
    assert_ne!(world.token().refresh_token, old.refresh_token);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn another_tool_that_refreshed_first_has_won_and_no_login_is_asked_for() {
    let world = Arc::new(World::new(Settings::default()));
    world.sign_in();
    world.advance(minutes(61));
    let other = Arc::downgrade(&world);
    world.before(move |request| {
        let Some(world) = other.upgrade().filter(|_| request.uri().path() == "/token") else { return };
        world.cloud.end_sessions();
        world.sign_in();
    });
    world.creds("build").await.unwrap();
    assert_eq!(world.calls(CREATE), 1);
}

#[tokio::test]
async fn a_refused_refresh_is_remembered_by_every_process_until_somebody_signs_in() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.cloud.end_sessions();
    world.advance(minutes(61));
    for _ in 0..5 {
        let fault = world.creds("build").await.unwrap_err();
        assert_eq!(fault.kind, Kind::LoginRequired, "{}", fault.chain());
        assert!(fault.message.contains("the session has ended"), "{fault}");
    }
    assert_eq!(world.calls(CREATE), 1);
    world.sign_in();
    world.creds("build").await.unwrap();
}

#[tokio::test]
async fn a_token_that_the_portal_refuses_early_is_refreshed_once() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.cloud.expire_access_tokens(bowline_base::wire::Wire::now(&*world.wire));
    world.creds("build").await.unwrap();
    assert_eq!((world.calls(CREATE), world.calls("sso.GetRoleCredentials")), (1, 2));
}

#[tokio::test]
async fn a_session_that_an_administrator_ended_needs_a_login_at_once() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.cloud.end_sessions();
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!(fault.kind, Kind::LoginRequired, "{}", fault.chain());
    let calls = world.cloud.counts().sum("");
    assert_eq!(world.creds("deploy").await.unwrap_err().kind, Kind::LoginRequired);
    assert!(world.cloud.counts().sum("") <= calls + 1, "the refused refresh is repeated");
}

#[tokio::test]
async fn a_lost_answer_is_retried_once_and_then_told_as_what_it_is() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.advance(minutes(61));
    world.cloud.fault(Strike::new("sso-oidc.CreateToken*", Effect::Reset).after_work().times(1));
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!(fault.kind, Kind::LoginRequired, "{}", fault.chain());
    assert!(fault.message.contains("answer to its refresh was lost"), "{fault}");
}

#[tokio::test]
async fn a_lost_answer_is_survived_where_the_service_gives_grace() {
    let settings = Settings { rotate_refresh_tokens: false, revoke_on_reuse: false, ..Settings::default() };
    let world = World::new(settings);
    world.sign_in();
    world.advance(minutes(61));
    world.cloud.fault(Strike::new("sso-oidc.CreateToken*", Effect::Reset).after_work().times(1));
    world.creds("build").await.unwrap();
    assert_eq!(world.calls(CREATE), 2);
}

#[tokio::test]
async fn a_refresh_that_was_cut_off_before_its_answer_was_saved_is_diagnosed_by_the_next_process() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.advance(minutes(61));
    world.cloud.fault(Strike::new("sso-oidc.CreateToken*", Effect::Hang).after_work().times(2));
    assert_eq!(world.creds("build").await.unwrap_err().kind, Kind::Unreachable);
    world.advance(minutes(1));
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!(fault.kind, Kind::LoginRequired, "{}", fault.chain());
    assert!(fault.message.contains("cut off before its answer was saved"), "{fault}");
}

#[tokio::test]
async fn an_outage_of_the_token_service_does_not_matter_while_the_old_token_serves() {
    let world = World::new(Settings::default());
    world.sign_in();
    world.advance(minutes(45));
    world.cloud.fault(Strike::new("sso-oidc.CreateToken*", Effect::Html(502)));
    world.creds("build").await.unwrap();
    world.creds("deploy").await.unwrap();
    let tries = world.calls(CREATE);
    assert!((1..=2).contains(&tries), "the failed refresh is left alone for a while: {tries}");
    world.cloud.clear_faults();
    world.advance(minutes(2));
    world.sources().forget(&world.sources().resolve("deploy").unwrap()).unwrap();
    world.creds("build").await.unwrap();
    assert_eq!(world.calls(CREATE), tries + 1);
}

#[tokio::test]
async fn a_broken_cache_file_asks_for_a_login_and_is_kept_for_a_person_to_look_at() {
    for text in [
        "",
        "{",
        "null",
        "[1]",
        "{\"accessToken\":\"x\"",
        "{\"foreign\":true}",
        "{\"accessToken\":\"\",\"expiresAt\":\"x\"}",
    ] {
        let world = World::new(Settings::default());
        world.sign_in();
        fs::write(world.token_path(), text).unwrap();
        let fault = world.creds("build").await.unwrap_err();
        assert_eq!(fault.kind, Kind::LoginRequired, "{text}: {}", fault.chain());
        assert!(fault.message.contains("is no SSO token"), "{fault}");
        assert_eq!(fs::read_to_string(world.token_path().with_extension("json.bad")).unwrap(), text);
        world.sign_in();
        world.creds("build").await.unwrap();
    }
}

#[tokio::test]
async fn a_half_written_file_is_looked_at_again_before_it_counts_as_broken() {
    let world = World::new(Settings::default());
    world.sign_in();
    let (path, whole) = (world.token_path(), fs::read_to_string(world.token_path()).unwrap());
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    world.meanwhile(move || fs::write(path, whole).unwrap());
    world.creds("build").await.unwrap();
}

#[tokio::test]
async fn a_missing_session_and_a_wrong_region_are_named() {
    let world = World::with_config(
        Settings::default(),
        "[profile build]\nsso_session = nowhere\nsso_account_id = 1\nsso_role_name = r\n",
    );
    let fault = world.creds("build").await.unwrap_err();
    assert_eq!(fault.kind, Kind::Config);
    assert!(fault.message.contains("nowhere"), "{fault}");
    let world =
        World::with_config(Settings::default(), &CONFIG.replace("sso_region = us-east-1", "sso_region = eu west"));
    world.sign_in();
    assert_eq!(world.creds("build").await.unwrap_err().kind, Kind::Config);
}

#[tokio::test]
async fn a_profile_without_a_session_works_until_its_token_ends_and_then_names_the_reason() {
    let legacy = "[profile old]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = build\n";
    let world = World::with_config(Settings::default(), legacy);
    world.sign_in();
    let key = bowline_awsfiles::SsoKey::Legacy("https://corp.awsapps.com/start".to_owned());
    let mut token = world.token();
    (token.refresh_token, token.registration) = (None, None);
    world.cache().store_token(&key, &token).unwrap();
    world.creds("old").await.unwrap();
    world.advance(minutes(61));
    let fault = world.creds("old").await.unwrap_err();
    assert_eq!(fault.kind, Kind::LoginRequired);
    assert!(fault.message.contains("without `sso_session`"), "{fault}");
    assert_eq!(fault.hint.as_deref(), Some("run `bowline login old`"));
}

/// A file system of a few pages over the SSO cache; `None`, visibly, where this user may not mount.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn over(world: &World, options: &str) -> Option<Self> {
        let directory = world.locations().sso_cache;
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&directory).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(directory));
        }
        eprintln!("SKIPPED: this user cannot mount a tmpfs");
        None
    }

    fn read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

async fn survives(world: &World) {
    world.advance(minutes(61));
    world.creds("build").await.unwrap();
    world.sources().forget(&world.sources().resolve("build").unwrap()).unwrap();
    world.advance(minutes(61));
    world.creds("build").await.unwrap();
    assert_eq!(world.calls(CREATE), 2, "the next process did not find the rotated token");
}

#[tokio::test]
async fn a_full_disk_while_a_rotated_token_is_saved_does_not_lose_the_session() {
    let world = World::new(Settings::default());
    fs::create_dir_all(world.locations().sso_cache).unwrap();
    let Some(_mounted) = Mounted::over(&world, "size=64k") else { return };
    world.sign_in();
    let filler = world.locations().sso_cache.join("filler");
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 20), &mut fs::File::create(filler).unwrap())
        .unwrap_err();
    let before = fs::read(world.token_path()).unwrap();
    survives(&world).await;
    assert_eq!(fs::read(world.token_path()).unwrap(), before, "the old file is whole");
}

#[tokio::test]
async fn a_read_only_cache_directory_does_not_lose_the_session() {
    let world = World::new(Settings::default());
    fs::create_dir_all(world.locations().sso_cache).unwrap();
    let Some(mounted) = Mounted::over(&world, "size=64k") else { return };
    world.sign_in();
    mounted.read_only();
    survives(&world).await;
}

#[tokio::test]
async fn a_refresh_that_was_begun_ends_although_nobody_waits_any_more() {
    let world = World::new(Settings::default());
    world.sign_in();
    let old = world.token();
    world.advance(minutes(61));
    let asked = world.creds("build");
    tokio::time::timeout(std::time::Duration::from_millis(3), asked).await.unwrap_err();
    assert!(world.tasks.shut_down(std::time::Duration::from_secs(2)).await);
    assert_ne!(world.token().refresh_token, old.refresh_token, "the rotated token was dropped");
}

#[tokio::test]
async fn only_the_token_service_itself_can_end_a_session() {
    for (status, code) in [
        (403, "ForbiddenException"),
        (403, "AccessDeniedException"),
        (400, "SlowDownException"),
        (400, "InvalidRequestException"),
        (407, "ProxyAuthenticationRequired"),
        (408, "RequestTimeout"),
    ] {
        let world = World::new(Settings::default());
        world.sign_in();
        world.advance(minutes(61));
        let no = Effect::Error { status, code: code.to_owned() };
        world.cloud.fault(Strike::new("sso-oidc.CreateToken*", no).times(1));
        let fault = world.creds("build").await.unwrap_err();
        assert_ne!(fault.kind, Kind::LoginRequired, "{code}: {}", fault.chain());
        assert!(fault.hint.is_some(), "{code}");
        world.advance(minutes(1));
        world.creds("build").await.unwrap();
        assert_eq!(world.calls(CREATE), 2, "{code}");
    }
}

#[tokio::test]
async fn nobody_refreshes_beside_a_stopped_process_that_holds_the_lock() {
    for (age, kept) in [(45, true), (61, false)] {
        let world = World::new(Settings::default());
        world.sign_in();
        world.advance(minutes(age));
        let _held = world.cache().try_lock(&crate::world::corp()).unwrap().unwrap();
        let wire = Arc::clone(&world.wire);
        world.meanwhile(move || wire.advance(minutes(2)));
        let answer = world.creds("build").await;
        assert_eq!(answer.is_ok(), kept);
        if let Err(fault) = answer {
            assert_eq!(fault.kind, Kind::Unreachable, "{}", fault.chain());
            assert!(fault.hint.unwrap().contains("another bowline"));
        }
        assert_eq!(world.calls(CREATE), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_portal_that_refuses_every_token_costs_one_refresh_however_many_ask() {
    let roles: String = (0..8)
        .map(|n| format!("[profile p{n}]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = r{n}\n"))
        .collect();
    let world = Arc::new(World::with_config(Settings::default(), &format!("{CONFIG}{roles}")));
    world.sign_in();
    let no = Effect::Error { status: 401, code: "UnauthorizedException".to_owned() };
    world.cloud.fault(Strike::new("sso.GetRoleCredentials", no));
    for _ in 0..2 {
        let mut running = tokio::task::JoinSet::new();
        for n in 0..8 {
            let world = Arc::clone(&world);
            running.spawn(async move { world.creds(&format!("p{n}")).await.unwrap_err().kind });
        }
        assert!(running.join_all().await.iter().all(|kind| *kind == Kind::LoginRequired));
        assert_eq!(world.calls(CREATE), 1, "{:?}", world.cloud.counts().calls);
    }
    world.cloud.clear_faults();
    assert_eq!(world.creds("build").await.unwrap_err().kind, Kind::LoginRequired);
    world.advance(minutes(6));
    world.creds("build").await.unwrap();
    assert_eq!(world.calls(CREATE), 2, "after a while it is tried once more");
}
