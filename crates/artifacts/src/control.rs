//! How a command reaches the processes that use a cache: a Unix socket in the cache's own directory, one a process.
//!
//! They hold sizes and files in memory, so a copy that is removed behind their backs would be served on. Only our own
//! user gets there: the directory is 0700, and the kernel says who asks.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bowline_host::{Address, Ctx, Listener, Peer, ServerLimits, server};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tracing::warn;

use crate::{
    body::off_thread,
    inventory::{self, Purged, Selection},
    proxy::Proxy,
};

const FOLDER: &str = "control";
const PURGE: &str = "/v1/purge";
/// A key and a few words around it.
const LARGEST: usize = 8192;
/// The longest that a process may take to remove files.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removes what `selection` takes, in every process that uses `cache`; without one, in the directory itself.
///
/// # Errors
/// The directory cannot be read, a file cannot be removed, or a process does not answer.
pub fn purge(cache: &Path, selection: &Selection) -> io::Result<Purged> {
    let mut purged = Purged::default();
    let mut asked = false;
    for socket in sockets(cache)? {
        let stream = match UnixStream::connect(&socket) {
            // Its process is gone.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                continue;
            }
            stream => stream?,
        };
        let own = ask(stream, selection)?;
        asked = true;
        purged = Purged { files: purged.files + own.files, bytes: purged.bytes + own.bytes };
    }
    if asked { Ok(purged) } else { inventory::purge(cache, selection) }
}

/// Listens for commands about `proxy`, whose copies are in `cache`. Where that cannot be had, commands find the files alone.
pub(crate) async fn serve(ctx: &Ctx, cache: &Path, proxy: &Arc<Proxy>) {
    let path = cache.join(FOLDER).join(format!("{:016x}.sock", ctx.wire.entropy()));
    let listener = match Listener::bind(&Address::Unix(path)).await {
        Ok(listener) => Arc::new(listener),
        Err(fault) => {
            warn!(reason = %fault.chain(), "`bowline artifacts purge` cannot reach this process");
            return;
        }
    };
    let (proxy, cache) = (Arc::clone(proxy), cache.to_path_buf());
    let owner = rustix::process::geteuid().as_raw();
    server::serve(&ctx.tasks, "artifacts-control", listener, ServerLimits::default(), move |peer, request| {
        let (proxy, cache) = (Arc::clone(&proxy), cache.clone());
        async move { answer(owner, &peer, request, proxy, cache).await }
    });
}

async fn answer(
    owner: u32,
    peer: &Peer,
    request: Request<Incoming>,
    proxy: Arc<Proxy>,
    cache: PathBuf,
) -> Response<Full<Bytes>> {
    if !matches!(peer, Peer::Unix { uid, .. } if *uid == owner || *uid == 0) {
        return reply(StatusCode::FORBIDDEN, &json!({ "error": "this is for the owner of the cache" }));
    }
    if request.method() != Method::POST || request.uri().path() != PURGE {
        return reply(StatusCode::NOT_FOUND, &json!({ "error": "there is only POST /v1/purge" }));
    }
    let body = Limited::new(request.into_body(), LARGEST).collect().await.map(|body| body.to_bytes());
    let value: Option<Value> = body.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(selection) = value.as_ref().and_then(selection) else {
        return reply(StatusCode::BAD_REQUEST, &json!({ "error": "what to purge is not said" }));
    };
    match off_thread(move || removed(&proxy, &cache, &selection)).await.and_then(|removed| removed) {
        Ok(purged) => reply(StatusCode::OK, &json!({ "files": purged.files, "bytes": purged.bytes })),
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error.to_string() })),
    }
}

fn removed(proxy: &Proxy, cache: &Path, selection: &Selection) -> io::Result<Purged> {
    let mut purged = Purged::default();
    for (id, cached) in inventory::selected(cache, selection)? {
        proxy.store.forget(id);
        purged.add(&cached);
    }
    // Which keys are missing is known by hashes alone: all are asked for again.
    proxy.marks.forget_missing();
    Ok(purged)
}

fn reply(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{value}\n")));
    *response.status_mut() = status;
    response
}

fn selection(value: &Value) -> Option<Selection> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    text("key").map(Selection::Key).or_else(|| text("prefix").map(Selection::Prefix))
}

fn sockets(cache: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(cache.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|kind| kind == "sock")).collect())
}

fn ask(mut stream: UnixStream, selection: &Selection) -> io::Result<Purged> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = match selection {
        Selection::Key(key) => json!({ "key": key }),
        Selection::Prefix(prefix) => json!({ "prefix": prefix }),
    };
    let body = body.to_string();
    let head =
        format!("POST {PURGE} HTTP/1.1\r\nhost: cache\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut text = String::new();
    stream.take(64 * 1024).read_to_string(&mut text)?;
    let value = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let number = |name: &str| value.as_ref()?.get(name)?.as_u64();
    match (number("files"), number("bytes")) {
        (Some(files), Some(bytes)) => Ok(Purged { files, bytes }),
        _ => {
            let why = value.as_ref().and_then(|value| value.get("error")?.as_str());
            Err(io::Error::other(why.unwrap_or("the process that uses the cache gave no answer").to_owned()))
        }
    }
}
