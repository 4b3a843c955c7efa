//! The daemon: whether it answers for us, who may reach it, whether it is of our version, and whether it is ready.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use bowline_base::{Fault, shell::quoted_path};
use bowline_credentials::client::{self, Answer, GoAlone};
use bowline_host::{Check, listen, obstacle::Obstacle};
use serde_json::Value;

use super::{Patient, ids, network, proxy, remedy::Remedy, verdict::*};
use crate::{
    commands::unusable::{GRANTING, Unusable, is_of_another_user},
    loopback,
    world::small_runtime,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const CONTAINER: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let socket = patient.world.environment.daemon_socket();
    let heard = match client::status(&socket, &patient.world.context()) {
        Ok(Answer::Good(text)) => Heard::Status(serde_json::from_str(text.expose()).unwrap_or_default()),
        Ok(Answer::Fault(fault)) => Heard::Refusal(fault),
        Err(reason) => Heard::Nothing(reason),
    };
    let mut checks = vec![running(&socket, patient.file.is_some(), &heard)];
    checks.extend(door(&socket, patient).map(|(check, _)| check));
    if let Heard::Status(status) = &heard {
        checks.push(version(status));
        let page = patient.settings().daemon.listen;
        checks.push(ready(&page.to_string(), loopback::get(page, "/readyz").ok().as_deref()));
    }
    checks.extend(container(patient));
    checks
}

/// What came of the question for its status.
enum Heard {
    Status(Value),
    Refusal(Fault),
    Nothing(GoAlone),
}

fn running(socket: &Path, configured: bool, heard: &Heard) -> Check {
    let id = ids::DAEMON_RUNNING;
    let reason = match heard {
        Heard::Status(_) => return ok(id, format!("it answers on `{}`", socket.display())),
        Heard::Refusal(fault) if is_of_another_user(fault) => return ok(id, GRANTING),
        Heard::Refusal(fault) => {
            let Unusable { why, fix } = Unusable::refusal(fault);
            return failed(id, why, Some(fix));
        }
        Heard::Nothing(reason) => reason,
    };
    match (reason, Unusable::of(reason, socket)) {
        (GoAlone::Foreign(_) | GoAlone::Silent(_), Some(Unusable { why, fix })) => failed(id, why, Some(fix)),
        (_, Some(Unusable { why, fix })) => degraded(id, why, fix),
        (_, None) if configured => degraded(id, format!("{reason}: commands do the work themselves"), "bowline run"),
        (_, None) => ok(id, "no daemon runs, and none is configured: commands do the work themselves"),
    }
}

/// What `--fix` does: to the socket, and to its directory where that is made for it. A home or a shared directory that
/// somebody has put the socket into serves others too.
pub(super) fn remedies(patient: &Patient) -> Vec<Remedy> {
    let environment = &patient.world.environment;
    let door = door(&environment.daemon_socket(), patient);
    let kept = [environment.runtime_directory(), environment.state_directory()];
    let may = |remedy: &Remedy| match remedy {
        Remedy::Mode(path, _) | Remedy::Directory(path) | Remedy::DeadSocket(path) => {
            let found = fs::symlink_metadata(path);
            let made_for_it = kept.iter().any(|kept| path.starts_with(kept));
            found.is_ok_and(|found| found.uid() == patient.me() && (made_for_it || !found.is_dir()))
        }
    };
    door.and_then(|(_, remedy)| remedy).filter(may).into_iter().collect()
}

/// Mode and owner of the socket and of its directory; a grant opens both to other users on purpose, and those of another
/// user's daemon are not in our file.
fn door(socket: &Path, patient: &Patient) -> Option<(Check, Option<Remedy>)> {
    let id = ids::DAEMON_SOCKET;
    let directory = socket.parent()?;
    let (found, around) = (fs::symlink_metadata(socket).ok()?, fs::metadata(directory).ok()?);
    if !found.file_type().is_socket() {
        let why = format!("`{}` is no socket", socket.display());
        return Some((failed(id, why, Some(format!("rm {}   # then: bowline run", quoted_path(socket)))), None));
    }
    let granted = !patient.settings().grants.is_empty() || found.uid() != patient.me();
    if listen::is_dead_socket(socket) {
        let remedy = Remedy::DeadSocket(socket.to_owned());
        let why = format!("`{}` is left of a daemon that was killed; the next one replaces it", socket.display());
        return Some((degraded(id, why, remedy.command()), Some(remedy)));
    }
    Some(judge_door((socket, found.mode() & 0o777), (directory, around.mode() & 0o7777), granted))
}

fn judge_door(socket: (&Path, u32), directory: (&Path, u32), granted: bool) -> (Check, Option<Remedy>) {
    let id = ids::DAEMON_SOCKET;
    // In a sticky directory such as /tmp nobody can replace what is not theirs.
    if directory.1 & 0o022 != 0 && directory.1 & 0o1000 == 0 {
        let why =
            format!("`{}` has mode {:o}: others can put a socket of theirs there", directory.0.display(), directory.1);
        // Whoever is granted something still comes by.
        let remedy = Remedy::Mode(directory.0.to_owned(), directory.1 & !0o022);
        return (failed(id, why, Some(remedy.command())), Some(remedy));
    }
    if socket.1 & 0o077 != 0 && !granted {
        let why = format!("`{}` has mode {:o}, and no [[grant]] is for others", socket.0.display(), socket.1);
        let remedy = Remedy::Mode(socket.0.to_owned(), 0o600);
        return (degraded(id, why, remedy.command()), Some(remedy));
    }
    (ok(id, format!("`{}` has mode {:o}", socket.0.display(), socket.1)), None)
}

fn version(status: &Value) -> Check {
    let id = ids::DAEMON_VERSION;
    match status["program"].as_str() {
        Some(VERSION) => ok(id, format!("it is of version {VERSION}, as this program")),
        theirs => {
            let why = format!("it is of version {}, this program of {VERSION}", theirs.unwrap_or("?"));
            degraded(id, why, "start it again: systemctl restart bowline, or stop it and: bowline run")
        }
    }
}

/// `answer` is that of `/readyz`; `None`: the status page does not answer.
fn ready(page: &str, answer: Option<&str>) -> Check {
    let id = ids::DAEMON_READY;
    let body = answer.and_then(|answer| serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok());
    let Some(body) = body else {
        let why = format!("its status page does not answer on {page}");
        return degraded(id, why, "let [daemon] listen be what the daemon was started with, or start it again");
    };
    let body: Value = body;
    let checks = body["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bad: Vec<&Value> = checks.iter().filter(|check| check["verdict"] != "ok").collect();
    let said = |check: &&Value| format!("{}: {}", text(check, "id"), text(check, "why"));
    let why = bad.iter().map(said).collect::<Vec<_>>().join("\n");
    let fixes: Vec<&str> = bad.iter().filter_map(|check| check["fix"].as_str()).collect();
    let fix = if fixes.is_empty() { format!("curl http://{page}/readyz") } else { fixes.join("\n") };
    match body["status"].as_str() {
        Some("ok") => ok(id, format!("{} checks, all good", checks.len())),
        Some("degraded") => degraded(id, why, fix),
        _ => failed(id, why, Some(fix)),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every SDK in this environment asks there, before it asks anybody else.
fn container(patient: &Patient) -> Vec<Check> {
    let environment = &patient.world.environment;
    let Some(address) = environment.var(CONTAINER) else { return Vec::new() };
    let wire = &patient.world.wire;
    let Ok(runtime) = small_runtime() else { return Vec::new() };
    let met = runtime.block_on(network::ask(&**wire, address));
    runtime.shutdown_background();
    let missing = environment.var(TOKEN_FILE).filter(|path| fs::File::open(path).is_err());
    let met = met.map(|answer| answer.status().as_u16()).map_err(|error| Obstacle::of(&error));
    vec![judge_container(address, &met, missing)]
}

fn judge_container(address: &str, met: &Result<u16, Obstacle>, missing: Option<&str>) -> Check {
    let id = ids::DAEMON_CONTAINER_URI;
    // Without a path, a query or a password that may stand in it.
    let place = proxy::place(address);
    match (met, missing) {
        (Err(obstacle), _) => {
            let why = format!("{CONTAINER} leads to {place}: {obstacle}; every SDK here waits for it in vain");
            failed(id, why, Some(format!("unset {CONTAINER} {TOKEN_FILE}   # or: eval \"$(bowline serve PROFILE)\"")))
        }
        (Ok(_), Some(path)) => {
            let why = format!("{TOKEN_FILE} names `{path}`, which cannot be read");
            failed(id, why, Some(format!("ls -l {}", quoted_path(Path::new(path)))))
        }
        (Ok(status), None) => ok(id, format!("{place} answers ({status} without a token)")),
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::Kind;
    use bowline_host::Verdict;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_daemon_is_fine_where_none_is_configured() {
        let look = |configured, heard| running(Path::new("/run/sock"), configured, &heard);
        let check = |configured, reason| look(configured, Heard::Nothing(reason)).verdict;
        assert_eq!(check(false, GoAlone::NoDaemon("x".to_owned())), Verdict::Ok);
        assert_eq!(check(true, GoAlone::NoDaemon("x".to_owned())), Verdict::Degraded);
        assert_eq!(check(true, GoAlone::Foreign("x".to_owned())), Verdict::Failed);
        assert_eq!(check(true, GoAlone::OtherContext), Verdict::Degraded);
        assert_eq!(check(true, GoAlone::Silent(std::io::ErrorKind::TimedOut.into())), Verdict::Failed);
        let refusal = |kind| look(false, Heard::Refusal(Fault::new(kind, "daemon", "no")));
        assert_eq!((refusal(Kind::Refused).verdict, refusal(Kind::Refused).fix), (Verdict::Ok, None));
        assert_eq!(refusal(Kind::Bug).verdict, Verdict::Failed);
    }

    #[test]
    fn a_socket_is_private_unless_a_grant_opens_it_and_its_directory_never_writable() {
        let check = |socket, directory, granted| {
            judge_door((Path::new("/r/sock"), socket), (Path::new("/r"), directory), granted).0.verdict
        };
        assert_eq!(check(0o600, 0o700, false), Verdict::Ok);
        assert_eq!(check(0o666, 0o711, true), Verdict::Ok);
        assert_eq!(check(0o666, 0o711, false), Verdict::Degraded);
        assert_eq!(check(0o600, 0o1777, false), Verdict::Ok);
        assert_eq!(check(0o600, 0o777, true), Verdict::Failed);
    }

    #[test]
    fn a_closed_directory_still_lets_granted_users_through() {
        let remedy = |mode| judge_door((Path::new("/r/sock"), 0o666), (Path::new("/r"), mode), true).1;
        assert_eq!(remedy(0o775), Some(Remedy::Mode("/r".into(), 0o755)));
        assert_eq!(remedy(0o733), Some(Remedy::Mode("/r".into(), 0o711)));
    }

    #[test]
    fn another_version_is_told() {
        assert_eq!(version(&json!({ "program": VERSION })).verdict, Verdict::Ok);
        assert_eq!(version(&json!({ "program": "0.0.1" })).verdict, Verdict::Degraded);
    }

    #[test]
    fn readiness_brings_the_reasons_and_the_fixes_along() {
        let answer = |status| {
            format!(
                "HTTP/1.1 200 OK\r\n\r\n{}",
                json!({ "status": status, "checks": [{ "id": "a", "verdict": "ok", "why": "x" },
                    { "id": "b", "verdict": status, "why": "y", "fix": "do z" }] })
            )
        };
        assert_eq!(ready("p", Some(&answer("ok"))).verdict, Verdict::Ok);
        let check = ready("p", Some(&answer("failed")));
        assert_eq!((check.verdict, check.why.as_str(), check.fix.as_deref()), (Verdict::Failed, "b: y", Some("do z")));
        assert_eq!(ready("p", None).verdict, Verdict::Degraded);
    }

    #[test]
    fn a_dead_endpoint_in_the_environment_is_a_failure() {
        let address = "http://127.0.0.1:9911/v1/role/build";
        let dead = judge_container(address, &Err(Obstacle::Refused), None);
        assert!(dead.verdict == Verdict::Failed && dead.fix.unwrap().starts_with("unset AWS_CONTAINER"));
        assert_eq!(judge_container(address, &Ok(401), None).verdict, Verdict::Ok);
        assert_eq!(judge_container(address, &Ok(401), Some("/gone")).verdict, Verdict::Failed);
    }
}
