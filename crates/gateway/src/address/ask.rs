//! Asks all providers at once and reads what they say. Each has a few seconds; none can hold the others up.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bowline_base::{
    BoxFuture, Fault,
    wire::{Body, Limits, Wire, WireError},
};
use bowline_host::{datagram, interfaces, process, small_file};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt as _;

use super::{NoAddress, Provider, Unreadable, Unusable, Whoami, parse, usable};

/// What one provider said.
#[derive(Debug)]
pub struct Reading {
    /// Its name, as [`Provider::name`] says it.
    pub provider: String,
    /// The address, or why there is none.
    pub answer: Result<Ipv4Addr, Unanswered>,
}

/// Why a provider gave no address.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It was not reached, or broke off.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// It took too long in all.
    #[error("no answer within {}", bowline_base::units::duration(LONGEST))]
    TooSlow,
    /// Redirects are not followed: they lead to sign-in pages.
    #[error("status {0}")]
    Status(u16),
    /// More than an address.
    #[error("the answer is longer than {LONGEST_BODY} bytes")]
    TooLong,
    /// A resolver answered with something else.
    #[error("{0}")]
    NoAddress(#[from] NoAddress),
    /// A resolver, an interface or a file that could not be asked.
    #[error("{0}")]
    Unread(#[from] io::Error),
    /// A command that did not run, or took too long, or said too much.
    #[error("{}", .0.chain())]
    Command(#[from] Fault),
    /// A command that did not end well.
    #[error("the command failed: {0}")]
    Failed(String),
    /// More than one that a site can have.
    #[error("the interface has several public addresses: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several(Vec<Ipv4Addr>),
    /// An interface without any of IPv4.
    #[error("the interface has no IPv4 address")]
    NoneThere,
    /// Not an address.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// Not an address that a site can have.
    #[error("{0}")]
    Unusable(#[from] Unusable),
}

const LIMITS: Limits = Limits { head: Duration::from_secs(4), idle: Duration::from_secs(2) };
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 1024;
/// A command finds programs, and nothing else of whoever started us.
const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(address) => write!(f, "{} says {address}", self.provider),
            Err(why) => write!(f, "{}: {why}", self.provider),
        }
    }
}

/// Asks every provider once, all at once; gives one reading for each, in their order. The wire should use no proxy: it is
/// the proxy's address that a provider would see. With `documentation`, addresses for documentation are taken.
pub async fn ask(wire: &dyn Wire, providers: &[Provider], documentation: bool) -> Vec<Reading> {
    let asked = providers.iter().map(|provider| -> BoxFuture<'_, Reading> {
        Box::pin(async move {
            let answer = in_time(wire, ask_one(wire, provider, documentation)).await;
            Reading { provider: provider.name(), answer }
        })
    });
    all(asked.collect()).await
}

async fn ask_one(wire: &dyn Wire, provider: &Provider, documentation: bool) -> Result<Ipv4Addr, Unanswered> {
    let address = match provider {
        Provider::Web(uri) => parse(&page(wire, uri).await?)?,
        Provider::Dns(whoami) => ask_resolver(wire, whoami).await?,
        Provider::Interface(name) => return only(interfaces::addresses(name)?, documentation),
        Provider::Command(argv) => parse(&printed(argv).await?)?,
        Provider::File(path) => parse(&content(path).await?)?,
    };
    Ok(usable(address, documentation)?)
}

async fn page(wire: &dyn Wire, uri: &Uri) -> Result<Bytes, Unanswered> {
    let host = || uri.authority().map_or("", http::uri::Authority::as_str).to_owned();
    // A connection that is kept alive can survive the change of address that it is to find.
    let request = Request::get(uri.clone())
        .header("user-agent", concat!("bowline/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Bytes::new())
        .map_err(|cause| WireError::Broken { host: host(), cause: cause.into() })?;
    let (head, body) = wire.send(request, LIMITS).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Unanswered::Status(head.status.as_u16()));
    }
    collect(body).await
}

async fn ask_resolver(wire: &dyn Wire, whoami: &Whoami) -> Result<IpAddr, Unanswered> {
    // The upper bits: all of them are equally random.
    let id = (wire.entropy() >> 48) as u16;
    Ok(datagram::ask(whoami.resolver, &whoami.question(id), |message| whoami.answer(id, message)).await??)
}

/// The only public address of an interface; where there is none, why not.
fn only(addresses: Vec<IpAddr>, documentation: bool) -> Result<Ipv4Addr, Unanswered> {
    let mut public = Vec::new();
    let mut refused = None;
    for address in addresses.into_iter().filter(IpAddr::is_ipv4) {
        match usable(address, documentation) {
            Ok(address) => public.push(address),
            Err(unusable) => refused = refused.or(Some(unusable)),
        }
    }
    match (public[..].first(), refused) {
        (Some(address), _) if public.len() == 1 => Ok(*address),
        (Some(_), _) => Err(Unanswered::Several(public)),
        (None, Some(unusable)) => Err(unusable.into()),
        (None, None) => Err(Unanswered::NoneThere),
    }
}

async fn printed(argv: &[String]) -> Result<Vec<u8>, Unanswered> {
    let environment = BTreeMap::from([(PATH.0.to_owned(), PATH.1.to_owned())]);
    let finished = process::run(argv, &environment, LONGEST, LONGEST_BODY as u64).await?;
    if finished.success {
        return Ok(finished.stdout.to_vec());
    }
    let said: String = finished.stderr.lines().next().unwrap_or("it says nothing").chars().take(120).collect();
    Err(Unanswered::Failed(said))
}

async fn content(path: &Path) -> Result<Vec<u8>, Unanswered> {
    Ok(small_file::read(path, LONGEST_BODY as u64).await?)
}

async fn collect(mut body: Body) -> Result<Bytes, Unanswered> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame?.into_data() {
            if whole.len() + chunk.len() > LONGEST_BODY {
                return Err(Unanswered::TooLong);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(whole.freeze())
}

/// What `work` brings, or that it took too long: a provider may send one byte a second.
async fn in_time<T>(wire: &dyn Wire, work: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
    let (mut work, mut end) = (pin!(work), wire.sleep(LONGEST));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => end.as_mut().poll(context).map(|()| Err(Unanswered::TooSlow)),
    })
    .await
}

/// Lets all of them run and gives what each brings.
async fn all<T>(mut running: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut brought: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, slot) in running.iter_mut().zip(&mut brought) {
            if slot.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *slot = Some(done);
            }
        }
        if brought.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    brought.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
