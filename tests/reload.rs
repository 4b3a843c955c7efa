//! SIGHUP and SIGTERM: a bad file changes nothing, a good one only what it names, and the end is quick and clean.

use std::time::Duration;

use bowline_fakeaws::{Bucket, Effect, Fault};
use bowline_host::clock;
use rustix::process::Signal;

use crate::harness::{Running, Supervisor, World, fetch, free_address, python, until};

fn world(name: &str) -> World {
    let world = World::new(name, |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    world.cloud().put_object(clock::now(), "maven", "a.jar", "one");
    world.sign_in();
    world
}

#[test]
fn a_bad_file_keeps_the_old_one_and_a_good_one_takes_effect() {
    let world = world("reload");
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    let good = std::fs::read_to_string(&daemon.config).unwrap();
    world.write("bowline.toml", &good.replace("[artifacts]", "[artefacts]"));
    daemon.process.signal(Signal::HUP);
    until(Duration::from_secs(5), "the mistake is told", || daemon.process.stderr().contains("artefacts"));
    assert_eq!(fetch(daemon.artifacts, "/a.jar").unwrap().status, 200);

    // A job with a name that no profile has: `check`, `run` and the reload say the same.
    world.write("other.toml", &good.replace("identity = \"build\"", "identity = \"biuld\""));
    let other = world.path("other.toml").display().to_string();
    let [checked, run] = ["check", "run"].map(|command| world.run(&[command, "--config", &other]));
    let words = "6:12: profile `biuld` does not exist";
    assert_eq!((checked.code, run.code), (Some(2), Some(2)), "{}", run.stderr);
    assert!(checked.stderr.contains(words) && checked.stderr == run.stderr, "{}{}", checked.stderr, run.stderr);
    std::fs::rename(&other, &daemon.config).unwrap();
    daemon.process.signal(Signal::HUP);
    until(Duration::from_secs(5), "the name is told", || daemon.process.stderr().contains(words));
    assert_eq!(fetch(daemon.status, "/readyz").unwrap().status, 200, "the old configuration is in force");

    let elsewhere = free_address();
    world.write("bowline.toml", &good.replace(&daemon.artifacts.to_string(), &elsewhere.to_string()));
    daemon.process.signal(Signal::HUP);
    until(Duration::from_secs(5), "the new address serves", || {
        fetch(elsewhere, "/a.jar").is_ok_and(|answer| answer.status == 200)
    });
    until(Duration::from_secs(5), "the old address is closed", || fetch(daemon.artifacts, "/a.jar").is_err());
}

#[test]
fn the_end_waits_for_answers_under_way_and_for_nothing_else() {
    let world = world("drain");
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    world.cloud().fault(Fault::new("s3.GetObject", Effect::Latency(Duration::from_millis(1500))));
    let address = daemon.artifacts;
    let slow = std::thread::spawn(move || fetch(address, "/a.jar"));
    until(Duration::from_secs(5), "S3 was asked", || world.cloud().counts().sum("s3.GetObject") > 0);
    let (end, took) = daemon.stop();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let answer = slow.join().unwrap().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
}

#[test]
fn an_upstream_that_hangs_does_not_hold_up_the_end() {
    let world = world("drain-hang");
    let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
    world.cloud().fault(Fault::new("s3.GetObject", Effect::Hang));
    let address = daemon.artifacts;
    let hanging = std::thread::spawn(move || fetch(address, "/a.jar"));
    until(Duration::from_secs(5), "S3 was asked", || world.cloud().counts().sum("s3.GetObject") > 0);
    let (end, took) = daemon.stop();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(hanging.join());
}

#[test]
fn sockets_that_a_supervisor_opened_are_taken_over() {
    let Some(python) = python() else { return println!("skipped: no python environment") };
    let world = world("activation");
    let (status, artifacts, unused) = (free_address(), free_address(), free_address());
    let cache = world.path("cache");
    world.write(
        "bowline.toml",
        &format!(
            "[daemon]\nlisten = \"{status}\"\n[artifacts]\nidentity = \"build\"\nlisten = \"{artifacts}\"\n\
             cache = {{ path = \"{}\" }}\n[[artifacts.repository]]\nfrom = \"s3://maven\"\n",
            cache.display()
        ),
    );
    let mut supervisor = python.script(&world, "socket_activation.py");
    supervisor.arg(format!("{artifacts},{unused},{status}")).arg(env!("CARGO_BIN_EXE_bowline"));
    supervisor.arg("run").arg("--config").arg(world.path("bowline.toml"));
    let daemon = world.start("activated", &mut supervisor);
    until(Duration::from_secs(10), "both addresses serve", || {
        let served = |address, path| fetch(address, path).is_ok_and(|answer| answer.status == 200);
        served(status, "/readyz") && served(artifacts, "/a.jar")
    });
    let said = daemon.stderr();
    assert_eq!(said.matches("taken over from the supervisor").count(), 3, "{said}");
    until(Duration::from_secs(5), "what no section wants is closed", || std::net::TcpStream::connect(unused).is_err());
}

#[test]
fn a_job_whose_start_hangs_holds_up_neither_the_page_nor_the_watchdog_nor_the_end() {
    let world = world("start-hangs");
    world.cloud().fault(Fault::new("ssm.*", Effect::Hang));
    world.write("master", "a-master-key-for-this-story");
    let (status, api) = (free_address(), free_address());
    let without = format!("[daemon]\nlisten = \"{status}\"\n");
    let with = format!(
        "{without}[vpn]\nlisten = \"127.0.0.1:0\"\napi = \"{api}\"\nendpoint = \"127.0.0.1:51820\"\nidentity = \"build\"\n\
         region = \"us-east-1\"\nstore = \"ssm:/hangs\"\nmaster-key = {{ file = \"{}\" }}\n",
        world.path("master").display()
    );
    let asked = || world.cloud().counts().sum("ssm.") > 0;
    let ends = |daemon: Running| {
        let begun = clock::now().boot;
        daemon.signal(Signal::TERM);
        let end = daemon.finish(Duration::from_secs(10));
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        assert!(clock::now().boot - begun < Duration::from_secs(5), "{:?}", clock::now().boot - begun);
    };
    world.write("bowline.toml", &with);
    let config = world.path("bowline.toml").display().to_string();
    let daemon = world.start("run", &mut world.bowline(&["run", "--config", &config]));
    until(Duration::from_secs(10), "SSM was asked", asked);
    assert_eq!(fetch(status, "/livez").unwrap().status, 200);
    let ready = fetch(status, "/readyz").unwrap();
    assert!(ready.status == 503 && ready.text().contains("daemon.starting"), "{}", ready.text());
    ends(daemon);

    world.write("bowline.toml", &without);
    let supervisor = Supervisor::new(&world);
    let heard = || supervisor.hears();
    let mut command = world.bowline(&["run", "--config", &config]);
    let daemon = world.start("run", supervisor.over(&mut command));
    until(Duration::from_secs(10), "it is ready", || heard() == "READY=1");
    world.write("bowline.toml", &with);
    daemon.signal(Signal::HUP);
    until(Duration::from_secs(10), "the reload begins", || heard().starts_with("RELOADING=1"));
    assert_eq!([heard(), heard()], ["WATCHDOG=1", "WATCHDOG=1"], "it lives while the reload waits");
    ends(daemon);
}
