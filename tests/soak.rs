//! Everything at once: all jobs under load, while AWS misbehaves, the address flaps, users of the VPN come and go, the daemon
//! is told to read its file again, is killed and is started again. Nothing may be lost by it, leaked or wrong.
//!
//! A minute in the gate; `cargo xtask soak --for 30m` for longer. What happens when comes from one seed, which is printed.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bowline_fakeaws::{Effect, Fault};
use bowline_host::clock;
use rustix::process::Signal;

use crate::{
    everything::Everything,
    gateway::site::{A, B, C},
    harness::{Client, elapsed, fetch, pause, until},
    vpn,
};

const FILES: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(18);
/// How often something is done to the daemon or to its surroundings.
const STEP: Duration = Duration::from_millis(700);
/// What a process may have more at the end than once it was warm, which is after the last `kill -9`.
const MORE_MEMORY_KIB: u64 = 8 << 10;
const MORE_DESCRIPTORS: usize = 16;
/// What each of them may have at any time.
const MOST: Size = Size { memory_kib: 40 << 10, descriptors: 100 };

#[test]
fn nothing_is_lost_leaked_or_wrong_in_a_minute_of_everything_at_once() {
    let length = Duration::from_secs(asked_for().unwrap_or(55));
    let seed = clock::now().wall.as_second().unsigned_abs();
    eprintln!("{} s with seed {seed}", length.as_secs());
    let stage = furnish();
    let (over, seen) = (AtomicBool::new(false), Seen::default());
    thread::scope(|scope| {
        for reader in 0..3 {
            let (stage, over, seen) = (&stage, &over, &seen);
            scope.spawn(move || read(stage, seed + reader, over, seen));
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| disturb(&stage, seed, length, &seen)));
        over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    eprintln!("answers: {:?}", seen.answers.lock().unwrap());
    assert_eq!(*seen.wrong.lock().unwrap(), Vec::<String>::new());
    assert!(seen.answers.lock().unwrap().get("200").is_some_and(|good| *good > 100), "hardly anything was served");
    all_is_well(&stage);
}

/// Seconds, from `cargo xtask soak --for`.
#[expect(clippy::disallowed_methods, reason = "how long to run is what the person at the keyboard says")]
fn asked_for() -> Option<u64> {
    std::env::var("BOWLINE_SOAK_SECONDS").ok()?.parse().ok()
}

/// What the readers were answered, and what of it was wrong.
#[derive(Default)]
struct Seen {
    answers: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
    /// Odd from before the daemon is killed until it is there again.
    killings: AtomicU64,
}

impl Seen {
    fn count(&self, answer: &str) {
        *self.answers.lock().unwrap().entry(answer.to_owned()).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    fn killings(&self) -> u64 {
        self.killings.load(Ordering::SeqCst)
    }

    /// Whether a connection that was there since `before` may have been cut off by `kill -9`.
    fn killed_since(&self, before: u64) -> bool {
        before % 2 == 1 || self.killings() != before
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn body(file: u64) -> Vec<u8> {
    format!("file {file} ").repeat(100 + usize::try_from(file).unwrap() * 40).into_bytes()
}

fn furnish() -> Mutex<Everything> {
    let stage = Everything::start("soak");
    let cloud = stage.world().cloud();
    cloud.set(|settings| settings.role_lifetime = Duration::from_secs(4));
    for file in 0..FILES {
        cloud.put_object(clock::now(), "maven", &format!("soak/{file}.jar"), body(file));
    }
    Mutex::new(stage)
}

/// Asks for files and credentials until it is over. An answer may be late or a refusal with a reason, never a wrong one.
fn read(stage: &Mutex<Everything>, seed: u64, over: &AtomicBool, seen: &Seen) {
    let mut dice = Dice(seed);
    let (artifacts, endpoint, token_file) = {
        let stage = stage.lock().unwrap();
        (stage.artifacts, stage.endpoint, stage.world().path("run/bowline/endpoint/token"))
    };
    while !over.load(Ordering::Relaxed) {
        let file = dice.below(FILES);
        match fetch(artifacts, &format!("/soak/{file}.jar")) {
            Ok(answer) if answer.status == 200 && answer.body != body(file) => {
                seen.wrong(format!("{file}: other bytes"));
            }
            Ok(answer) if matches!(answer.status, 200 | 502..=504) => seen.count(&answer.status.to_string()),
            Ok(answer) => seen.wrong(format!("{file}: {} {}", answer.status, answer.header("x-bowline-reason"))),
            // The daemon was killed, or the answer was cut off as a client has to notice.
            Err(_) => seen.count("cut off or away"),
        }
        if dice.below(10) == 0 {
            ask_for_a_role(endpoint, &token_file, seen);
        }
        pause(Duration::from_millis(5));
    }
}

/// One question to the credentials endpoint. Only a daemon that is killed meanwhile may leave it without an answer.
fn ask_for_a_role(endpoint: SocketAddr, token_file: &Path, seen: &Seen) {
    let before = seen.killings();
    let token = fs::read_to_string(token_file).unwrap_or_default();
    let headers = format!("authorization: {token}\r\n");
    match Client::connect(endpoint).and_then(|mut client| client.ask_as(&headers, "GET", "/v1/role/build")) {
        Ok(answer) if answer.status == 200 && !answer.text().contains("\"SecretAccessKey\"") => {
            seen.wrong("a set without its key".to_owned());
        }
        Ok(answer) if matches!(answer.status, 200 | 503) => seen.count("asked the endpoint"),
        Ok(answer) => seen.wrong(format!("the endpoint says {}", answer.status)),
        Err(_) if seen.killed_since(before) => seen.count("the endpoint was killed"),
        Err(error) => seen.wrong(format!("the endpoint gave no answer: {error}")),
    }
}

/// Does one thing after the other to the daemon and its surroundings.
fn disturb(stage: &Mutex<Everything>, seed: u64, length: Duration, seen: &Seen) {
    let (mut dice, begun) = (Dice(seed), elapsed());
    let (mut warm, mut tenths) = (None, 0);
    while elapsed() - begun < length {
        let mut stage = stage.lock().unwrap();
        match dice.below(10) {
            0 => fault(&stage, "s3.GetObject", Effect::Error { status: 500, code: "InternalError".to_owned() }),
            1 => fault(&stage, "s3.GetObject", Effect::Truncate(700)),
            2 => fault(&stage, "sso.GetRoleCredentials", Effect::Latency(Duration::from_secs(2))),
            3 => fault(&stage, "ec2.DescribeVpnConnections", Effect::Throttle),
            4 => stage.world().cloud().expire_keys(clock::now()),
            5 => stage.site.moves_to([A, B, C][usize::try_from(dice.below(3)).unwrap()]),
            6 => stage.daemon.signal(Signal::HUP),
            7 => someone_comes_and_goes(&stage, dice.below(5)),
            8 => stage.world().cloud().fault(Fault::new("s3.GetObject", Effect::Hang).times(2)),
            // Not in the second half: there it is watched whether the process grows.
            _ if (elapsed() - begun) * 2 < length => {
                seen.killings.fetch_add(1, Ordering::SeqCst);
                stage.kill_and_start();
                seen.killings.fetch_add(1, Ordering::SeqCst);
            }
            _ => stage.world().cloud().clear_faults(),
        }
        if (elapsed() - begun) * 10 > length * tenths {
            let now = Size::of(stage.daemon.id());
            eprintln!("after {tenths} tenths: {now:?}");
            assert!(now.memory_kib < MOST.memory_kib && now.descriptors < MOST.descriptors, "it is large: {now:?}");
            warm = if tenths == 6 { Some(now) } else { warm };
            tenths += 1;
        }
        drop(stage);
        pause(STEP);
    }
    let stage = stage.lock().unwrap();
    stage.world().cloud().clear_faults();
    let (warm, end) = (warm.expect("long enough to become warm"), Size::of(stage.daemon.id()));
    eprintln!("at the end: {end:?}");
    assert!(end.memory_kib < warm.memory_kib + MORE_MEMORY_KIB, "it grows: {warm:?}, {end:?}");
    assert!(end.descriptors < warm.descriptors + MORE_DESCRIPTORS, "descriptors leak: {warm:?}, {end:?}");
}

/// For the next few calls.
fn fault(stage: &Everything, at: &str, effect: Effect) {
    stage.world().cloud().fault(Fault::new(at, effect).times(6));
}

/// A user of the VPN is made, or the one of that name goes.
fn someone_comes_and_goes(stage: &Everything, number: u64) {
    let user = format!("{{\"client_id\":\"u{number}\"}}");
    let made = vpn::curl(stage.world(), stage.api, &stage.master, &["/users", "-d", &user]).unwrap_or_default();
    if !made.contains("api_key") {
        vpn::curl(stage.world(), stage.api, &stage.master, &[&format!("/users/u{number}"), "-X", "DELETE"]);
    }
}

#[derive(Debug)]
struct Size {
    memory_kib: u64,
    descriptors: usize,
}

impl Size {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        let memory_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { memory_kib, descriptors: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() }
    }
}

/// After the storm: nobody has to sign in, every file is right, one gateway is there, the log is whole.
fn all_is_well(stage: &Mutex<Everything>) {
    let stage = stage.lock().unwrap();
    let last = Ipv4Addr::new(198, 51, 100, 9);
    stage.site.moves_to(last);
    stage.site.settles(last, 0);
    until(PATIENCE, "every file is served", || {
        let good = |file| fetch(stage.artifacts, &format!("/soak/{file}.jar")).is_ok_and(|got| got.body == body(file));
        (0..FILES).all(good)
    });
    let world = stage.world();
    let status = world.run(&["status", "build"]);
    assert_eq!(status.code, Some(0), "a session was lost: {}{}", status.stdout, status.stderr);
    let ready = fetch(stage.status, "/readyz").unwrap();
    assert_eq!(ready.status, 200, "{}", ready.text());
    let config = world.path("bowline.toml").display().to_string();
    let verdict = world.run(&["audit", "verify", "--config", &config]);
    assert_eq!(verdict.code, Some(0), "{}{}", verdict.stdout, verdict.stderr);
}
