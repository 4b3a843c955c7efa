//! The daemon's Unix socket, `/v1/…`: command lines ask here before they go to work themselves.
//!
//! Processes of the daemon's own user are answered; others as the grants say, for the profiles that they name. Root is told
//! how things stand. A client with other AWS files or endpoints is told so (409),
//! because the answer for its profile of the same name would be a wrong one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_host::{Listener, Peer, ServerLimits, Tasks, peers, server};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::{
    Broker, client,
    delivery::process_json,
    grant::{Asker, AuditDuty, Grants},
    lease_file::kind_name,
    setup::Context,
    vault::door,
    wiped,
    witness::{Handover, Written, client_of},
};

/// Carries the client's [`Context`].
pub const CONTEXT_HEADER: &str = "x-bowline-context";

/// 64 KiB and a second for a request's head.
const LIMITS: ServerLimits = ServerLimits {
    head: Duration::from_secs(1),
    connections: 1024,
    head_bytes: 64 * 1024,
    stall: Duration::from_secs(1),
};

/// Answers on `listener` until shutdown.
pub fn serve(tasks: &Tasks, listener: Arc<Listener>, broker: Broker, grants: Grants) {
    let owner = rustix::process::geteuid().as_raw();
    server::serve(tasks, "socket", listener, LIMITS, move |peer, request: Request<_>| {
        let (broker, grants) = (broker.clone(), grants.clone());
        async move {
            let (head, body) = request.into_parts();
            let duty = granted(&peer, &head, &grants, broker.sources().wire().now());
            if duty.is_some() {
                return answer(&broker, &peer, head.uri.path(), duty).await;
            }
            let Some(refusal) = refusal(&peer, owner, &head, &broker.sources().setup().context()) else {
                return match door::is_for(&head.method, head.uri.path()) {
                    true => door::answer(&broker, head.uri.path(), body).await,
                    false => answer(&broker, &peer, head.uri.path(), None).await,
                };
            };
            if refusal.status() == StatusCode::FORBIDDEN {
                let named = profile(head.uri.path()).filter(|profile| grants.name(profile));
                on_the_disk(move || note_stranger(&broker, &peer, named)).await;
            }
            refusal
        }
    });
}

/// Lets processes of other users connect, whom the kernel names; who is answered stays with the grants.
///
/// # Errors
/// `Config` when the modes cannot be set.
pub fn open_to_others(path: &Path) -> Result<(), Fault> {
    let mode = |path: &Path, add: u32| {
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        fs::set_permissions(path, fs::Permissions::from_mode(mode | add))
    };
    let opened = path.parent().map_or(Ok(()), |directory| mode(directory, 0o011)).and_then(|()| mode(path, 0o066));
    opened.map_err(|cause| {
        Fault::new(Kind::Config, "daemon", format!("cannot open `{}` to the users of a grant", path.display()))
            .cause(cause)
    })
}

/// What the grant says of the audit log that gives what is asked for to this process, whose files and endpoints then do
/// not matter.
fn granted(peer: &Peer, head: &http::request::Parts, grants: &Grants, now: bowline_base::Now) -> Option<AuditDuty> {
    let Peer::Unix { uid, pid } = peer else { return None };
    let profile = profile(head.uri.path()).filter(|_| head.method == Method::GET)?;
    let token = head.headers.get(http::header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    let asker = Asker { owner: peers::Owner::Uid(*uid), cgroup: pid.and_then(peers::cgroup), token };
    grants.gives(&asker, &profile, now).filter(|_| *uid != rustix::process::geteuid().as_raw())
}

/// Who is none of ours and asks all the same is written down.
fn note_stranger(broker: &Broker, peer: &Peer, profile: Option<String>) {
    if let Some(witness) = broker.witness() {
        let client = client_of(peer, peers::Owner::NotHere, None);
        // Of an outage of the log the witness has told already.
        witness.refused(broker.sources().wire().now(), client, profile.as_deref(), STRANGER.to_owned()).ok();
    }
}

const STRANGER: &str = "this daemon answers its own user, and others by `[[grant]]`";

fn profile(path: &str) -> Option<String> {
    path.strip_prefix("/v1/credentials/").and_then(decode)
}

pub(crate) type Reply = Response<Full<Bytes>>;

/// Why this peer is not answered; `None` when it is.
fn refusal(peer: &Peer, owner: u32, head: &http::request::Parts, context: &Context) -> Option<Reply> {
    let (method, headers) = (&head.method, &head.headers);
    let is = |wanted: u32| matches!(peer, Peer::Unix { uid, .. } if *uid == wanted);
    // Root may see how the machine's service is; what it holds takes a grant all the same.
    if is(0) && !is(owner) && method == Method::GET && [client::PING, "/v1/status"].contains(&head.uri.path()) {
        return None;
    }
    if !is(owner) {
        let fault = Fault::new(Kind::Refused, "daemon", STRANGER);
        return Some(fault_reply(StatusCode::FORBIDDEN, &fault));
    }
    if method != Method::GET && !door::is_for(method, head.uri.path()) {
        let fault = Fault::new(Kind::Refused, "daemon", "only GET is known here");
        return Some(fault_reply(StatusCode::METHOD_NOT_ALLOWED, &fault));
    }
    let told = headers.get(CONTEXT_HEADER).and_then(|value| value.to_str().ok());
    if told.is_some_and(|told| !context.agrees(told)) {
        let fault = Fault::new(Kind::Config, "daemon", "the daemon runs with other AWS files, endpoints or identities");
        return Some(fault_reply(StatusCode::CONFLICT, &fault));
    }
    None
}

async fn answer(broker: &Broker, peer: &Peer, path: &str, duty: Option<AuditDuty>) -> Reply {
    // Of a client that waits for something else: a stopped daemon does not answer even this.
    if path == client::PING {
        return reply(StatusCode::OK, "{}".to_owned());
    }
    if path == "/v1/status" {
        return reply(StatusCode::OK, broker.overview().to_string());
    }
    let Some(profile) = profile(path) else {
        // Without our error object: a client takes that for another version and goes alone.
        return reply(StatusCode::NOT_FOUND, "{}".to_owned());
    };
    hand_out(broker, peer, profile, duty).await
}

/// The credentials of `profile`; that they leave, or why not, is written down before.
async fn hand_out(broker: &Broker, peer: &Peer, profile: String, duty: Option<AuditDuty>) -> Reply {
    let asked = broker.ask(&profile).await;
    let now = broker.sources().wire().now();
    let witness = broker.witness().cloned().map(|witness| (witness, client_of(peer, peers::Owner::NotHere, None)));
    let credentials = match asked {
        Ok(credentials) => credentials,
        Err(unavailable) => {
            if let Some((witness, client)) = witness {
                let why = unavailable.0.chain();
                on_the_disk(move || witness.refused(now, client, Some(&profile), why).ok()).await;
            }
            return refuse(&unavailable.0);
        }
    };
    let document = process_json(&credentials, now.wall);
    let written = match witness.filter(|_| document.is_ok()) {
        Some((witness, client)) => {
            let source = broker.source_of(&profile);
            let handover = move || {
                let (profile, credentials, source) = (&profile, &*credentials, &source);
                witness.issued(now, Handover { client, profile, credentials, source, duty })
            };
            on_the_disk(handover).await.unwrap_or_else(|| Err(Fault::new(Kind::Bug, "audit", "writing broke off")))
        }
        None => Ok(Written::Yes),
    };
    match written.and(document) {
        Ok(document) => replied(StatusCode::OK, wiped::body(document)),
        Err(fault) => refuse(&fault),
    }
}

/// What may wait for a disk, or for another process that has the log, does not keep a thread that serves others.
async fn on_the_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

pub(crate) fn refuse(fault: &Fault) -> Reply {
    let status = StatusCode::from_u16(fault.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    fault_reply(status, fault)
}

fn fault_reply(status: StatusCode, fault: &Fault) -> Reply {
    let error = json!({
        "kind": kind_name(fault.kind),
        "origin": fault.origin,
        "message": fault.chain(),
        "what": fault.message,
        "causes": fault.causes(),
        "hint": fault.hint,
    });
    reply(status, json!({ "error": error }).to_string())
}

pub(crate) fn reply(status: StatusCode, body: String) -> Reply {
    replied(status, Bytes::from(body))
}

fn replied(status: StatusCode, body: Bytes) -> Reply {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

/// One path segment with `%XX` undone; `None` for an empty one, a second segment or no UTF-8.
pub(crate) fn decode(segment: &str) -> Option<String> {
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let digits = [*rest.next()?, *rest.next()?];
            bytes.push(
                (char::from(digits[0]).to_digit(16)? * 16 + char::from(digits[1]).to_digit(16)?).try_into().ok()?,
            );
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Peer = Peer::Unix { uid: 7, pid: None };

    fn status(peer: &Peer, method: &Method, context: Option<&str>) -> Option<u16> {
        at(peer, method, "/v1/status", context)
    }

    fn at(peer: &Peer, method: &Method, path: &str, context: Option<&str>) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(context) = context {
            request = request.header(CONTEXT_HEADER, context);
        }
        let head = request.body(()).unwrap().into_parts().0;
        refusal(peer, 7, &head, &Context::new("abc", "def")).map(|reply| reply.status().as_u16())
    }

    #[test]
    fn only_the_daemon_s_own_user_is_answered() {
        assert_eq!(status(&OURS, &Method::GET, Some("abc")), None);
        assert_eq!(status(&Peer::Unix { uid: 8, pid: Some(1) }, &Method::GET, Some("abc")), Some(403));
        assert_eq!(status(&Peer::Tcp(([127, 0, 0, 1], 1).into()), &Method::GET, Some("abc")), Some(403));
    }

    #[test]
    fn root_is_told_how_things_stand_and_nothing_else() {
        let root = Peer::Unix { uid: 0, pid: Some(1) };
        assert_eq!(status(&root, &Method::GET, Some("other")), None);
        assert_eq!(status(&root, &Method::POST, Some("abc")), Some(403));
        for path in ["/v1/credentials/build", "/v1/vault/list"] {
            assert_eq!(at(&root, &Method::GET, path, Some("abc")), Some(403), "{path}");
        }
    }

    #[test]
    fn another_context_is_told_so() {
        assert_eq!(status(&OURS, &Method::GET, Some("other")), Some(409));
        assert_eq!(status(&OURS, &Method::GET, Some("abc.def")), None);
        assert_eq!(status(&OURS, &Method::GET, Some("abc.other")), Some(409));
        assert_eq!(status(&OURS, &Method::GET, None), None);
        assert_eq!(status(&OURS, &Method::POST, Some("abc")), Some(405));
    }

    #[test]
    fn the_vault_is_opened_by_its_owner_only() {
        for path in ["/v1/vault/open", "/v1/vault/lock"] {
            assert_eq!(at(&OURS, &Method::POST, path, Some("abc")), None);
            assert_eq!(at(&Peer::Unix { uid: 0, pid: None }, &Method::POST, path, Some("abc")), Some(403));
            assert_eq!(at(&OURS, &Method::PUT, path, Some("abc")), Some(405));
        }
    }

    #[test]
    fn a_profile_s_name_is_one_segment() {
        assert_eq!(decode("a%20b%2F%C3%BC").as_deref(), Some("a b/ü"));
        for bad in ["", "a/b", "%", "%4", "%zz", "%FF", "%+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
