//! The HTTP/1.1 server harness: accept, limit, hand over, drain. What to answer is the handler's business.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
pub use hyper::body::Incoming;
use hyper::{body::Body, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tracing::{debug, warn};

use crate::{Listener, Tasks, cut::Cut, listen::Connection, mapped::Maps, patience::Patience, sending::Sending};

/// Who is on the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A TCP peer behind TLS.
    Tls(SocketAddr),
    /// A process on this machine, as the kernel names it.
    Unix {
        /// Its effective user.
        uid: u32,
        /// Its process, where the kernel tells.
        pid: Option<i32>,
    },
}

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// From connecting (or from the last answer) to the end of the next request's head, when bytes have begun to come.
    pub head: Duration,
    /// Connections at one time; more wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of one request's head.
    pub head_bytes: usize,
    /// How long a peer may read nothing of what it is sent.
    pub stall: Duration,
}

impl Default for ServerLimits {
    /// 10 s for a head of at most 64 KiB, 1024 connections, a minute without reading.
    fn default() -> Self {
        let (head, stall) = (Duration::from_secs(10), Duration::from_secs(60));
        Self { head, connections: 1024, head_bytes: 64 * 1024, stall }
    }
}

/// Serves `listener` until shutdown; open connections finish the answer they are in. Runs inside `tasks`.
pub fn serve<H, F, B>(tasks: &Tasks, name: &'static str, listener: Arc<Listener>, limits: ServerLimits, handler: H)
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    serve_files(tasks, name, listener, limits, Maps::default(), handler);
}

/// The same; over TCP, bytes of `maps` are sent by the kernel from their files.
pub fn serve_files<H, F, B>(
    tasks: &Tasks,
    name: &'static str,
    listener: Arc<Listener>,
    limits: ServerLimits,
    maps: Maps,
    handler: H,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let inner = tasks.clone();
    tasks.spawn_until_shutdown(name, async move { accept_loop(&inner, name, &listener, limits, maps, handler).await });
}

async fn accept_loop<H, F, B>(
    tasks: &Tasks,
    name: &'static str,
    listener: &Listener,
    limits: ServerLimits,
    maps: Maps,
    handler: H,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut failing = false;
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let connection = match listener.accept().await {
            Ok(connection) => {
                failing = false;
                connection
            }
            Err(error) => {
                if !failing {
                    warn!(server = name, %error, "cannot accept connections; trying again every 100 ms");
                }
                failing = true;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, maps, stopping) = (handler.clone(), maps.clone(), tasks.shutting_down());
        tasks.spawn(name, async move {
            talk(connection, limits, maps, handler, stopping).await;
            drop(slot);
        });
    }
}

async fn talk<H, F, B>(
    connection: Connection,
    limits: ServerLimits,
    maps: Maps,
    handler: H,
    stopping: impl Future<Output = ()>,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match connection {
        Connection::Tcp(stream, peer) => {
            let stream = Patience::new(Sending::new(stream, maps), limits.stall);
            speak(TokioIo::new(stream), Peer::Tcp(peer), limits, handler, stopping).await;
        }
        Connection::Tls(stream, peer, tls) => match tls.accept(stream, limits.head).await {
            Ok(stream) => {
                let stream = Patience::new(stream, limits.stall);
                speak(TokioIo::new(stream), Peer::Tls(peer), limits, handler, stopping).await;
            }
            Err(error) => debug!(%peer, %error, "no TLS came about"),
        },
        Connection::Unix(stream) => match stream.peer_cred() {
            Ok(who) => {
                let peer = Peer::Unix { uid: who.uid(), pid: who.pid() };
                speak(TokioIo::new(Patience::new(stream, limits.stall)), peer, limits, handler, stopping).await;
            }
            Err(error) => warn!(%error, "the kernel does not say who connected; refused"),
        },
    }
}

async fn speak<H, F, B>(
    io: TokioIo<impl AsyncRead + AsyncWrite + Cut + Unpin>,
    peer: Peer,
    limits: ServerLimits,
    handler: H,
    stopping: impl Future<Output = ()>,
) where
    H: Fn(Peer, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = service_fn(|request| {
        let answer = handler(peer.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes.max(8192));
    let mut exchange = http.serve_connection(io, service);
    let ended = tokio::select! {
        ended = &mut exchange => ended,
        () = stopping => {
            std::pin::Pin::new(&mut exchange).graceful_shutdown();
            (&mut exchange).await
        }
    };
    if let Err(error) = ended {
        debug!(?peer, %error, "a connection ended early");
        if error.is_user() {
            // The answer's body broke off, or was shorter than its head says.
            exchange.into_parts().io.inner().cut();
        }
    }
}
