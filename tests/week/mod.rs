//! A build every hour while sessions end, S3 is away for long and the process starts again: none fails. Time is
//! virtual, all else is the program's: broker, proxy and cache over real connections. The hours replay what a real
//! `mvn` asked (tests/maven/requests.txt); in `--full` it is there itself once a day.

mod site;
mod virtual_cloud;

use std::{collections::BTreeMap, fs, ops::Range, path::Path, time::Duration};

use bowline_base::wire::Wire as _;
use bowline_fakeaws::{Effect, Fault};
use md5::Md5;
use sha1::{Digest, Sha1};

use self::site::Site;
use crate::{
    harness::{Client, World, run, skip},
    maven,
};

const HOUR: Duration = Duration::from_secs(3600);
const REQUESTS: &str = include_str!("../maven/requests.txt");
const METADATA: &str = "example/knots/maven-metadata.xml";

/// What befalls the hours.
struct Plan {
    hours: u32,
    away: Range<u32>,
    restart: u32,
    /// AWS refuses keys long before their written end.
    early_end: u32,
    /// Every so many hours the real Maven builds too.
    maven_every: Option<u32>,
}

/// A client's headers and its paths.
struct Recording {
    headers: String,
    paths: Vec<&'static str>,
}

impl Recording {
    fn read() -> Self {
        let (head, requests) = REQUESTS.split_once("\n\n").unwrap();
        let headers = head.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\r\n")).collect();
        let paths: Vec<_> = requests.lines().map(|line| line.strip_prefix("GET ").unwrap()).collect();
        assert!(paths.len() > 400, "{} requests", paths.len());
        Self { headers, paths }
    }
}

/// What every path must answer.
#[derive(Default)]
struct Truth(BTreeMap<&'static str, Vec<u8>>);

impl Truth {
    /// The file, or the sum of the file that `path` is named after.
    fn of(&mut self, path: &'static str) -> &[u8] {
        self.0.entry(path).or_insert_with(|| {
            let file = |path: &str| fs::read(Path::new(maven::REPOSITORY).join(path.trim_start_matches('/'))).unwrap();
            match path.rsplit_once('.') {
                Some((base, "sha1")) => hex(&Sha1::digest(file(base))),
                Some((base, "md5")) => hex(&Md5::digest(file(base))),
                _ => file(path),
            }
        })
    }
}

fn hex(digest: &[u8]) -> Vec<u8> {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
}

fn is_checksum(path: &str) -> bool {
    path.ends_with(".sha1") || path.ends_with(".md5")
}

/// One hour's build: everything that Maven asked, and the newest release of what this site builds itself.
fn build(site: &Site, recording: &Recording, truth: &mut Truth, newest: u32) -> Result<(), String> {
    let mut client = Client::connect(site.proxy).map_err(|error| error.to_string())?;
    let mut ask = |path: &str| {
        let answer = client.ask_as(&recording.headers, "GET", path).map_err(|error| format!("{path}: {error}"))?;
        let why = answer.header("x-bowline-reason").to_owned();
        Ok::<_, String>((answer.status, why, answer.body))
    };
    for path in &recording.paths {
        let (status, why, body) = ask(&format!("/debian{path}"))?;
        // Debian publishes no checksums: Maven goes on without. Those of a file that is cached are answered.
        let absent = status == 404 && is_checksum(path);
        if !absent && (status != 200 || body.trim_ascii_end() != truth.of(path).trim_ascii_end()) {
            return Err(format!("{path}: {status} {why}, {} bytes", body.len()));
        }
    }
    let jar = format!("/builds/{}", release(newest));
    for (path, expected) in [(format!("/builds/{METADATA}"), metadata(newest)), (jar, contents(newest))] {
        let (status, why, body) = ask(&path)?;
        if status != 200 || body != expected.as_bytes() {
            return Err(format!("{path}: {status} {why}: {}", String::from_utf8_lossy(&body)));
        }
    }
    Ok(())
}

fn release(number: u32) -> String {
    format!("example/knots/1.{number}/knots-1.{number}.jar")
}

fn contents(number: u32) -> String {
    format!("the jar of release {number}")
}

fn metadata(number: u32) -> String {
    format!("<metadata><versioning><release>1.{number}</release></versioning></metadata>")
}

/// How S3 is away in `hour`.
fn trouble(hour: u32) -> Effect {
    let error = |status, code: &str| Effect::Error { status, code: code.to_owned() };
    match hour % 6 {
        0 => error(500, "InternalError"),
        1 => Effect::Throttle,
        2 => Effect::Html(502),
        3 => Effect::Reset,
        4 => Effect::Hang,
        _ => error(403, "AccessDenied"),
    }
}

/// Lives through `plan`; what failed.
fn live(site: &mut Site, plan: &Plan, mut maven: impl FnMut(&Site, u32) -> Result<(), String>) -> Vec<String> {
    let (recording, mut truth, mut newest, mut failed) = (Recording::read(), Truth::default(), 0, Vec::new());
    for hour in 0..plan.hours {
        site.cloud.clear_faults();
        if plan.away.contains(&hour) {
            site.cloud.fault(Fault::new("s3.*", trouble(hour)));
        } else {
            newest = hour;
            site.deploy(&release(hour), &contents(hour));
            site.deploy(METADATA, &metadata(hour));
        }
        if hour == plan.restart {
            site.restart();
        }
        if hour == plan.early_end {
            site.cloud.expire_keys(site.time.now());
        }
        let built = build(site, &recording, &mut truth, newest);
        let real = plan.maven_every.is_some_and(|every| hour % every == every / 2).then(|| maven(site, hour));
        let outcomes = [Some(built), real].into_iter().flatten();
        failed.extend(outcomes.filter_map(Result::err).map(|why| format!("hour {hour}: {why}")));
        site.pass(HOUR);
    }
    failed
}

/// The hours went by, sessions ended in them, and S3 was really away.
#[track_caller]
fn it_was_as_planned(site: &Site, plan: &Plan) {
    let counts = site.cloud.counts();
    assert!(site.time.elapsed() >= HOUR * plan.hours);
    let rotations = counts.sum("sso.GetRoleCredentials.ok");
    assert!(rotations >= u64::from(plan.hours), "{rotations} sessions of an hour: {:?}", counts.calls);
    assert!(counts.sum("sso-oidc.CreateToken.refresh_token.ok") * 2 >= u64::from(plan.hours), "{:?}", counts.calls);
    let struck = counts.sum("s3.") - counts.sum("s3.GetObject.200") - counts.sum("s3.GetObject.404.NoSuchKey");
    assert!(struck >= plan.away.len() as u64, "S3 was away in every hour of the outage: {:?}", counts.calls);
}

#[test]
fn a_build_every_hour_of_half_a_day_with_s3_away_for_six_and_a_restart_meanwhile() {
    if let Some(missing) = maven::missing() {
        skip!("half a day of builds: {missing}");
    }
    let plan = Plan { hours: 12, away: 3..9, restart: 6, early_end: 10, maven_every: None };
    let mut site = Site::new(Path::new(maven::REPOSITORY));
    assert_eq!(live(&mut site, &plan, |_, _| Ok(())), Vec::<String>::new());
    it_was_as_planned(&site, &plan);
}

#[test]
fn a_build_every_hour_of_a_week_and_maven_itself_every_day() {
    if let Some(missing) = maven::missing() {
        skip!("a week of builds: {missing}");
    }
    let plan = Plan { hours: 7 * 24, away: 72..96, restart: 80, early_end: 120, maven_every: Some(24) };
    let (mut site, world) = (Site::new(Path::new(maven::REPOSITORY)), World::new("week", |_| {}));
    let mut runs = 0;
    let failed = live(&mut site, &plan, |site, hour| {
        runs += 1;
        let name = format!("hour-{hour}");
        let mut mvn = maven::build(&world, &name, &format!("http://{}/debian", site.proxy));
        let built = run(&mut mvn, &world.path("mvn"), Duration::from_secs(100));
        let jar = world.path(&name).join("target/knot-1.0.jar").exists();
        let good = jar && built.stdout.contains("BUILD SUCCESS");
        if good { Ok(()) } else { Err(format!("mvn: {}{}", built.stdout, built.stderr)) }
    });
    assert_eq!((failed, runs), (Vec::new(), 7));
    it_was_as_planned(&site, &plan);
}
