//! `bowline artifacts prefetch`: asks the running proxy for every file of a lock file, a POM or a list.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bowline_artifacts::{Wish, Wishlist};
use bowline_base::{
    Fault, Kind, Secret, units,
    wire::{Body, Limits, Wire, WireError},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use super::proxy_place::{self, Place};
use crate::{
    cli::{ArtifactsPrefetch, Form},
    environment::Environment,
    output,
    world::{World, small_runtime},
};

/// A list of a million paths.
const LARGEST: u64 = 128 << 20;
/// The proxy asks its upstream within 20 s by default and says so; silence for longer is none of its doing.
const LIMITS: Limits = Limits { head: Duration::from_secs(60), idle: Duration::from_secs(60) };

/// What became of one file.
enum Outcome {
    Fetched {
        bytes: u64,
        hit: bool,
    },
    Missing,
    Wrong,
    /// The proxy's word, or why there was none.
    Failed(String),
    /// Not a word about the file: nobody answers, or not to us.
    Refused(Fault),
}

#[derive(Default)]
struct Summary {
    fetched: u64,
    hits: u64,
    bytes: u64,
    missing: Vec<String>,
    wrong: Vec<String>,
    failed: Vec<(String, String)>,
    left_out: Vec<String>,
}

pub(crate) fn run(
    environment: Environment,
    file: Option<PathBuf>,
    arguments: &ArtifactsPrefetch,
) -> Result<ExitCode, Fault> {
    let text = read(&arguments.file)?;
    let wishlist = Wishlist::read(&text).map_err(|error| {
        Fault::new(Kind::Config, "prefetch", format!("cannot use `{}`: {error}", arguments.file.display()))
            .hint("give a maven_install.json, a pom.xml, or a list of paths or group:artifact:version")
    })?;
    let flags = &arguments.proxy;
    let place = proxy_place::find(&environment, file, flags.url.as_deref(), flags.token_file.as_deref())?;
    let mut outside = environment.outside();
    outside.ca_bundle = flags.ca.clone().or(outside.ca_bundle);
    let world = World::by_way_of(environment, &outside)?;
    let summary = small_runtime()?.block_on(fetch_all(&world.wire, place, wishlist, usize::from(arguments.jobs)))?;
    match arguments.form.output {
        Form::Json => output::data(&format!("{:#}\n", summary.json()))?,
        Form::Text => summary.say(),
    }
    Ok(summary.exit_code())
}

fn read(path: &Path) -> Result<String, Fault> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
    };
    let wrong = || Fault::new(Kind::Config, "prefetch", format!("cannot read `{}`", path.display()));
    read.map(|_| text).map_err(|cause| wrong().cause(cause))
}

async fn fetch_all(wire: &Arc<dyn Wire>, place: Place, wishlist: Wishlist, jobs: usize) -> Result<Summary, Fault> {
    let (place, slots) = (Arc::new(place), Arc::new(Semaphore::new(jobs)));
    let total = wishlist.wishes.len();
    let mut fetches = JoinSet::new();
    for wish in wishlist.wishes {
        let (wire, place, slots) = (Arc::clone(wire), Arc::clone(&place), Arc::clone(&slots));
        fetches.spawn(async move {
            let _slot = slots.acquire().await;
            let outcome = fetch(&*wire, &place, &wish).await;
            (wish.path, outcome)
        });
    }
    let mut summary = Summary { left_out: wishlist.left_out, ..Summary::default() };
    let mut done = 0;
    while let Some(fetched) = fetches.join_next().await {
        let (path, outcome) =
            fetched.map_err(|cause| Fault::new(Kind::Bug, "prefetch", "a fetch ended without a word").cause(cause))?;
        // Everything else would meet the same: no need to ask for it.
        if let Outcome::Refused(fault) = outcome {
            return Err(fault);
        }
        summary.note(path, outcome);
        done += 1;
        if output::is_terminal() {
            output::live(&bar(done, total, summary.bytes));
        }
    }
    if output::is_terminal() && total > 0 {
        output::live("");
    }
    Ok(summary)
}

fn bar(done: usize, total: usize, bytes: u64) -> String {
    let filled = done * 30 / total.max(1);
    format!("[{}{}] {done}/{total}  {}", "#".repeat(filled), "-".repeat(30 - filled), units::size(bytes))
}

async fn fetch(wire: &dyn Wire, place: &Place, wish: &Wish) -> Outcome {
    match ask(wire, place, wish).await {
        Ok(response) => compared(response, wish).await,
        Err(outcome) => outcome,
    }
}

/// The proxy's answer, when it has the file.
async fn ask(wire: &dyn Wire, place: &Place, wish: &Wish) -> Result<Response<Body>, Outcome> {
    let response = wire.send(request(place, wish)?, LIMITS).await.map_err(|error| unanswered(place, error))?;
    match response.status().as_u16() {
        200 => Ok(response),
        404 => Err(Outcome::Missing),
        status @ (401 | 429) => {
            let fault =
                Fault::new(Kind::Refused, "prefetch", format!("`{}` does not take our key ({status})", place.url));
            Err(Outcome::Refused(fault.hint("name the file with the token: --token-file FILE")))
        }
        status => Err(Outcome::Failed(format!("{status} {}", word(&response, "x-bowline-reason")))),
    }
}

fn request(place: &Place, wish: &Wish) -> Result<Request<Bytes>, Outcome> {
    let path = bowline_artifacts::upstream::http::encode(&wish.path);
    let uri = format!("{}/{path}", place.url).parse();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = uri.map_err(|_| Outcome::Failed("it cannot be put into a URL".to_owned()))?;
    if let Some(header) = place.token.as_ref().and_then(bearer) {
        request.headers_mut().insert(header::AUTHORIZATION, header);
    }
    Ok(request)
}

fn unanswered(place: &Place, error: WireError) -> Outcome {
    let cause @ WireError::Connect { .. } = error else { return Outcome::Failed(error.to_string()) };
    let fault = Fault::new(Kind::Unreachable, "prefetch", format!("no proxy answers at `{}`", place.url));
    Outcome::Refused(fault.hint("start it with `bowline artifacts serve`, or name it with --url").cause(cause))
}

/// Reads the file to its end, and compares it with what the list says of it.
async fn compared(response: Response<Body>, wish: &Wish) -> Outcome {
    let hit = word(&response, "x-bowline-cache") == "hit";
    let mut body = response.into_body();
    let (mut sum, mut bytes) = (bowline_artifacts::Sha256Sum::default(), 0);
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => {
                bytes += data.len() as u64;
                sum.update(&data);
            }
            Ok(Err(_trailers)) => {}
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
    if wish.sha256.as_ref().is_some_and(|wanted| *wanted != sum.finish()) {
        return Outcome::Wrong;
    }
    Outcome::Fetched { bytes, hit }
}

fn word<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl Summary {
    fn note(&mut self, path: String, outcome: Outcome) {
        match outcome {
            Outcome::Fetched { bytes, hit } => {
                self.fetched += 1;
                self.hits += u64::from(hit);
                self.bytes += bytes;
            }
            Outcome::Missing => self.missing.push(path),
            Outcome::Wrong => self.wrong.push(path),
            Outcome::Failed(why) => self.failed.push((path, why)),
            Outcome::Refused(fault) => self.failed.push((path, fault.message)),
        }
    }

    fn exit_code(&self) -> ExitCode {
        if !self.missing.is_empty() || !self.wrong.is_empty() || !self.left_out.is_empty() {
            ExitCode::from(1)
        } else if !self.failed.is_empty() {
            ExitCode::from(Kind::Unreachable.exit_code())
        } else {
            ExitCode::SUCCESS
        }
    }

    fn say(&self) {
        self.missing.iter().for_each(|path| output::say(&format!("missing: {path}")));
        self.wrong.iter().for_each(|path| output::say(&format!("not what the lock file says: {path}")));
        self.failed.iter().for_each(|(path, why)| output::say(&format!("failed: {path}: {why}")));
        self.left_out.iter().for_each(|what| output::say(&format!("left out: {what}")));
        output::say(&format!(
            "{} files, {} ({} were in the cache), {} missing, {} wrong, {} failed, {} left out",
            self.fetched,
            units::size(self.bytes),
            self.hits,
            self.missing.len(),
            self.wrong.len(),
            self.failed.len(),
            self.left_out.len(),
        ));
    }

    fn json(&self) -> serde_json::Value {
        let failed: Vec<_> = self.failed.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
        json!({
            "fetched": self.fetched, "hits": self.hits, "bytes": self.bytes,
            "missing": self.missing, "wrong": self.wrong, "failed": failed, "left_out": self.left_out,
        })
    }
}
