//! Addresses that the configuration wants: free, held by our own daemon, or by somebody else, who is named.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use bowline_host::{Check, ports};
use serde_json::Value;

use super::{
    Patient,
    ids::{self, Id},
    verdict::*,
};
use crate::loopback::get;

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let settings = patient.settings();
    let page = settings.daemon.listen;
    let jobs = our_jobs(page);
    let mut checks = vec![judge(ids::PORTS_DAEMON, page, "[daemon] listen", &look(page, || jobs.is_some()))];
    if let Some(endpoint) = &settings.endpoint {
        let ours = || jobs.as_ref().is_some_and(|jobs| jobs["endpoint"].is_object());
        let listen = endpoint.listen.iter().map(|address| (*address, "[endpoint] listen"));
        for (address, key) in listen.chain(endpoint.imds.map(|address| (address, "[endpoint] imds"))) {
            checks.push(judge(ids::PORTS_ENDPOINT, address, key, &look(address, ours)));
        }
    }
    if let Some(artifacts) = &settings.artifacts {
        checks.extend(of_artifacts(&artifacts.listen));
    }
    checks
}

/// The repository's addresses; `bowline artifacts serve` has them as rightly as the daemon.
pub(super) fn of_artifacts(listen: &[SocketAddr]) -> Vec<Check> {
    let answers = |address: SocketAddr| get(address, "/healthz").is_ok_and(|answer| answer.contains("\"status\""));
    let check = |address: &SocketAddr| {
        judge(ids::PORTS_ARTIFACTS, *address, "[artifacts] listen", &look(*address, || answers(*address)))
    };
    listen.iter().map(check).collect()
}

/// One address of a part that judges its own.
pub(super) fn of(id: Id, address: SocketAddr, key: &str, ours: impl Fn() -> bool) -> Check {
    judge(id, address, key, &look(address, ours))
}

/// What the daemon that answers on the status page runs.
pub(super) fn our_jobs(page: SocketAddr) -> Option<Value> {
    let answer = get(page, "/status.json").ok()?;
    let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    status["program"].is_string().then(|| status["jobs"].clone())
}

/// What is found at an address.
enum Found {
    Free,
    Ours,
    Held(Option<ports::Holder>),
    Not(io::Error),
}

fn look(address: SocketAddr, ours: impl Fn() -> bool) -> Found {
    match TcpListener::bind(address) {
        Ok(_) => Found::Free,
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Found::Not(error),
        Err(_) if ours() => Found::Ours,
        Err(_) => Found::Held(ports::holder(address)),
    }
}

fn judge(id: Id, address: SocketAddr, key: &str, found: &Found) -> Check {
    match found {
        Found::Free => ok(id, format!("{address} ({key}) is free")),
        Found::Ours => ok(id, format!("{address} ({key}) is served by Bowline")),
        Found::Held(holder) => {
            let who = holder.as_ref().map_or_else(|| "another process".to_owned(), said);
            let fix = match holder.as_ref().and_then(|holder| holder.pid) {
                Some(pid) => format!("kill {pid}   # or set another `listen` under {}", section(key)),
                None => format!(
                    "sudo ss -ltnp 'sport = :{}'   # who has it; or set another `listen` under {}",
                    address.port(),
                    section(key)
                ),
            };
            failed(id, format!("{address} ({key}) is held by {who}"), Some(fix))
        }
        Found::Not(error) => {
            failed(id, format!("{address} ({key}) cannot be bound: {error}"), Some(advice(error, key)))
        }
    }
}

fn said(holder: &ports::Holder) -> String {
    match (&holder.program, holder.pid) {
        (Some(program), Some(pid)) => format!("`{program}` (process {pid}, user {})", holder.uid),
        _ => format!("a process of user {}", holder.uid),
    }
}

fn section(key: &str) -> &str {
    key.split(' ').next().unwrap_or(key)
}

fn advice(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            format!("ip -brief address   # {key} must be an address of this machine")
        }
        io::ErrorKind::PermissionDenied => format!("choose a port above 1023 for {key}"),
        _ => format!("choose another address for {key}"),
    }
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    fn judged(found: &Found) -> Check {
        judge(ids::PORTS_DAEMON, ([127, 0, 0, 1], 9910).into(), "[daemon] listen", found)
    }

    #[test]
    fn free_and_ours_are_good_and_a_stranger_is_named() {
        assert_eq!(judged(&Found::Free).verdict, Verdict::Ok);
        assert_eq!(judged(&Found::Ours).verdict, Verdict::Ok);
        let holder = ports::Holder { uid: 33, pid: Some(4711), program: Some("nginx".to_owned()) };
        let check = judged(&Found::Held(Some(holder)));
        assert!(check.why.ends_with("held by `nginx` (process 4711, user 33)"), "{}", check.why);
        assert!(check.fix.unwrap().starts_with("kill 4711"));
        let hidden = judged(&Found::Held(Some(ports::Holder { uid: 0, pid: None, program: None })));
        assert!(hidden.why.ends_with("a process of user 0") && hidden.fix.unwrap().contains("ss -ltnp"));
    }

    #[test]
    fn an_address_of_another_machine_is_told_apart() {
        let check = judged(&Found::Not(io::ErrorKind::AddrNotAvailable.into()));
        assert!(check.fix.unwrap().contains("address of this machine"));
    }
}
