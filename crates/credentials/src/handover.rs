//! Hands an address that is a secret to a browser, without showing it to anybody else on the machine.
//!
//! A browser is opened by its command line, which every user of the machine may read. So it is given the path of a page
//! that only this user may read; the page leads to a listener of ours on 127.0.0.1 under an unguessable path, and the
//! listener, once, to the address. The address itself is never on the disk, and when it was fetched, page and listener
//! are gone.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bowline_base::{Fault, Kind, Secret, atomic, wire::Wire};
use bowline_host::{Address, Listener, ServerLimits, Tasks, client::random_bytes, server};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

/// How long a browser may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts a page into `directory`, has `open` show it, and leads whoever read it to `address`. `open` says whether there
/// was a browser to start.
///
/// # Errors
/// The page cannot be written, no browser could be started, or none came within a minute.
pub async fn hand_over(
    tasks: &Tasks,
    wire: &dyn Wire,
    directory: &Path,
    address: &Secret,
    open: impl FnOnce(&Path) -> bool,
) -> Result<(), Fault> {
    let way = Secret::new(format!("/{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)));
    let listener = Listener::bind(&Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())).await?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let page = Page::write(directory, port, &way)?;
    let listening = tasks.child();
    let mut fetched = listen(&listening, listener, port, way, address.clone());
    if !open(&page.0) {
        return Err(nobody("there is no browser to start"));
    }
    let came = tokio::select! {
        came = fetched.recv() => came.is_some(),
        () = wire.sleep(PATIENCE) => false,
    };
    listening.shut_down(Duration::from_secs(1)).await;
    if came { Ok(()) } else { Err(nobody("no browser came for the page within a minute")) }
}

fn nobody(message: &str) -> Fault {
    Fault::new(Kind::Refused, "browser", message)
        .hint("print the address with --print; BROWSER names another browser than the desktop's own")
}

/// The page, gone when it is dropped.
struct Page(PathBuf);

impl Page {
    fn write(directory: &Path, port: u16, way: &Secret) -> Result<Self, Fault> {
        let path = directory.join(format!("console-{port}.html"));
        let html = format!(
            "<!doctype html><title>Bowline</title><meta name=\"referrer\" content=\"no-referrer\">\
             <meta http-equiv=\"refresh\" content=\"0;url=http://127.0.0.1:{port}{}\"><p>The console opens.</p>\n",
            way.expose()
        );
        let written = atomic::private_directory(directory).and_then(|()| atomic::write_private(&path, html.as_bytes()));
        let cannot = |cause: io::Error| {
            Fault::new(Kind::Config, "browser", format!("cannot write `{}`", path.display())).cause(cause)
        };
        written.map_err(cannot).map(|()| Self(path.clone()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn listen(tasks: &Tasks, listener: Listener, port: u16, way: Secret, address: Secret) -> mpsc::Receiver<()> {
    let (told, fetched) = mpsc::channel(1);
    let spent = Arc::new(AtomicBool::new(false));
    let limits = ServerLimits { connections: 16, ..ServerLimits::default() };
    server::serve(tasks, "console", Arc::new(listener), limits, move |_peer, request: Request<_>| {
        let meant = is_ours(request.method(), request.uri(), request.headers(), port, &way);
        let first = meant && !spent.swap(true, Ordering::Relaxed);
        let response = if first { lead(&address) } else { nothing() };
        if first {
            told.try_send(()).ok();
        }
        async move { response }
    });
    fetched
}

/// Another page that guesses our port does not know the way, and one that was rebound to us has another host.
fn is_ours(method: &Method, uri: &Uri, headers: &HeaderMap, port: u16, way: &Secret) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    method == Method::GET
        && host == format!("127.0.0.1:{port}")
        && bool::from(uri.path().as_bytes().ct_eq(way.expose().as_bytes()))
}

fn lead(address: &Secret) -> Response<Full<Bytes>> {
    let Ok(mut location) = HeaderValue::from_str(address.expose()) else { return nothing() };
    location.set_sensitive(true);
    let mut response = nothing();
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn nothing() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_one_way_leads_somewhere() {
        let way = Secret::new("/secret");
        let ours = |method: Method, target: &'static str, host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            is_ours(&method, &Uri::from_static(target), &headers, 4711, &way)
        };
        assert!(ours(Method::GET, "/secret", "127.0.0.1:4711"));
        assert!(!ours(Method::HEAD, "/secret", "127.0.0.1:4711"));
        assert!(!ours(Method::GET, "/secreT", "127.0.0.1:4711"));
        assert!(!ours(Method::GET, "/", "127.0.0.1:4711"));
        assert!(!ours(Method::GET, "/secret", "evil.example:4711"));
        assert_eq!(lead(&Secret::new("https://x/?t=1")).headers()[header::LOCATION], "https://x/?t=1");
        assert_eq!(lead(&Secret::new("a\nb")).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_page_is_for_its_owner_holds_no_address_and_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        let page = Page::write(&directory.path().join("run"), 4711, &Secret::new("/way")).unwrap();
        let text = fs::read_to_string(&page.0).unwrap();
        assert!(text.contains("url=http://127.0.0.1:4711/way\""), "{text}");
        assert_eq!(fs::metadata(&page.0).unwrap().permissions().mode() & 0o777, 0o600);
        let path = page.0.clone();
        drop(page);
        assert!(!path.exists());
    }
}
