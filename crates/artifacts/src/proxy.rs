//! One request: path to repository, repository to copy, fill or refusal, and that to an answer.

use std::{sync::Arc, time::Duration};

use bowline_base::{Now, wire::Wire};
use bowline_host::Tasks;
use http::{Method, Request, Response, StatusCode, header, header::HeaderValue};
use tokio::sync::watch;
use tracing::debug;

use crate::{
    answer::{self, FileAnswer, Outcome},
    body::{Growing, Payload, off_thread},
    checksum,
    copy::Copy,
    door::Door,
    fill::{End, Fill, Growth, Stage},
    freshness::{self, Class, Decision, Validated},
    group::Whereabouts,
    listing::{Format, Listing},
    marks::Marks,
    metrics::{Counts, MountCounts},
    path::{self, Wanted},
    record::{Id, Record},
    source::Source,
    store::Store,
    sums::Sums,
    table::{Errand, Seat, Table},
    upstream::{Head, Trouble},
};

/// How long a client with a usable copy in sight waits for the upstream's word on it. This, as every limit here on sockets
/// and disks, is of the runtime's time: a clock that a test turns moves what is decided, not what is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a fill may still take when the process is asked to end.
const LAST_CALL: Duration = Duration::from_secs(4);

/// One path of the server.
pub(crate) struct Mount {
    /// As the configuration has it: a label.
    pub(crate) label: String,
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) counts: MountCounts,
}

/// Times of [`Config`](crate::Config).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) metadata_ttl: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) stale_for: Option<Duration>,
}

/// Everything that answers requests.
pub(crate) struct Proxy {
    pub(crate) mounts: Vec<Mount>,
    /// `internal/`, in the order of `mounts`.
    pub(crate) prefixes: Vec<String>,
    pub(crate) store: Arc<Store>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) table: Table,
    pub(crate) clock: Arc<dyn Wire>,
    pub(crate) tasks: Tasks,
    pub(crate) counts: Counts,
    pub(crate) rules: Rules,
    pub(crate) whereabouts: Whereabouts,
    pub(crate) sums: Sums,
}

/// Where a file's bytes are.
enum Found {
    Copy(Arc<Copy>, Outcome),
    /// With [`End::NoRoom`], also what never comes into the cache.
    Growing(watch::Receiver<Stage>, Arc<Head>, Arc<Source>, Outcome),
    Described(Arc<Head>),
    Missing(Outcome),
    Trouble(Trouble),
}

impl Proxy {
    /// Answers `request`, which came through `door`; its body is not looked at.
    pub(crate) async fn answer<B>(&self, request: &Request<B>, door: Door) -> Response<Payload> {
        let mut response = if door.admits(request) {
            self.admitted(request).await
        } else {
            answer::refusal(403, "host", "this address answers to localhost, 127.0.0.1 and [::1] only")
        };
        // What is stored under a harmless name stays harmless in a browser.
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn admitted<B>(&self, request: &Request<B>) -> Response<Payload> {
        let method = request.method();
        if method != Method::GET && method != Method::HEAD {
            return answer::refusal(405, "method", "this server only reads: GET and HEAD");
        }
        let key = match path::decode(request.uri()) {
            Ok(key) => key,
            Err(error) => return answer::refusal(error.status(), "bad-path", &error.to_string()),
        };
        if key == "healthz" {
            return self.health_answer();
        }
        let Some((index, wanted)) = path::route(&self.prefixes, &key) else {
            return answer::trouble(&Trouble::Missing, Outcome::Miss);
        };
        let mount = &self.mounts[index];
        match wanted {
            Wanted::File(key) => self.file(mount, key, request).await,
            Wanted::Listing(prefix) => self.listing(mount, prefix, &key, request).await,
        }
    }

    async fn file<B>(&self, mount: &Mount, key: &str, request: &Request<B>) -> Response<Payload> {
        if let Some((outcome, response)) = self.united(mount, key, request).await {
            mount.counts.request(outcome);
            return response;
        }
        if let Some(response) = self.own_sum(mount, key, request).await {
            mount.counts.request(Outcome::Hit.as_str());
            return response;
        }
        let errand = if request.method() == Method::HEAD { Errand::Describe } else { Errand::Fill };
        let found = self.search(mount, key, errand).await;
        let (outcome, response) = self.told(mount, key, request, found);
        mount.counts.request(outcome);
        debug!(repository = mount.label, outcome, status = response.status().as_u16(), "answered");
        response
    }

    /// The answer that says what was found, and its label.
    fn told<B>(
        &self,
        mount: &Mount,
        key: &str,
        request: &Request<B>,
        found: Found,
    ) -> (&'static str, Response<Payload>) {
        let sent = mount.counts.sent();
        let (method, headers) = (request.method(), request.headers());
        match found {
            Found::Copy(copy, outcome) => {
                let age = (outcome == Outcome::Stale).then(|| self.age(&copy));
                let ready = Some(&copy.headers);
                let Record { head, fingerprint, .. } = &copy.record;
                let file = FileAnswer { key, head, outcome, age, sums: fingerprint.as_ref(), ready };
                (outcome.as_str(), file.respond(method, headers, |range| Payload::copy(&copy, range).counted(sent)))
            }
            Found::Growing(stages, head, source, outcome) => {
                let growing = Growing { stages, source, key: key.to_owned() };
                let file = FileAnswer { key, head: &head, outcome, age: None, sums: None, ready: None };
                let respond = |range| Payload::growing(growing, range).counted(sent);
                (outcome.as_str(), file.respond(method, headers, respond))
            }
            Found::Described(head) => {
                let file = FileAnswer { key, head: &head, outcome: Outcome::Miss, age: None, sums: None, ready: None };
                ("miss", file.respond(method, headers, |_| Payload::empty()))
            }
            Found::Missing(outcome) => {
                let label = if outcome == Outcome::Negative { "negative" } else { "missing" };
                (label, answer::trouble(&Trouble::Missing, outcome))
            }
            Found::Trouble(trouble) => ("failed", answer::trouble(&trouble, Outcome::Miss)),
        }
    }

    /// Asks the origins in order. Trouble ends the search, because what follows must not stand in for what the
    /// troubled one may have; a copy that is already here may.
    async fn search(&self, mount: &Mount, key: &str, errand: Errand) -> Found {
        if freshness::class(key) == Class::Immutable && mount.sources.len() > 1 {
            for source in &mount.sources {
                match self.look(Id::of(source.name(), key)).await {
                    Ok(Some(copy)) => return Found::Copy(copy, Outcome::Hit),
                    Ok(None) => {}
                    Err(trouble) => return Found::Trouble(trouble),
                }
            }
        }
        let several = freshness::class(key) == Class::Immutable && mount.sources.len() > 1;
        let likely = self.whereabouts.of(&mount.label, key).filter(|_| several);
        if let Some(source) = likely.and_then(|index| mount.sources.get(index)) {
            let found = self.find(source, key, errand).await;
            if !matches!(found, Found::Missing(_) | Found::Trouble(_)) {
                return found;
            }
        }
        let mut missing = Outcome::Negative;
        for (index, source) in mount.sources.iter().enumerate() {
            match self.find(source, key, errand).await {
                Found::Missing(Outcome::Negative) => {}
                Found::Missing(outcome) => missing = outcome,
                Found::Trouble(trouble) => {
                    return self.stand_in(&mount.sources[index + 1..], key).await.unwrap_or(Found::Trouble(trouble));
                }
                found @ (Found::Copy(..) | Found::Growing(..) | Found::Described(_)) => {
                    if several {
                        self.whereabouts.note(&mount.label, key, index);
                    }
                    return found;
                }
            }
        }
        Found::Missing(missing)
    }

    async fn stand_in(&self, sources: &[Arc<Source>], key: &str) -> Option<Found> {
        for source in sources {
            let id = Id::of(source.name(), key);
            if let Ok(Some(copy)) = self.look(id).await
                && self.may_be_stale(key, id, &copy)
            {
                return Some(Found::Copy(copy, Outcome::Stale));
            }
        }
        None
    }

    /// What one place has of `key`, whole; `None`: it has no such key.
    pub(crate) async fn found(
        &self,
        source: &Arc<Source>,
        key: &str,
        errand: Errand,
    ) -> Result<Option<(Head, Payload, Outcome)>, Trouble> {
        match self.find(source, key, errand).await {
            Found::Copy(copy, outcome) => {
                let whole = 0..copy.record.head.length;
                Ok(Some((copy.record.head.clone(), Payload::copy(&copy, whole), outcome)))
            }
            Found::Growing(stages, head, source, outcome) => {
                let growing = Growing { stages, source, key: key.to_owned() };
                Ok(Some((Head::clone(&head), Payload::growing(growing, 0..head.length), outcome)))
            }
            Found::Described(head) => Ok(Some((Head::clone(&head), Payload::empty(), Outcome::Miss))),
            Found::Missing(_) => Ok(None),
            Found::Trouble(trouble) => Err(trouble),
        }
    }

    async fn find(&self, source: &Arc<Source>, key: &str, errand: Errand) -> Found {
        if source.is_local() {
            return passed(source, key).await;
        }
        let id = Id::of(source.name(), key);
        let copy = match self.look(id).await {
            Ok(copy) => copy,
            Err(trouble) => return Found::Trouble(trouble),
        };
        match (self.decide(source, key, id, copy.as_deref()).await, copy) {
            (Decision::Hit, Some(copy)) => Found::Copy(copy, Outcome::Hit),
            (Decision::Negative, _) => Found::Missing(Outcome::Negative),
            (Decision::Revalidate, Some(copy)) => self.revalidated(source, key, id, copy).await,
            (Decision::Hit | Decision::Revalidate | Decision::Miss, _) => self.missed(source, key, id, errand).await,
        }
    }

    async fn decide(&self, source: &Arc<Source>, key: &str, id: Id, copy: Option<&Copy>) -> Decision {
        let class = freshness::class(key);
        if class == Class::Immutable && copy.is_some() {
            // Most requests: neither marks nor clocks are asked for what cannot change the answer.
            return Decision::Hit;
        }
        let validated = copy.map(|copy| self.validated(id, copy));
        let missing = self.marks.missing_until(id);
        let own = freshness::decide(class, validated, missing, self.rules.metadata_ttl, self.now());
        if class == Class::Immutable || own == Decision::Negative {
            return own;
        }
        let Some(parent_key) = freshness::checksum_of(key) else { return own };
        let Some(parent) = self.settled_parent(source, parent_key).await else { return own };
        match freshness::decide_checksum(validated, parent.record.stored_at) {
            Decision::Hit
                if !copy.is_some_and(|copy| fits(key, copy, &parent)) && !source.standing().is_away(self.now()) =>
            {
                // Asked for between two uploads of a publisher, or garbage: both are looked at again.
                let parent_id = Id::of(source.name(), parent_key);
                let (mut flight, _) = self.fly(source, parent_key, parent_id, Errand::Fill, Some(&parent));
                tokio::time::timeout(PATIENCE, flight.wait_for(is_over)).await.ok();
                Decision::Revalidate
            }
            decision => decision,
        }
    }

    /// The fresh copy of the file that a checksum is asked for, refreshed first if its time is over. `None`: there is
    /// none, or it cannot be refreshed; then the checksum stands for itself.
    async fn settled_parent(&self, source: &Arc<Source>, key: &str) -> Option<Arc<Copy>> {
        let id = Id::of(source.name(), key);
        let copy = self.look(id).await.ok()??;
        let fresh = |copy: &Arc<Copy>| {
            let validated = Some(self.validated(id, copy));
            let decision = freshness::decide(Class::Mutable, validated, None, self.rules.metadata_ttl, self.now());
            decision == Decision::Hit
        };
        if fresh(&copy) {
            return Some(copy);
        }
        if source.standing().is_away(self.now()) {
            return None;
        }
        let (mut flight, _) = self.fly(source, key, id, Errand::Fill, Some(&copy));
        tokio::time::timeout(PATIENCE, flight.wait_for(is_over)).await.ok()?.ok()?;
        self.look(id).await.ok()?.filter(fresh)
    }

    async fn revalidated(&self, source: &Arc<Source>, key: &str, id: Id, copy: Arc<Copy>) -> Found {
        let may_be_stale = self.may_be_stale(key, id, &copy);
        if may_be_stale && source.standing().is_away(self.now()) {
            return Found::Copy(copy, Outcome::Stale);
        }
        let (flight, began) = self.fly(source, key, id, Errand::Fill, Some(&copy));
        let mut waiting = flight.clone();
        let word = waiting.wait_for(|stage| !stage.is_asking());
        if may_be_stale && tokio::time::timeout(PATIENCE, word).await.is_err() {
            return Found::Copy(copy, Outcome::Stale);
        }
        match self.landed(source, id, flight, began).await {
            Found::Trouble(_) if may_be_stale => Found::Copy(copy, Outcome::Stale),
            Found::Copy(now, _) => Found::Copy(now, Outcome::Revalidated),
            found @ (Found::Growing(..) | Found::Described(_) | Found::Missing(_) | Found::Trouble(_)) => found,
        }
    }

    async fn missed(&self, source: &Arc<Source>, key: &str, id: Id, errand: Errand) -> Found {
        let (flight, began) = self.fly(source, key, id, errand, None);
        self.landed(source, id, flight, began).await
    }

    /// What a flight has brought, as soon as it can be told.
    async fn landed(&self, source: &Arc<Source>, id: Id, mut flight: watch::Receiver<Stage>, began: Outcome) -> Found {
        let word = flight.wait_for(|stage| !stage.is_asking()).await.map(|stage| stage.clone());
        match word {
            Ok(Stage::Growing(growth)) => {
                let outcome = if growth.end == End::NoRoom { Outcome::Pass } else { began };
                match growth.end {
                    End::Broken(trouble) => Found::Trouble(trouble),
                    End::NotYet | End::Whole | End::NoRoom => {
                        Found::Growing(flight, growth.head, Arc::clone(source), outcome)
                    }
                }
            }
            Ok(Stage::Unchanged) => match self.look(id).await {
                Ok(Some(copy)) => Found::Copy(copy, Outcome::Hit),
                Err(trouble) => Found::Trouble(trouble),
                Ok(None) => Found::Trouble(Trouble::Broken("the copy vanished from the cache".to_owned())),
            },
            Ok(Stage::Described(head)) => Found::Described(head),
            Ok(Stage::Missing) => Found::Missing(Outcome::Miss),
            Ok(Stage::Failed(trouble)) => Found::Trouble(trouble),
            Ok(Stage::Asking) | Err(_) => Found::Trouble(Trouble::Broken("the fill ended without a word".to_owned())),
        }
    }

    /// Joins the flight for the key, or begins it. `seen` is the copy that is not good enough: one that has come since
    /// then is. Says which it was: [`Outcome::Joined`] or [`Outcome::Miss`].
    fn fly(
        &self,
        source: &Arc<Source>,
        key: &str,
        id: Id,
        errand: Errand,
        seen: Option<&Copy>,
    ) -> (watch::Receiver<Stage>, Outcome) {
        let (flight, begun) = self.table.join(id, errand);
        let Some((seat, stage)) = begun else {
            self.counts.join(source.repository());
            return (flight, Outcome::Joined);
        };
        let fill = Fill {
            source: Arc::clone(source),
            store: Arc::clone(&self.store),
            marks: Arc::clone(&self.marks),
            clock: Arc::clone(&self.clock),
            counts: self.counts.clone(),
            negative_ttl: self.rules.negative_ttl,
            id,
            key: key.to_owned(),
            class: freshness::class(key),
            seen: seen.map(|copy| copy.validated),
            stage,
        };
        self.send_off(fill, errand, seat);
        (flight, Outcome::Miss)
    }

    /// Has `fill` done beside the requests that wait for it; a process that ends gives it a last while.
    fn send_off(&self, fill: Fill, errand: Errand, seat: Seat) {
        let stopping = self.tasks.shutting_down();
        self.tasks.spawn_request("artifact-fill", async move {
            let flight = async {
                match errand {
                    Errand::Fill => fill.fly().await,
                    Errand::Describe => fill.describe().await,
                }
            };
            tokio::select! {
                () = flight => {}
                () = async { stopping.await; tokio::time::sleep(LAST_CALL).await } => {}
            }
            drop(seat);
        });
    }

    async fn listing<B>(&self, mount: &Mount, prefix: &str, path: &str, request: &Request<B>) -> Response<Payload> {
        let listed = Listing::of(&mount.sources, prefix).await;
        let is_root = prefix.is_empty();
        let (outcome, response) = match listed {
            Ok(listing) if listing.is_empty() && !is_root => {
                ("missing", answer::trouble(&Trouble::Missing, Outcome::Miss))
            }
            Ok(listing) => {
                let format = Format::wanted(request.uri().query(), request.headers());
                let body = listing.render(&format!("/{path}"), format);
                ("listing", answer::made(StatusCode::OK, format.media_type(), body))
            }
            Err(trouble) => ("failed", answer::trouble(&trouble, Outcome::Pass)),
        };
        mount.counts.request(outcome);
        response
    }

    pub(crate) async fn look(&self, id: Id) -> Result<Option<Arc<Copy>>, Trouble> {
        if let Some(known) = self.store.recall(id, self.now().boot) {
            return Ok(known);
        }
        let store = Arc::clone(&self.store);
        let copy = off_thread(move || store.look(id)).await.and_then(|copy| copy);
        copy.map_err(|error| Trouble::Cache(error.to_string()))
    }

    fn validated(&self, id: Id, copy: &Copy) -> Validated {
        Validated { wall: copy.validated, boot: self.marks.validated(id) }
    }

    fn may_be_stale(&self, key: &str, id: Id, copy: &Copy) -> bool {
        freshness::may_be_stale(freshness::class(key), self.validated(id, copy), self.rules.stale_for, self.now())
    }

    fn age(&self, copy: &Copy) -> u64 {
        u64::try_from(self.now().wall.duration_since(copy.validated).as_secs()).unwrap_or(0)
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// Past the cache, as if it had no room.
async fn passed(source: &Arc<Source>, key: &str) -> Found {
    match source.head(key).await {
        Ok(head) => {
            let head = Arc::new(head);
            let growth = Growth { head: Arc::clone(&head), file: None, offset: 0, written: 0, end: End::NoRoom };
            Found::Growing(watch::channel(Stage::Growing(growth)).1, head, Arc::clone(source), Outcome::Pass)
        }
        Err(Trouble::Missing | Trouble::Hidden) => Found::Missing(Outcome::Miss),
        Err(trouble) => Found::Trouble(trouble),
    }
}

/// The flight needs nothing more: what it brought is kept, or it brought nothing.
fn is_over(stage: &Stage) -> bool {
    !stage.is_asking() && stage.growth().is_none_or(|growth| growth.end.is_final())
}

fn fits(key: &str, copy: &Copy, parent: &Copy) -> bool {
    match (copy.whole(), parent.whole()) {
        (Some(text), Some(parent)) => checksum::fits(key, text, parent),
        // Too much to read for every request; a SNAPSHOT's jar is rarely fetched without its checksum.
        (None, _) | (_, None) => true,
    }
}
