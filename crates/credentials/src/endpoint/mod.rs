//! Credentials over HTTP for anything that speaks AWS: an ECS-style endpoint and, if asked for, instance metadata.
//!
//! Answers come from memory only; a request never waits for AWS. With nothing fresh the answer is 503 with Retry-After,
//! never an ended set and never a success with blanks. Where identities come from is not known here.

mod admission;
mod answer;
mod ecs;
mod floors;
mod imds;
mod tokens;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bowline_audit::Client;
use bowline_base::{BoxFuture, Credentials, Fault, Identity, Kind, Now, Secret, utc, wire::Wire};
use bowline_host::{
    Address, Check, Ctx, Job, Listener, Peer, ServerLimits, Tasks, Verdict,
    client::random_bytes,
    metrics::{Counter, Family},
    peers, server,
};
use http::{Method, Request, header::USER_AGENT, request::Parts};
use serde_json::json;
use tracing::warn;

pub use admission::is_local;
pub use ecs::path;
pub use tokens::{OVERLAP, TokenFile};

use self::{
    admission::Hosts,
    answer::{Held, Refusal, Reply},
    floors::Door,
    imds::{Question, Sessions},
};
use crate::{
    grant::{Asker, AuditDuty, Grants},
    witness::{Handover, Witness, client_of},
};

/// Two seconds for a head of at most 16 KiB; slow clients are cut.
const LIMITS: ServerLimits = ServerLimits {
    head: Duration::from_secs(2),
    connections: 512,
    head_bytes: 16 * 1024,
    stall: Duration::from_secs(5),
};
/// How often it is looked whether a set comes near its floor.
const LOOK: Duration = Duration::from_secs(10);
/// The endpoint's own token is another one every day.
const ROTATION: Duration = Duration::from_secs(24 * 3600);

/// One profile that is handed out.
pub struct Served {
    /// Its name, and the name of the role in instance metadata.
    pub profile: String,
    /// Its region, for instance metadata.
    pub region: Option<String>,
    /// Where its credentials come from.
    pub identity: Arc<dyn Identity>,
    /// The same in words, for the audit log.
    pub source: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the endpoint is to do.
pub struct Settings {
    /// TCP addresses and Unix sockets of the ECS-style endpoint.
    pub listen: Vec<Address>,
    /// Where instance metadata is served; `None` leaves it off.
    pub imds: Option<SocketAddr>,
    /// What is handed out; instance metadata shows the first as its role.
    pub serve: Vec<Served>,
    /// The token of our own user's clients.
    pub token_file: PathBuf,
    /// Who else may ask.
    pub grants: Grants,
    /// Who writes down what leaves.
    pub witness: Option<Witness>,
}

/// A running endpoint, or one that is about to run; clones share it.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    listen: Vec<Address>,
    imds: Option<SocketAddr>,
    serve: Vec<Served>,
    token: TokenFile,
    grants: Grants,
    witness: Option<Witness>,
    owner: u32,
    wire: Arc<dyn Wire>,
    sessions: Mutex<Sessions>,
    bound: Mutex<Option<SocketAddr>>,
    answers: Family<Vec<(&'static str, String)>, Counter>,
}

impl Endpoint {
    /// An endpoint as `settings` want it. Opens or makes the token file, and binds nothing yet.
    ///
    /// # Errors
    /// `Config`: nothing to serve, or a token file that cannot be written.
    pub fn new(settings: Settings, wire: Arc<dyn Wire>) -> Result<Self, Fault> {
        let Settings { listen, imds, serve, token_file, grants, witness } = settings;
        if serve.is_empty() {
            return Err(Fault::new(Kind::Config, "endpoint", "the endpoint has no profile to serve")
                .hint("name one: `serve = [\"build\"]`"));
        }
        Ok(Self(Arc::new(Inner {
            listen,
            imds,
            serve,
            token: TokenFile::open(&token_file)?,
            grants,
            witness,
            owner: rustix::process::geteuid().as_raw(),
            wire,
            sessions: Mutex::default(),
            bound: Mutex::default(),
            answers: Family::default(),
        })))
    }

    /// The TCP address that is really bound, once started.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        *self.0.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a client on this machine sets for `profile`: names and values, and no secret. `None` before the start and
    /// without a TCP address.
    #[must_use]
    pub fn exports(&self, profile: &str) -> Option<Vec<(&'static str, String)>> {
        let address = self.address()?;
        Some(vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{address}{}", path(profile))),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", self.0.token.path().display().to_string()),
        ])
    }

    fn serve_on(&self, tasks: &Tasks, listener: Arc<Listener>, door: Door) {
        let (inner, own) = (Arc::clone(&self.0), listener.local_addr());
        let hosts = Arc::new(own.map(Hosts::of));
        server::serve(tasks, "endpoint", listener, LIMITS, move |peer, request: Request<_>| {
            let (head, _body) = request.into_parts();
            let (inner, hosts) = (Arc::clone(&inner), Arc::clone(&hosts));
            // What is written down may wait for a disk, or for another process: never on a thread that serves others.
            off_the_runtime(move || {
                let agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
                let asker = asker(&peer, own, &head);
                let caller = Caller { client: client_of(&peer, asker.owner, agent), asker };
                let reply = inner.reply(door, &caller, (*hosts).as_ref(), &head);
                inner.count(door, &reply);
                reply
            })
        });
    }
}

async fn off_the_runtime(answer: impl FnOnce() -> Reply + Send + 'static) -> Reply {
    let broke = |_| Refusal::new(500, "InternalError", "the answer broke off").reply();
    tokio::task::spawn_blocking(answer).await.unwrap_or_else(broke)
}

/// Who asks: as the rules see it, and as it is written down.
struct Caller {
    asker: Asker,
    client: Client,
}

/// What is known of the other end.
fn asker(peer: &Peer, own: Option<SocketAddr>, head: &Parts) -> Asker {
    let token = ecs::token(&head.headers);
    match (peer, own) {
        (Peer::Tcp(peer) | Peer::Tls(peer), Some(own)) => {
            Asker { owner: peers::owner(*peer, own), cgroup: None, token }
        }
        (Peer::Tcp(_) | Peer::Tls(_), None) => Asker { owner: peers::Owner::NotHere, cgroup: None, token },
        (Peer::Unix { uid, pid }, _) => {
            Asker { owner: peers::Owner::Uid(*uid), cgroup: pid.and_then(peers::cgroup), token }
        }
    }
}

impl Inner {
    fn reply(&self, door: Door, caller: &Caller, hosts: Option<&Hosts>, head: &Parts) -> Reply {
        let now = self.wire.now();
        let methods: &[Method] = if door == Door::Imds { &[Method::GET, Method::PUT] } else { &[Method::GET] };
        let answer = match (admission::refusal(methods, &head.method, &head.headers, hosts), door) {
            (Some(refusal), _) => Err(refusal),
            (None, Door::Ecs) => self.ecs(caller, head, now),
            (None, Door::Imds) => self.imds(caller, head, now),
        };
        answer.unwrap_or_else(|refusal| {
            self.note(&refusal, door, caller, head, now);
            refusal.reply()
        })
    }

    fn ecs(&self, caller: &Caller, head: &Parts, now: Now) -> Result<Reply, Refusal> {
        let profile = ecs::profile(head.uri.path()).unwrap_or_default();
        let duty = ecs::admitted(&caller.asker, self.owner, &self.token, &self.grants, &profile, now)?;
        let credentials = self.current(self.served(&profile)?, Door::Ecs, caller, duty, now)?;
        Ok(answer::secret(answer::ecs_document(&Held::of(&credentials, now.wall)?)?))
    }

    fn imds(&self, caller: &Caller, head: &Parts, now: Now) -> Result<Reply, Refusal> {
        let first = &self.serve[0];
        let duty = self.grants.gives(&caller.asker, &first.profile, now).filter(|_| !caller.asker.is(self.owner));
        if !caller.asker.is(self.owner) && duty.is_none() {
            return Err(Refusal::new(
                403,
                "AccessDenied",
                "this address answers its own user only; others need a [[grant]]",
            ));
        }
        let question = imds::question(&head.method, head.uri.path(), &head.headers, &self.sessions(), now)?;
        let region = || first.region.as_deref().ok_or_else(|| Refusal::new(404, "NotFound", "no region is configured"));
        Ok(match question {
            Question::Token(seconds) => self.new_session(seconds, now)?,
            Question::Roles => answer::plain(crate::client::encode(&first.profile)),
            Question::Credentials(role) => {
                let credentials = self.current(self.served(&role)?, Door::Imds, caller, duty, now)?;
                answer::secret(answer::imds_document(&Held::of(&credentials, now.wall)?)?)
            }
            Question::Region => answer::plain(region()?),
            Question::Zone => answer::plain(imds::zone(region()?)),
            Question::Document => answer::json(&imds::document(first.region.as_deref(), account(first).as_deref())),
            Question::Info => answer::json(&imds::info(&first.profile, account(first).as_deref(), &utc(now.wall))),
            Question::InstanceId => answer::plain(imds::INSTANCE_ID),
        })
    }

    /// Writes down who was told no, about a profile only where that is one of ours: whoever guesses names does not fill
    /// the log. A question for something that is no credentials (404 in IMDS, 400, 405) is no refusal.
    fn note(&self, refusal: &Refusal, door: Door, caller: &Caller, head: &Parts, now: Now) {
        let path = head.uri.path();
        let asked = match door {
            Door::Ecs => ecs::profile(path),
            Door::Imds => imds::role(path),
        };
        let denied = matches!(refusal.status(), 401 | 403 | 500 | 503) || (refusal.status() == 404 && asked.is_some());
        let (Some(witness), true) = (&self.witness, denied) else { return };
        let ours = asked.filter(|profile| self.served(profile).is_ok());
        // Of an outage of the log the witness has told already.
        witness.refused(now, caller.client.clone(), ours.as_deref(), refusal.reason()).ok();
    }

    fn new_session(&self, seconds: u32, now: Now) -> Result<Reply, Refusal> {
        let bytes = random_bytes::<32>().map_err(|fault| Refusal::new(500, "InternalError", fault.message))?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        self.sessions().add(Secret::new(token.clone()), seconds, now);
        Ok(answer::with(answer::plain(token), imds::TTL, seconds.into()))
    }

    fn served(&self, profile: &str) -> Result<&Served, Refusal> {
        let found = self.serve.iter().find(|served| served.profile == profile);
        found.ok_or_else(|| Refusal::new(404, "NotFound", format!("`{profile}` is not served here")))
    }

    /// What is in memory, written down before it leaves; by `duty` where a grant gives it.
    fn current(
        &self,
        served: &Served,
        door: Door,
        caller: &Caller,
        duty: Option<AuditDuty>,
        now: Now,
    ) -> Result<Arc<Credentials>, Refusal> {
        let credentials = served.identity.current().map_err(|why| Refusal::nothing_fresh(&why))?;
        if floors::is_too_late(door, &credentials, now.wall) {
            let why =
                Fault::new(Kind::Unreachable, "endpoint", "what is left of the session is too short for IMDS clients");
            return Err(Refusal::nothing_fresh(&why.into()));
        }
        Held::of(&credentials, now.wall)?;
        if let Some(witness) = &self.witness {
            let (client, profile, source) = (caller.client.clone(), &served.profile, (served.source)());
            let handover = Handover { client, profile, credentials: &credentials, source: &source, duty };
            witness.issued(now, handover).map_err(|fault| Refusal::nothing_fresh(&fault.into()))?;
        }
        Ok(credentials)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, door: Door, reply: &Reply) {
        let door = if door == Door::Imds { "imds" } else { "ecs" };
        let labels = vec![("door", door.to_owned()), ("status", reply.status().as_u16().to_string())];
        self.answers.get_or_create(&labels).inc();
    }

    /// Renews what comes near its floor, and rotates the token, until shutdown.
    async fn keep(self: Arc<Self>, tasks: Tasks) {
        let mut next_rotation = self.wire.now().boot + ROTATION;
        let mut warned = false;
        loop {
            let now = self.wire.now();
            for number in 0..self.serve.len() {
                self.look(&tasks, number, now, &mut warned);
            }
            if now.boot >= next_rotation {
                next_rotation = now.boot + ROTATION;
                if let Err(fault) = self.token.rotate(now) {
                    warn!(reason = %fault.chain(), "the endpoint's token stays as it is");
                }
            }
            self.wire.sleep(LOOK).await;
        }
    }

    fn look(self: &Arc<Self>, tasks: &Tasks, number: usize, now: Now, warned: &mut bool) {
        let Ok(credentials) = self.serve[number].identity.current() else { return };
        let door = if self.imds.is_some() { Door::Imds } else { Door::Ecs };
        if door == Door::Imds && floors::is_short_for_imds(&credentials) && !std::mem::replace(warned, true) {
            let profile = &self.serve[number].profile;
            warn!(profile, "sessions under 50 minutes and IMDS do not go together: old SDKs use them past their end");
        }
        if floors::is_due(door, &credentials, now.wall) {
            let inner = Arc::clone(self);
            tasks.spawn_request("endpoint-renewal", async move {
                // What went wrong is told by the broker.
                drop(inner.serve[number].identity.renew(&credentials.key_id).await);
            });
        }
    }
}

fn account(served: &Served) -> Option<String> {
    served.identity.current().ok()?.account_id.clone()
}

impl Job for Endpoint {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut doors = Vec::new();
            for address in &self.0.listen {
                doors.push((ctx.listeners.listen(address).await?, Door::Ecs));
            }
            if let Some(address) = self.0.imds {
                doors.push((ctx.listeners.listen(&Address::Tcp(address)).await?, Door::Imds));
            }
            let tcp =
                doors.iter().filter(|(_, door)| *door == Door::Ecs).find_map(|(listener, _)| listener.local_addr());
            *self.0.bound.lock().unwrap_or_else(PoisonError::into_inner) = tcp;
            for (listener, door) in doors {
                self.serve_on(&ctx.tasks, listener, door);
            }
            ctx.metrics.register("endpoint_answers", "Answers by door and status", self.0.answers.clone());
            ctx.tasks.spawn_until_shutdown("endpoint-floors", Arc::clone(&self.0).keep(ctx.tasks.clone()));
            Ok(())
        })
    }

    fn status(&self) -> serde_json::Value {
        let serve: BTreeMap<&str, bool> =
            self.0.serve.iter().map(|served| (served.profile.as_str(), served.identity.current().is_ok())).collect();
        json!({ "listen": self.address(), "imds": self.0.imds, "serve": serve, "token_file": self.0.token.path() })
    }

    fn checks(&self) -> Vec<Check> {
        let missing =
            self.0.serve.iter().filter_map(|served| Some((&served.profile, served.identity.current().err()?)));
        let check = |(profile, why): (&String, bowline_base::Unavailable)| Check {
            id: format!("endpoint.{profile}"),
            verdict: Verdict::Failed,
            why: why.0.chain(),
            fix: why.0.hint.clone(),
        };
        let failed: Vec<Check> = missing.map(check).collect();
        if !failed.is_empty() {
            return failed;
        }
        let why = format!("{} profiles are handed out", self.0.serve.len());
        vec![Check { id: "endpoint".to_owned(), verdict: Verdict::Ok, why, fix: None }]
    }
}
