//! Asks all providers at once and reads what they say. Each has a few seconds; none can hold the others up.

use std::{
    fmt,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bowline_base::{
    BoxFuture, Fault, Kind,
    wire::{Body, Limits, Wire, WireError},
};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt as _;

use super::{Unreadable, Unusable, parse, usable};

/// Somebody who tells whoever asks where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider(Uri);

/// What one provider said.
#[derive(Debug)]
pub struct Reading {
    /// Its host.
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
    /// Not an address.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// Not an address that a site can have.
    #[error("{0}")]
    Unusable(#[from] Unusable),
}

/// Three hosts of three operators that are reached over IPv4 only. The first is AWS itself.
const USUAL: [&str; 3] = ["https://checkip.amazonaws.com/", "https://api.ipify.org/", "https://ipv4.icanhazip.com/"];
const LIMITS: Limits = Limits { head: Duration::from_secs(4), idle: Duration::from_secs(2) };
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 1024;

impl Provider {
    /// A provider at this URL.
    ///
    /// # Errors
    /// A `Config` fault: no absolute URL, or plain http to another machine, where anybody on the way could answer.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            Fault::new(Kind::Config, "ip-provider", format!("the address provider `{text}` {why}"))
                .hint("give a URL like `https://checkip.amazonaws.com`")
        };
        let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("is not an absolute URL"));
        };
        match scheme {
            "https" => Ok(Self(uri)),
            "http" if is_loopback(authority.host()) => Ok(Self(uri)),
            "http" => Err(wrong("is plain http to another machine")),
            _ => Err(wrong("is neither http nor https")),
        }
    }

    /// The ones that are asked when none are given.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        USUAL.iter().map(|url| Self(Uri::from_static(url))).collect()
    }

    /// As messages name it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.authority().map_or("", http::uri::Authority::as_str)
    }
}

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
            Reading { provider: provider.host().to_owned(), answer }
        })
    });
    all(asked.collect()).await
}

async fn ask_one(wire: &dyn Wire, provider: &Provider, documentation: bool) -> Result<Ipv4Addr, Unanswered> {
    let broken = |cause: http::Error| WireError::Broken { host: provider.host().to_owned(), cause: cause.into() };
    // A connection that is kept alive can survive the change of address that it is to find.
    let request = Request::get(provider.0.clone())
        .header("user-agent", concat!("bowline/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Bytes::new())
        .map_err(broken)?;
    let (head, body) = wire.send(request, LIMITS).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Unanswered::Status(head.status.as_u16()));
    }
    let body = collect(body).await?;
    Ok(usable(parse(&body)?, documentation)?)
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

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
