//! Every part is lost once, in a daemon that runs them all: the others go on, and it comes back.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bowline_base::atomic;
use bowline_fakeaws::{FakeAws, Settings};
use bowline_host::{Check, Verdict};

use super::*;
use crate::{config::parse, environment::Environment};

/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ports are the system's choice: a listener stays for its address, and so for its part.
fn configuration(home: &Path) -> Config {
    let home = home.display();
    let text = format!(
        "[daemon]\nlisten = \"127.0.0.1:0\"\n\
         [audit]\npath = \"{home}/audit\"\n\
         [artifacts]\nlisten = \"127.0.0.2:0\"\ncache = {{ path = \"{home}/cache\" }}\n\
         [[artifacts.repository]]\nfrom = \"{home}\"\n\
         [endpoint]\nlisten = \"127.0.0.3:0\"\nserve = \"build\"\ntoken-file = \"{home}/token\"\n\
         [gateway]\nregion = \"us-east-1\"\nidentity = \"build\"\nip-providers = [\"http://127.0.0.1:1/\"]\n\
         [vpn]\nlisten = \"127.0.0.1:0\"\napi = \"127.0.0.4:0\"\nendpoint = \"127.0.0.1:51820\"\nstore = \"file:{home}/vpn\"\n\
         master-key = {{ file = \"{home}/master\" }}\n"
    );
    parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn world(home: &Path, fake: &FakeAws) -> World {
    atomic::write_private(&home.join("master"), b"a-master-key-for-this-test").unwrap();
    atomic::write_private(&home.join("config"), b"[profile build]\nregion = us-east-1\n").unwrap();
    let text = |name: &str| home.join(name).display().to_string();
    let variables: BTreeMap<String, String> = [
        ("HOME", text("")),
        ("XDG_RUNTIME_DIR", text("run")),
        ("XDG_STATE_HOME", text("state")),
        ("AWS_CONFIG_FILE", text("config")),
        ("AWS_ENDPOINT_URL", fake.endpoint()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    World::new(Environment::of(variables)).unwrap()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = clock::now().boot + PATIENCE;
    while !done() {
        assert!(clock::now().boot < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is said of `part` being lost.
fn said(board: &Board, part: Part) -> Option<Check> {
    let id = format!("{}.running", part.name());
    board.checks().into_iter().find(|check| check.id == id)
}

fn loses(group: &Tasks) {
    group.spawn("test", async { panic!("on purpose") });
}

async fn story(board: Board, groups: BTreeMap<Part, Tasks>) {
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), Part::ALL, "every part runs");
    loses(&groups[&Part::Artifacts]);
    until("the loss is told", || said(&board, Part::Artifacts).is_some_and(|check| check.verdict == Verdict::Failed))
        .await;
    let told = said(&board, Part::Artifacts).unwrap();
    assert!(told.why.contains("on purpose") && told.fix.is_some(), "{told:?}");
    assert!(board.metrics().contains("bowline_job_up{job=\"artifacts\"} 0"), "{}", board.metrics());
    let others = |part: &Part| *part != Part::Artifacts;
    for part in Part::ALL.into_iter().filter(others) {
        assert!(!groups[&part].is_shutting_down() && said(&board, part).is_none(), "{part:?} goes on");
    }
    until("it runs again", || said(&board, Part::Artifacts).is_none_or(|check| check.verdict == Verdict::Degraded))
        .await;
    Part::ALL.into_iter().filter(others).for_each(|part| loses(&groups[&part]));
    let restarted =
        |part: &Part| board.metrics().contains(&format!("bowline_job_restarts_total{{job=\"{}\"}} 1", part.name()));
    until("every other part was lost and runs again", || Part::ALL.iter().all(restarted)).await;
    let status = board.status(clock::now());
    for part in Part::ALL {
        assert_eq!(status["jobs"]["supervision"][part.name()]["state"], "running", "{status:#}");
    }
    for job in ["credentials", "audit", "artifacts", "endpoint", "vpn", "gateway"] {
        assert!(!status["jobs"][job].is_null(), "{job} is shown again: {status:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_that_panics_is_lost_alone_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    each_is_lost_once(world(home.path(), &fake), home.path()).await;
}

/// The kernel binds this thread and those that it starts: the runtime comes afterwards, as in the program itself.
#[test]
fn under_landlock_every_part_that_is_lost_comes_back_with_its_files() {
    let home = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    atomic::write_private(&outside.path().join("x"), b"x").unwrap();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let beside = runtime();
    let fake = beside.block_on(FakeAws::start(Settings::default())).unwrap();
    let world = world(home.path(), &fake);
    let mut config = configuration(home.path());
    config.daemon.landlock = Some(true);
    if confinement::enter(&world, &config, None).unwrap().is_none() {
        println!("skipped: the kernel has no Landlock");
        return;
    }
    assert!(std::fs::read(outside.path().join("x")).is_err(), "this thread is bound");
    runtime().block_on(each_is_lost_once(world, home.path()));
}

async fn each_is_lost_once(world: World, home: &Path) {
    let mut daemon = Daemon::start(world, configuration(home), Start::Daemon { file: None }).await.unwrap();
    let told = story(daemon.board.clone(), daemon.running.clone());
    let mut signals = Signals::listen().unwrap();
    let supervisor = Supervisor::default();
    tokio::select! {
        () = daemon.attend(&mut signals, &supervisor) => panic!("nobody ended it"),
        () = told => {}
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reload_adds_and_cannot_start_yet_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let file = home.path().join("bowline.toml");
    let world = world(home.path(), &fake);
    let refused = "[profile build]\nregion = us-east-1\naws_access_key_id = AKIANOBODY\naws_secret_access_key = x\n";
    atomic::write_private(&home.path().join("config"), refused.as_bytes()).unwrap();
    let before = "[daemon]\nlisten = \"127.0.0.1:0\"\n";
    let start = Start::Daemon { file: Some(file.clone()) };
    let mut daemon = Daemon::start(world, parse(before).unwrap(), start).await.unwrap();
    let vpn = "[vpn]\nlisten = \"127.0.0.1:0\"\napi = \"127.0.0.4:0\"\nendpoint = \"127.0.0.1:51820\"\n\
               identity = \"build\"\nregion = \"us-east-1\"\nstore = \"ssm:/vpn\"\n";
    atomic::write_private(&file, format!("{before}{vpn}").as_bytes()).unwrap();
    daemon.reload().await;
    let told = said(&daemon.board, Part::Vpn).expect("it is told");
    assert!(told.verdict == Verdict::Failed && told.why.contains("started again"), "{told:?}");
    assert!(daemon.supervision.ledger().next_wake().is_some(), "it is tried again");
    // By the section of the file, which nobody has to read once more.
    assert!(daemon.config.vpn.is_some() && !daemon.running.contains_key(&Part::Vpn));
    daemon.stop().await;
}

const REPOSITORY: &str = "[[artifacts.repository]]\nfrom = \"/\"\n";

/// The status page and a repository that listens on `address`.
fn with_artifacts(home: &Path, address: &str) -> String {
    let cache = home.join("cache");
    let artifacts = format!("[artifacts]\nlisten = \"{address}\"\ncache = {{ path = \"{}\" }}\n", cache.display());
    format!("[daemon]\nlisten = \"127.0.0.1:0\"\n{artifacts}{REPOSITORY}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_new_address_cannot_be_had_goes_on_at_the_old_one_and_is_not_called_lost() {
    let home = tempfile::tempdir().unwrap();
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let file = home.path().join("bowline.toml");
    let before = with_artifacts(home.path(), "127.0.0.2:0");
    let start = Start::Daemon { file: Some(file.clone()) };
    let mut daemon = Daemon::start(world(home.path(), &fake), parse(&before).unwrap(), start).await.unwrap();
    let address = Address::Tcp("127.0.0.2:0".parse().unwrap());
    let bound = daemon.listeners.listen(&address).await.unwrap().local_addr().unwrap();
    // Of the block for documentation: no machine has it. Then as it was.
    for text in [with_artifacts(home.path(), "192.0.2.1:9000"), before] {
        atomic::write_private(&file, text.as_bytes()).unwrap();
        daemon.reload().await;
        assert!(said(&daemon.board, Part::Artifacts).is_none(), "it runs: {:?}", daemon.board.checks());
        assert_eq!(daemon.supervision.ledger().next_wake(), None);
        let now = daemon.listeners.listen(&address).await.unwrap().local_addr();
        assert_eq!(now, Some(bound), "where it was");
        tokio::net::TcpStream::connect(bound).await.unwrap();
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_cannot_start_leaves_nothing_that_holds_up_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let start = |address: String| {
        let config = parse(&with_artifacts(home.path(), &address)).unwrap();
        Daemon::start(world(home.path(), &fake), config, Start::Daemon { file: None })
    };
    let fault = start(taken.local_addr().unwrap().to_string()).await.err().expect("the address is taken");
    assert!(fault.chain().contains("in use"), "{}", fault.chain());
    start("127.0.0.2:0".to_owned()).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_gets_the_address_of_one_that_could_not_leave_it() {
    let home = tempfile::tempdir().unwrap();
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let file = home.path().join("bowline.toml");
    let free = || std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().to_string();
    let (mine, other) = (free(), free());
    let with = |artifacts: &str, imds: &str| {
        let token = home.path().join("token");
        let endpoint = format!(
            "[endpoint]\nlisten = \"127.0.0.3:0\"\nserve = \"build\"\ntoken-file = \"{}\"\nimds = \"{imds}\"\n",
            token.display()
        );
        format!("{}{endpoint}", with_artifacts(home.path(), artifacts))
    };
    let start = Start::Daemon { file: Some(file.clone()) };
    let before = parse(&with(&mine, &other)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let mut daemon = Daemon::start(world(home.path(), &fake), before, start).await.unwrap();
    let imds = |daemon: &Daemon| daemon.config.endpoint.as_ref().unwrap().imds.unwrap().to_string();
    atomic::write_private(&file, with("192.0.2.1:9000", &mine).as_bytes()).unwrap();
    daemon.reload().await;
    assert_eq!(imds(&daemon), other, "where it was");
    assert!(said(&daemon.board, Part::Endpoint).is_none() && said(&daemon.board, Part::Artifacts).is_none());
    // Where the other one does leave, its place is had in the same reload.
    let third = free();
    atomic::write_private(&file, with(&third, &mine).as_bytes()).unwrap();
    daemon.reload().await;
    assert_eq!(imds(&daemon), mine);
    assert_eq!(daemon.config.artifacts.as_ref().unwrap().listen[0].to_string(), third);
    daemon.stop().await;
}
