//! What a status document says, as text and screen need it: read once, with whatever is missing left out. Pure.

use bowline_base::{Timestamp, parse_timestamp};
use serde_json::Value;

/// One moment of the daemon, or of this machine without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    /// Whether a daemon said so.
    pub(super) daemon: bool,
    /// Why one that runs said nothing, and what to do about it.
    pub(super) obstacle: Option<(String, String)>,
    pub(super) program: String,
    /// `ok`, `degraded`, `failed`; nothing without a daemon.
    pub(super) state: String,
    pub(super) since: Option<Timestamp>,
    /// Where its page is.
    pub(super) page: Option<String>,
    pub(super) credentials: Vec<Credential>,
    pub(super) artifacts: Option<Artifacts>,
    pub(super) gateway: Option<Gateway>,
    pub(super) vpn: Option<Vpn>,
    pub(super) endpoint: Option<Endpoint>,
    /// What needs somebody.
    pub(super) wrong: Vec<Wrong>,
    pub(super) last: Option<Trouble>,
}

/// A profile, a session, a certificate.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Credential {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) source: String,
    pub(super) expires: Option<Timestamp>,
    pub(super) next_try: Option<Timestamp>,
    pub(super) failure: Option<String>,
    pub(super) command: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Artifacts {
    pub(super) listen: Vec<String>,
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) repositories: Vec<Repository>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Repository {
    pub(super) path: String,
    pub(super) from: Vec<String>,
    /// Answers that needed nobody else.
    pub(super) hits: u64,
    pub(super) requests: u64,
    pub(super) failed: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gateway {
    pub(super) address: Option<String>,
    pub(super) since: Option<Timestamp>,
    /// Where a change under way goes to.
    pub(super) moving_to: Option<String>,
    pub(super) connections: Vec<Connection>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) verdict: Option<String>,
    pub(super) tunnels: Vec<Tunnel>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tunnel {
    pub(super) address: String,
    pub(super) up: bool,
    pub(super) since: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vpn {
    pub(super) listening: Vec<String>,
    pub(super) users: u64,
    pub(super) connected: u64,
    pub(super) page: Option<String>,
    pub(super) peers: Vec<Peer>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) connected: bool,
    pub(super) inactive: Option<String>,
    pub(super) heard: Option<Timestamp>,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// Who hands out credentials over HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Endpoint {
    /// TCP addresses, and of instance metadata.
    pub(super) listen: Option<String>,
    pub(super) imds: Option<String>,
    /// The profiles.
    pub(super) serve: Vec<String>,
}

/// A check that is not ok.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wrong {
    pub(super) id: String,
    pub(super) failed: bool,
    pub(super) why: String,
    pub(super) fix: Option<String>,
}

/// The last warning of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trouble {
    pub(super) at: Option<Timestamp>,
    pub(super) what: String,
    pub(super) fix: Option<String>,
}

/// Outcomes of a request that asked nobody else, or joined one that did.
const FROM_THE_CACHE: [&str; 5] = ["hit", "negative", "revalidated", "stale", "joined"];

impl Snapshot {
    /// Of a document in the form of docs/reference/status.md.
    pub(super) fn of(document: &Value) -> Self {
        let jobs = &document["jobs"];
        let bad = |check: &&Value| check["verdict"] != "ok";
        Self {
            daemon: document["daemon"] == true,
            obstacle: maybe(&document["daemon_reason"]).map(|why| (why, text(&document["daemon_fix"]))),
            program: text(&document["program"]),
            state: text(&document["state"]),
            since: time(&document["since"]),
            page: maybe(&document["page"]),
            credentials: list(&document["credentials"]).map(credential).collect(),
            artifacts: jobs.get("artifacts").filter(|job| job.is_object()).map(artifacts),
            gateway: jobs.get("gateway").filter(|job| job.is_object()).map(gateway),
            vpn: jobs.get("vpn").filter(|job| job.is_object()).map(vpn),
            endpoint: jobs.get("endpoint").filter(|job| job.is_object()).map(endpoint),
            wrong: list(&document["checks"]).filter(bad).map(wrong).collect(),
            last: document.get("last_trouble").filter(|last| last.is_object()).map(trouble),
        }
    }
}

fn credential(line: &Value) -> Credential {
    Credential {
        kind: text(&line["kind"]),
        name: text(&line["name"]),
        state: text(&line["state"]),
        source: text(&line["source"]),
        expires: time(&line["expires"]),
        next_try: time(&line["next_try"]),
        failure: maybe(&line["failure"]),
        command: maybe(&line["command"]),
    }
}

fn endpoint(job: &Value) -> Endpoint {
    let serve = job["serve"].as_object().into_iter().flat_map(|serve| serve.keys().cloned()).collect();
    Endpoint { listen: maybe(&job["listen"]), imds: maybe(&job["imds"]), serve }
}

fn artifacts(job: &Value) -> Artifacts {
    Artifacts {
        listen: texts(&job["listen"]),
        bytes: number(&job["cache"]["bytes"]),
        files: number(&job["cache"]["files"]),
        repositories: list(&job["repositories"]).map(repository).collect(),
    }
}

fn repository(one: &Value) -> Repository {
    let requests = &one["requests"];
    Repository {
        path: text(&one["path"]),
        from: texts(&one["from"]),
        hits: FROM_THE_CACHE.iter().map(|outcome| number(&requests[outcome])).sum(),
        requests: requests.as_object().map_or(0, |all| all.values().map(number).sum()),
        failed: number(&requests["failed"]),
    }
}

fn gateway(job: &Value) -> Gateway {
    let tunnel =
        |one: &Value| Tunnel { address: text(&one["address"]), up: one["up"] == true, since: time(&one["since"]) };
    let connection = |one: &Value| Connection {
        id: text(&one["id"]),
        state: text(&one["state"]),
        verdict: maybe(&one["verdict"]),
        tunnels: list(&one["tunnels"]).map(tunnel).collect(),
    };
    Gateway {
        address: maybe(&job["address"]),
        since: time(&job["address_since"]),
        moving_to: maybe(&job["change"]["to"]),
        connections: list(&job["connections"]).map(connection).collect(),
    }
}

fn vpn(job: &Value) -> Vpn {
    let peers: Vec<Peer> = list(&job["peers"]).map(peer).collect();
    let users = job["users"].as_u64().unwrap_or(peers.len() as u64);
    Vpn {
        listening: texts(&job["listening"]),
        users,
        connected: number(&job["connected"]),
        page: maybe(&job["page"]),
        peers,
    }
}

fn peer(one: &Value) -> Peer {
    Peer {
        name: maybe(&one["user"]).unwrap_or_else(|| text(&one["public_key"])),
        connected: one["connected"] == true,
        inactive: maybe(&one["inactive"]),
        heard: time(&one["last_handshake"]),
        received: number(&one["received"]),
        sent: number(&one["sent"]),
    }
}

fn wrong(check: &Value) -> Wrong {
    let failed = check["verdict"] == "failed";
    Wrong { id: text(&check["id"]), failed, why: text(&check["why"]), fix: maybe(&check["fix"]) }
}

fn trouble(last: &Value) -> Trouble {
    Trouble { at: time(&last["at"]), what: text(&last["what"]), fix: maybe(&last["fix"]) }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Words of others must not steer the terminal.
fn maybe(value: &Value) -> Option<String> {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    value.as_str().filter(|text| !text.is_empty()).map(plain)
}

fn text(value: &Value) -> String {
    maybe(value).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).map(text).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| parse_timestamp(text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_strange_is_left_out() {
        assert_eq!(Snapshot::of(&Value::Null), Snapshot::default());
        let odd = json!({ "credentials": 7, "jobs": { "gateway": null, "vpn": [] }, "checks": [{ "verdict": 1 }] });
        let read = Snapshot::of(&odd);
        assert_eq!((read.credentials.len(), read.gateway, read.vpn, read.wrong.len()), (0, None, None, 1));
    }

    #[test]
    fn the_ratio_counts_what_asked_nobody_else() {
        let requests = json!({ "hit": 6, "stale": 1, "joined": 1, "miss": 1, "failed": 1 });
        let one = repository(&json!({ "path": "/", "from": ["s3://b"], "requests": requests }));
        assert_eq!((one.hits, one.requests, one.failed), (8, 10, 1));
    }

    #[test]
    fn words_of_others_do_not_steer_the_terminal() {
        assert_eq!(text(&json!("a\u{1b}[2Jb")), "a [2Jb");
    }
}
