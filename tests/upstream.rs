//! S3 and the portal misbehave: what is cached is served, what is not is an honest 502 to 504, never a 404, never half.

use std::{collections::BTreeSet, time::Duration};

use bowline_fakeaws::{Bucket, Effect, Fault, Settings};
use bowline_host::clock;

use crate::harness::{Daemon, World, fetch, pause, until};

fn world(name: &str) -> (World, Daemon) {
    world_with(name, |_| {})
}

fn world_with(name: &str, change: impl FnOnce(&mut Settings)) -> (World, Daemon) {
    let world = World::new(name, change);
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    for key in 0..20 {
        world.cloud().put_object(clock::now(), "maven", &format!("{key}.jar"), vec![b'x'; 5000]);
    }
    world.sign_in();
    let daemon = world.daemon("upstream-timeout = \"1s\"\n[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    (world, daemon)
}

#[test]
fn a_broken_upstream_is_never_a_404_and_never_half_a_file() {
    let (world, daemon) = world("upstream");
    assert_eq!(fetch(daemon.artifacts, "/0.jar").unwrap().body.len(), 5000);
    let effects = [
        Effect::Error { status: 500, code: "InternalError".to_owned() },
        Effect::Error { status: 403, code: "AccessDenied".to_owned() },
        Effect::Throttle,
        Effect::Html(502),
        Effect::Html(200),
        Effect::Hang,
        Effect::Reset,
        Effect::Truncate(100),
        Effect::Stall(100),
    ];
    for (key, effect) in (1..).zip(effects) {
        world.cloud().clear_faults();
        world.cloud().fault(Fault::new("s3.*", effect.clone()));
        let path = format!("/{key}.jar");
        match fetch(daemon.artifacts, &path) {
            Ok(answer) => assert!((500..=504).contains(&answer.status), "{effect:?}: {}", answer.status),
            // A body that breaks off after the head has left can only be cut: the client sees that it is short.
            Err(error) => assert!(matches!(effect, Effect::Truncate(_) | Effect::Stall(_)), "{effect:?}: {error}"),
        }
        assert_eq!(fetch(daemon.artifacts, "/0.jar").unwrap().status, 200, "{effect:?}: what is cached is served");
        world.cloud().clear_faults();
        let after = fetch(daemon.artifacts, &path).unwrap();
        assert_eq!((after.status, after.body.len()), (200, 5000), "{effect:?}: nothing wrong was kept");
    }
    let missing = fetch(daemon.artifacts, "/never-was.jar").unwrap();
    assert_eq!(missing.status, 404);
}

#[test]
fn a_session_that_an_administrator_ends_is_told_and_what_is_cached_goes_on() {
    let (world, daemon) = world_with("ended", |settings| settings.role_lifetime = Duration::from_secs(3));
    assert_eq!(fetch(daemon.artifacts, "/0.jar").unwrap().status, 200);
    world.cloud().end_sessions();
    world.cloud().expire_access_tokens(clock::now());
    until(Duration::from_secs(8), "status asks for a login and says how", || {
        let status = world.run(&["status"]);
        status.code == Some(5) && format!("{}{}", status.stdout, status.stderr).contains("bowline login")
    });
    let mut cold = 3..20;
    until(Duration::from_secs(8), "the last keys have ended", || {
        pause(Duration::from_millis(200));
        let path = format!("/{}.jar", cold.next().expect("they ended within 17 tries"));
        fetch(daemon.artifacts, &path).is_ok_and(|answer| (500..=504).contains(&answer.status))
    });
    assert_eq!(fetch(daemon.artifacts, "/0.jar").unwrap().status, 200);
    // A login by any tool ends it, without a word to the daemon.
    world.sign_in();
    until(Duration::from_secs(5), "the new login was noticed", || {
        fetch(daemon.artifacts, "/2.jar").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn keys_that_aws_refuses_before_their_written_end_are_replaced() {
    let (world, daemon) = world_with("early-end", |settings| settings.role_lifetime = Duration::from_secs(20));
    assert_eq!(fetch(daemon.artifacts, "/0.jar").unwrap().status, 200);
    world.cloud().expire_keys(clock::now());
    // Between two tries lies a tenth of the session's life, so that a service that refuses everything is not flooded.
    until(Duration::from_secs(4), "new keys were fetched", || {
        fetch(daemon.artifacts, "/1.jar").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn one_key_is_fetched_once_however_many_ask() {
    let (world, daemon) = world("one-fetch");
    world.cloud().fault(Fault::new("s3.GetObject", Effect::Latency(Duration::from_millis(500))));
    world.cloud().clear_counts();
    let address = daemon.artifacts;
    let clients: Vec<_> = (0..40).map(|_| std::thread::spawn(move || fetch(address, "/7.jar").unwrap())).collect();
    let statuses: BTreeSet<u16> = clients.into_iter().map(|client| client.join().unwrap().status).collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200]);
    assert_eq!(world.cloud().counts().objects["s3.GetObject maven/7.jar"], 1);
}
