//! Sessions of seconds through every way out at once, under load: nobody sees a gap or a set that is not one, AWS is
//! asked once for each rotation, and an outage ends in a clear refusal and passes.

mod judge;
mod stage;

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use bowline_fakeaws::{Effect, Fault};
use serde_json::Value;

use crate::harness::{Python, Raise, Running, World, elapsed, pause, python, skip, until};

use self::{
    judge::{Judge, Read},
    stage::{Stage, WAYS, Way},
};

/// Between two reads of one reader; of those that start a process each time, longer.
const BREATH: Duration = Duration::from_millis(15);
const BREATH_OF_PROCESSES: Duration = Duration::from_millis(100);
/// How many readers of the endpoint there are beside the first.
const CROWD: usize = 4;

/// Reads through `way` until `end` or until somebody else failed.
fn read_on(stage: &Stage<'_>, way: Way, judge: &Judge<'_>, end: Duration, over: &AtomicBool) {
    while elapsed() < end && !over.load(Ordering::Relaxed) {
        judge.hear(way, stage.read(way));
        pause(if way.starts_a_process() { BREATH_OF_PROCESSES } else { BREATH });
    }
}

/// botocore through each way; they start together when `begin` exists.
fn sdks(world: &World, stage: &Stage<'_>, python: &Python, length: Duration) -> Vec<Running> {
    let seconds = length.as_secs().to_string();
    let uri = |address| format!("container:http://{address}/v1/role/build");
    let mut all = python.script(world, "rotating.py");
    all.arg(&seconds).arg("process=process:build-via-bowline").arg(format!("ecs={}", uri(stage.endpoint)));
    all.arg(format!("imds=imds:http://{}", stage.imds));
    all.arg(format!("section=file:{}:legacy", world.path(".aws/credentials").display()));
    all.arg(format!("file=file:{}:default", world.path("secret/aws").display()));
    all.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &stage.token_file).env_remove("AWS_EC2_METADATA_DISABLED");
    let script = python.script(world, "rotating.py");
    // The address of the child's own endpoint is known inside only.
    let mut inside = world.bowline(&[
        "exec",
        "build",
        "--",
        "sh",
        "-c",
        "exec \"$@\" exec=container:$AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "sh",
    ]);
    inside.arg(script.get_program()).args(script.get_args()).arg(&seconds);
    let begin = world.path("begin");
    vec![world.start("sdks", all.env("BEGIN", &begin)), world.start("sdk-of-exec", inside.env("BEGIN", &begin))]
}

/// Every way out, read by many at once for `length`, with sessions of `life`.
#[track_caller]
fn rotate(name: &str, life: Duration, length: Duration, python: &Python) {
    let world = World::new(name, |settings| settings.role_lifetime = life);
    let stage = Stage::new(&world);
    let sdks = sdks(&world, &stage, python, length);
    until(Duration::from_secs(15), "botocore is there", || sdks.iter().all(|sdk| sdk.stderr().contains("ready")));
    let judge = Judge::new(&world);
    world.cloud().clear_counts();
    let (end, over) = (elapsed() + length, AtomicBool::new(false));
    world.write("begin", "");
    thread::scope(|scope| {
        let crowd = std::iter::repeat_n(Way::Ecs, CROWD);
        for way in WAYS.into_iter().chain(crowd) {
            let (stage, judge, over) = (&stage, &judge, &over);
            scope.spawn(move || {
                // A reader that panics ends the others; one that is through does not.
                let raise = Raise(over);
                read_on(stage, way, judge, end, over);
                std::mem::forget(raise);
            });
        }
    });
    // Looked at before the last of the clients have ended, who renew once more.
    let counts = world.cloud().counts();
    let calls = counts.sum("sso.GetRoleCredentials");
    for sdk in sdks {
        let end = sdk.finish(Duration::from_secs(15));
        assert_eq!(end.code, Some(0), "{}{}", end.stdout, end.stderr);
        eprintln!("botocore: {}", end.stdout.trim());
        let report: Value = serde_json::from_str(&end.stdout).unwrap();
        for (way, seen) in report.as_object().unwrap() {
            assert!(
                seen["calls"].as_u64() > Some(length.as_secs() / 2) && seen["gaps"] == serde_json::json!([]),
                "{way}: {seen}"
            );
        }
    }
    judge.say();
    judge.assert_no_fault();
    // A set lives for less than a second more than `life`, and is renewed at half of that or a tenth earlier.
    let rotations = length.as_secs_f64() / life.as_secs_f64();
    assert!(calls as f64 <= rotations / 0.45 + 2.0, "{calls} calls in {length:?}");
    assert_eq!(counts.peaks.get("sso.GetRoleCredentials"), Some(&1), "never two at once: {:?}", counts.peaks);
    assert_eq!(calls, counts.sum("sso.GetRoleCredentials.ok"), "{:?}", counts.calls);
    let seen = judge.sets();
    assert!(calls <= seen + 1, "{calls} calls brought {seen} sets: one call for each rotation");
    for way in WAYS {
        let seen = judge.sets_of(way);
        assert!(seen as f64 >= rotations * 0.6, "{way:?} saw {seen} sets");
    }
}

#[test]
fn no_way_out_has_a_gap_in_thirty_seconds_of_two_second_sessions() {
    let Some(python) = python() else { skip!("rotation with botocore: no target/py") };
    rotate("rotation", Duration::from_secs(2), Duration::from_secs(30), &python);
}

#[test]
fn no_way_out_has_a_gap_in_a_ten_minute_run_of_twenty_second_sessions() {
    let Some(python) = python() else { skip!("rotation with botocore: no target/py") };
    rotate("rotation-long", Duration::from_secs(20), Duration::from_secs(600), &python);
}

#[test]
fn an_outage_longer_than_the_session_ends_in_a_refusal_on_every_way_out_and_passes() {
    let world = World::new("rotation-outage", |settings| settings.role_lifetime = Duration::from_secs(2));
    let stage = Stage::new(&world);
    let judge = Judge::new(&world);
    world.cloud().fault(Fault::new("sso.*", Effect::Reset));
    let file = || fs::read_to_string(world.path("secret/aws")).unwrap();
    let mut refusals = Vec::new();
    until(Duration::from_secs(8), "every way out refuses", || {
        refusals = WAYS.into_iter().filter(|way| !way.is_file()).map(|way| (way, stage.read(way))).collect();
        let refused = refusals.iter().all(|(_, read)| matches!(read, Read::No(_)));
        // What was given meanwhile was the old set, and not past its end.
        refusals
            .iter()
            .filter(|(_, read)| matches!(read, Read::Set(_)))
            .for_each(|(way, read)| judge.hear(*way, read.clone()));
        refused
    });
    judge.assert_no_fault();
    for (way, read) in refusals {
        let Read::No(why) = read else { unreachable!() };
        let clear = match way {
            Way::Creds | Way::CredsAlone | Way::Env => why.starts_with("exit 4: ") && why.contains("error:"),
            _ => {
                why.starts_with("503 ")
                    && why.to_lowercase().contains("\r\nretry-after: ")
                    && why.contains("\"Message\"")
            }
        };
        assert!(clear, "{way:?}: {why}");
    }
    // A file cannot refuse: it keeps the old set, whole, and the process beside it says why.
    until(Duration::from_secs(5), "who keeps a file says so", || stage.writers_say("trying again"));
    let ended = file();
    assert!(ended.contains("aws_session_token = "), "the old set is there");
    world.cloud().clear_faults();
    until(Duration::from_secs(12), "every way out is back", || {
        let is_set = |way: Way| matches!(stage.read(way), Read::Set(_));
        WAYS.into_iter().filter(|way| !way.is_file()).all(is_set) && file() != ended
    });
}
