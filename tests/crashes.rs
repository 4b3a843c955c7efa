//! The daemon killed at any moment, and stopped past the end of its session: nothing is lost, nothing is half.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use bowline_fakeaws::{Bucket, Effect, Fault};
use bowline_host::clock;
use rustix::process::Signal;

use crate::harness::{Client, Raise, World, fetch, pause, until};

const REPOSITORY: &str = "[[artifacts.repository]]\nfrom = \"s3://maven\"\n";
const FILES: u32 = 40;

/// A body that tells its key and is long enough to be cut.
fn body(key: u32) -> Vec<u8> {
    (0..200_000_u32).flat_map(|n| (n ^ key).to_le_bytes()).collect()
}

fn stock(world: &World) {
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    for key in 0..FILES {
        world.cloud().put_object(clock::now(), "maven", &format!("{key}.jar"), body(key));
    }
}

/// Whatever the moment of the kill: moments are spread over the second after each renewal of the token, while clients
/// fill the cache. The moment between AWS's answer to a refresh and our write of it is left out: there the rotated
/// token is lost with the process, whoever the client is.
#[test]
fn kill_at_any_moment_loses_no_session_and_serves_no_half_file() {
    let world = World::new("kill", |settings| {
        settings.access_token_lifetime = Duration::from_secs(4);
        settings.role_lifetime = Duration::from_secs(3);
    });
    stock(&world);
    world.sign_in();
    let mut daemon = world.daemon(REPOSITORY);
    for kill in 0..5_u32 {
        let token = world.token()["accessToken"].clone();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (address, _ended) = (daemon.artifacts, Raise(&stop));
            let stop = &stop;
            scope.spawn(move || download_all(address, stop));
            until(Duration::from_secs(6), "the token was renewed", || world.token()["accessToken"] != token);
            pause(Duration::from_millis(u64::from(kill * 173 % 900)));
            daemon.process.signal(Signal::KILL);
        });
        world.restart(&mut daemon);
    }
    for key in 0..FILES {
        let answer = fetch(daemon.artifacts, &format!("/{key}.jar")).unwrap();
        assert!(answer.status == 200 && answer.body == body(key), "{key}.jar: {}", answer.status);
    }
    let creds = world.run(&["creds", "build"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    let counts = world.cloud().counts();
    assert_eq!(counts.sum("sso-oidc.CreateToken"), counts.sum("sso-oidc.CreateToken.refresh_token.ok"), "{counts:?}");
}

/// What arrives whole must be right; the connection may break at any moment.
fn download_all(address: std::net::SocketAddr, stop: &AtomicBool) {
    for key in (0..FILES).cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
        let answer = Client::connect(address).and_then(|mut client| client.ask("GET", &format!("/{key}.jar")));
        if let Ok(answer) = answer {
            assert!(answer.status == 200 && answer.body == body(key), "{key}.jar: {}", answer.status);
        }
    }
}

#[test]
fn a_daemon_stopped_past_the_end_of_its_session_serves_at_once_when_it_goes_on() {
    let world = World::new("suspend", |settings| {
        settings.role_lifetime = Duration::from_secs(2);
        settings.access_token_lifetime = Duration::from_secs(3);
    });
    stock(&world);
    world.sign_in();
    let daemon = world.daemon(REPOSITORY);
    daemon.process.signal(Signal::STOP);
    pause(Duration::from_secs(4));
    daemon.process.signal(Signal::CONT);
    let answer = fetch(daemon.artifacts, "/1.jar").unwrap();
    assert!(answer.status == 200 && answer.body == body(1), "{}: {}", answer.status, answer.text());
    let creds = world.run(&["creds", "build"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    let end = serde_json::from_str::<serde_json::Value>(&creds.stdout).unwrap()["Expiration"].clone();
    let end = bowline_base::parse_timestamp(end.as_str().unwrap()).unwrap();
    assert!(end > clock::now().wall - Duration::from_secs(1), "handed out after its end: {end}");
}

#[test]
fn a_command_that_is_asked_to_end_finishes_the_refresh_that_it_began() {
    let world = World::new("interrupted", |_| {});
    world.sign_in_long_ago();
    let slow = Effect::Latency(Duration::from_secs(1));
    world.cloud().fault(Fault::new("sso-oidc.*", slow).after_work());
    let creds = world.start("creds", &mut world.bowline(&["creds", "build"]));
    let sent = || world.cloud().counts().sum("sso-oidc.CreateToken.refresh_token") > 0;
    until(Duration::from_secs(5), "the refresh token was sent", sent);
    creds.signal(Signal::TERM);
    assert_eq!(creds.finish(Duration::from_secs(5)).code, Some(130));
    world.cloud().clear_faults();
    let creds = world.run(&["creds", "build"]);
    assert_eq!(creds.code, Some(0), "{}", creds.stderr);
    assert_eq!(world.cloud().counts().sum("sso-oidc.CreateToken.refresh_token.reused"), 0);
    world.forget_output("creds");
}
