//! What is on the disk after records, rotations, crashes, other processes and a disk that says no.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use bowline_audit::{
    Against, AuditLog, Checkpoint, Event, Filter, Flaw, Places, PublicKey, Record, sink::stdout::Stdout, verify_files,
};
use bowline_base::Fault;

use crate::world::{World, append, issued, later, now};

#[test]
fn a_record_is_on_disk_before_record_returns_and_signed_afterwards() {
    let world = World::new();
    let receipt = world.log.record(now(), &issued("build", "mvn")).unwrap();
    assert_eq!(receipt.line, Some(2));
    assert!(
        world.text().contains(r#""client":{"pid":7,"program":"mvn","uid":1000},"event":"issued""#),
        "{}",
        world.text()
    );
    assert_eq!((world.verdict().bad, world.verdict().signed_to), (None, None));
    assert!(world.log.sign(now()).unwrap());
    assert_eq!(world.verdict().signed_to, Some(3));
    assert!(!world.log.sign(now()).unwrap(), "there is nothing new to sign");
    let kept = fs::read_to_string(world.log.places().checkpoint()).unwrap();
    assert_eq!(Checkpoint::last_in(&kept).unwrap().seq, 3);
    for file in fs::read_dir(world.directory()).unwrap().map(|entry| entry.unwrap().path()) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let public = file.extension().is_some_and(|extension| extension == "pub");
        assert_eq!(mode, if public { 0o644 } else { 0o600 }, "{}", file.display());
    }
}

#[test]
fn one_client_and_lease_is_one_record_however_often_it_asks() {
    let world = World::new();
    let first = world.log.record(now(), &issued("build", "mvn")).unwrap();
    for _ in 0..100 {
        let again = world.log.record(now(), &issued("build", "mvn")).unwrap();
        assert_eq!((again.line, again.repeated), (first.line, true));
    }
    world.log.record(now(), &issued("build", "terraform")).unwrap();
    assert_eq!(Filter::default().find(world.text().as_bytes()).len(), 2);
}

#[test]
fn rotation_keeps_the_chain_across_files() {
    let world = World::with_files_of(4000);
    for number in 0..40 {
        world.log.record(now(), &issued(&format!("profile-{number}"), "mvn")).unwrap();
    }
    world.log.sign(now()).unwrap();
    let (files, verdict) = (world.files(), world.verdict());
    assert!(files.len() > 3, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 4000));
    assert_eq!((verdict.bad, verdict.first, verdict.signed_to), (None, Some(1), verdict.last));
    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(world.verdict().bad.unwrap().flaw, Flaw::Missing(..)));
}

#[test]
fn a_torn_line_is_moved_aside_and_named_and_the_log_goes_on() {
    let world = World::new();
    world.log.record(now(), &issued("build", "mvn")).unwrap();
    let file = world.files().remove(0);
    append(&file, br#"{"client":{"pid":8"#);
    let torn = world.verdict();
    assert_eq!((torn.bad, torn.last, torn.torn.map(|(_, bytes)| bytes)), (None, Some(2), Some(18)));
    world.again().record(later(1), &Record::new(Event::DaemonStarted)).unwrap();
    let verdict = world.verdict();
    assert_eq!((verdict.bad, verdict.torn, verdict.last), (None, None, Some(4)));
    let aside = world.directory().join("audit-000000000001.jsonl.torn-1");
    assert_eq!(fs::read(aside).unwrap(), br#"{"client":{"pid":8"#);
    let wanted = Filter { event: Some("torn-tail".to_owned()), ..Filter::default() };
    let found = wanted.find(world.text().as_bytes());
    assert!(found[0].text("reason").unwrap().contains("18 bytes behind line 2"), "{found:?}");
}

#[test]
fn a_file_that_was_only_just_begun_when_the_process_died_does_not_stop_the_log() {
    let world = World::new();
    world.log.record(now(), &issued("build", "mvn")).unwrap();
    bowline_base::atomic::write_private(&world.directory().join("audit-000000000003.jsonl"), b"{\"ev").unwrap();
    world.again().record(now(), &issued("other", "mvn")).unwrap();
    let verdict = world.verdict();
    assert_eq!((verdict.bad, verdict.last, world.files().len()), (None, Some(4), 1));
}

#[test]
fn a_cut_tail_is_found_with_the_checkpoint_and_written_down_at_the_next_start() {
    let world = World::new();
    world.log.record(now(), &issued("build", "mvn")).unwrap();
    world.log.record(now(), &issued("admin", "intruder")).unwrap();
    world.log.sign(now()).unwrap();
    let file = world.files().remove(0);
    let checkpoint = Checkpoint::last_in(&fs::read_to_string(world.log.places().checkpoint()).unwrap());
    let text = fs::read_to_string(&file).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    bowline_base::atomic::write_private(&file, cut.as_bytes()).unwrap();
    let key = PublicKey::parse(&fs::read_to_string(world.log.places().public_key()).unwrap());
    let verdict = verify_files(&world.files(), &Against { checkpoint, key, whole: true }).unwrap();
    assert_eq!(verdict.bad.unwrap().flaw, Flaw::TailCut(4));
    world.again().record(now(), &Record::new(Event::DaemonStarted)).unwrap();
    assert!(world.text().contains("the log ended at line 2, and a checkpoint says it had 4"), "{}", world.text());
}

#[test]
fn a_lost_key_is_replaced_and_the_chain_goes_on_in_another_file() {
    let world = World::new();
    world.log.record(now(), &issued("build", "mvn")).unwrap();
    fs::remove_file(world.log.places().key()).unwrap();
    let again = world.again();
    again.record(now(), &issued("build", "terraform")).unwrap();
    again.sign(now()).unwrap();
    assert_eq!((world.verdict().bad, world.files().len()), (None, 2));
}

#[test]
fn a_log_of_a_newer_version_is_refused_and_left_alone() {
    let world = World::new();
    fs::create_dir(world.directory()).unwrap();
    let file = world.directory().join("audit-000000000001.jsonl");
    bowline_base::atomic::write_private(&file, b"{\"kind\":\"bowline-audit\",\"version\":9}\n").unwrap();
    let fault = world.log.record(now(), &Record::new(Event::Login)).unwrap_err();
    assert!(fault.message.contains("version 9"), "{fault:?}");
    assert_eq!(fs::read(&file).unwrap(), b"{\"kind\":\"bowline-audit\",\"version\":9}\n");
}

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `/dev/full` and modes do not stop root: a file stands where the directory should be.
#[test]
fn without_a_disk_another_sink_is_enough_and_the_log_says_later_what_it_missed() {
    let world = World::new();
    bowline_base::atomic::write_private(&world.directory(), b"in the way").unwrap();
    let refused: Fault = world.log.record(now(), &issued("build", "mvn")).unwrap_err();
    assert!(refused.message.contains("cannot write the audit log"), "{refused:?}");
    assert!(world.log.failing().contains_key("file"));
    let pipe = Pipe::default();
    let log = AuditLog::new(Places::clone(world.log.places()), vec![Box::new(Stdout::new(Box::new(pipe.clone())))]);
    assert_eq!(log.record(now(), &issued("build", "mvn")).unwrap().line, None);
    fs::remove_file(world.directory()).unwrap();
    assert_eq!(log.record(now(), &issued("build", "mvn")).unwrap().line, Some(3));
    assert!(world.text().contains("1 records could not be kept here") && log.failing().is_empty());
    assert_eq!(String::from_utf8(pipe.0.lock().unwrap().clone()).unwrap().lines().count(), 3);
}

/// What a stranger with `jq` and `sha256sum` finds is what we wrote.
#[test]
fn jq_and_sha256sum_agree_with_the_hashes() {
    let world = World::new();
    world.log.record(now(), &issued("bäu \"ild\"", "mvn")).unwrap();
    for line in world.text().lines() {
        let script = "jq -cS 'del(.hash)' | tr -d '\\n' | sha256sum | cut -d' ' -f1";
        let mut child =
            Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let hash = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let jq_is_here = Command::new("jq").arg("--version").output().is_ok();
        assert!(!jq_is_here || line.contains(&format!("\"hash\":\"{}\"", hash.trim())), "{line}\n{hash}");
    }
}
