//! The HTTP/1.1 server harness: accept, limit, hand over, drain. What to answer is the handler's business.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::BoxFuture;
use bytes::Bytes;
use http::{Request, Response};
pub use hyper::body::Incoming;
use hyper::{
    body::Body,
    rt::{Read, Write},
    server::conn::http1::{self, UpgradeableConnection},
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::{
    Listener, Tasks, cut::Cut, listen::Connection, mapped::Maps, patience::Patience, relay::Near, sending::Sending,
};

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

/// What answers requests: a function of who asks and what, of which each connection has a clone.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;
    /// An answer on its way.
    type Answer: Future<Output = Response<Self::Body>> + Send + 'static;

    /// Answers `request` of `peer`.
    fn answer(&self, peer: Peer, request: Request<Incoming>) -> Self::Answer;
}

impl<H, F, B> Handler for H
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Body = B;
    type Answer = F;

    fn answer(&self, peer: Peer, request: Request<Incoming>) -> F {
        self(peer, request)
    }
}

/// Serves `listener` until shutdown; open connections finish the answer they are in. Runs inside `tasks`.
pub fn serve<F>(
    tasks: &Tasks,
    name: &'static str,
    listener: Arc<Listener>,
    limits: ServerLimits,
    handler: impl Handler + Fn(Peer, Request<Incoming>) -> F,
) {
    serve_files(tasks, name, listener, limits, Maps::default(), handler);
}

/// The same; over TCP, bytes of `maps` are sent by the kernel from their files.
pub fn serve_files<F>(
    tasks: &Tasks,
    name: &'static str,
    listener: Arc<Listener>,
    limits: ServerLimits,
    maps: Maps,
    handler: impl Handler + Fn(Peer, Request<Incoming>) -> F,
) {
    accept_in(tasks, name, listener, limits, Kind::Answers(maps), handler);
}

/// The same for a server whose clients leave HTTP behind (CONNECT): what the handler leaves in the request's
/// [`Afterwards`] goes on with the connection ([`taken_over`]). It no longer counts here then, and its client may have closed
/// its half before.
pub fn serve_tunnels<F>(
    tasks: &Tasks,
    name: &'static str,
    listener: Arc<Listener>,
    limits: ServerLimits,
    handler: impl Handler + Fn(Peer, Request<Incoming>) -> F,
) {
    accept_in(tasks, name, listener, limits, Kind::Tunnels, handler);
}

/// The connection under `request` once its answer has been sent, with what was read of it beyond the head. `None` when it
/// ended before, or came over a Unix socket.
pub async fn taken_over(request: Request<Incoming>) -> Option<(Near, Bytes)> {
    let upgraded = hyper::upgrade::on(request).await.ok()?;
    match upgraded.downcast::<TokioIo<Patience<Sending>>>() {
        Ok(parts) => Some((Near::Tcp(parts.io.into_inner().into_inner().into_inner()), parts.read_buf)),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<Patience<TlsStream<TcpStream>>>>().ok()?;
            Some((Near::Tls(Box::new(parts.io.into_inner().into_inner())), parts.read_buf))
        }
    }
}

/// What becomes of a connection after the answer to a request of [`serve_tunnels`], which has it among its extensions. It
/// runs in the connection's own task: another one would be a wake-up of another thread for each tunnel.
#[derive(Clone, Default)]
pub struct Afterwards(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Afterwards {
    /// `work` goes on once the answer has been sent.
    pub fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
    }

    fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What becomes of the connections.
#[derive(Clone)]
enum Kind {
    /// They are answered; bytes of these files are sent by the kernel.
    Answers(Maps),
    /// Some are handed over.
    Tunnels,
}

fn accept_in(
    tasks: &Tasks,
    name: &'static str,
    listener: Arc<Listener>,
    limits: ServerLimits,
    kind: Kind,
    handler: impl Handler,
) {
    let inner = tasks.clone();
    tasks.spawn_until_shutdown(name, async move { accept_loop(&inner, name, &listener, limits, kind, handler).await });
}

async fn accept_loop(
    tasks: &Tasks,
    name: &'static str,
    listener: &Listener,
    limits: ServerLimits,
    kind: Kind,
    handler: impl Handler,
) {
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
        let (handler, kind, stopping) = (handler.clone(), kind.clone(), tasks.shutting_down());
        tasks.spawn_request(name, async move {
            let afterwards = Afterwards::default();
            talk(connection, limits, kind, handler, stopping, &afterwards).await;
            drop(slot);
            if let Some(work) = afterwards.take() {
                work.await;
            }
        });
    }
}

async fn talk(
    connection: Connection,
    limits: ServerLimits,
    kind: Kind,
    handler: impl Handler,
    stopping: impl Future<Output = ()>,
    afterwards: &Afterwards,
) {
    // Who sends nothing at all costs a place for as long as a head may take.
    let Some(connection) = connection.settled(limits.head).await else { return };
    match connection {
        Connection::Either(..) => debug!("a connection that is not settled"),
        Connection::Tcp(stream, peer) => {
            let (maps, afterwards) = match kind {
                Kind::Answers(maps) => (maps, None),
                Kind::Tunnels => (Maps::default(), Some(afterwards)),
            };
            let stream = Patience::new(Sending::new(stream, maps), limits.stall);
            speak(TokioIo::new(stream), Peer::Tcp(peer), limits, afterwards, handler, stopping).await;
        }
        Connection::Tls(stream, peer, tls) => match tls.accept(stream, limits.head).await {
            Ok(stream) => {
                let stream = Patience::new(stream, limits.stall);
                let afterwards = matches!(kind, Kind::Tunnels).then_some(afterwards);
                speak(TokioIo::new(stream), Peer::Tls(peer), limits, afterwards, handler, stopping).await;
            }
            Err(error) => debug!(%peer, %error, "no TLS came about"),
        },
        Connection::Unix(stream) => match stream.peer_cred() {
            Ok(who) => {
                let peer = Peer::Unix { uid: who.uid(), pid: who.pid() };
                let stream = Patience::new(stream, limits.stall);
                speak(TokioIo::new(stream), peer, limits, None, handler, stopping).await;
            }
            Err(error) => warn!(%error, "the kernel does not say who connected; refused"),
        },
    }
}

async fn speak(
    io: TokioIo<impl AsyncRead + AsyncWrite + Cut + Unpin + Send + 'static>,
    peer: Peer,
    limits: ServerLimits,
    afterwards: Option<&Afterwards>,
    handler: impl Handler,
    stopping: impl Future<Output = ()>,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Some(afterwards) = afterwards {
            request.extensions_mut().insert(afterwards.clone());
        }
        let answer = handler.answer(peer.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes.max(8192));
    if afterwards.is_some() {
        http.half_close(true);
        return hand_over(http.serve_connection(io, service).with_upgrades(), stopping).await;
    }
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

/// Until the connection has ended, or is somebody else's.
async fn hand_over<I, S, B>(exchange: UpgradeableConnection<I, S>, stopping: impl Future<Output = ()>)
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin + Send + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut exchange = std::pin::pin!(exchange);
    let ended = tokio::select! {
        ended = &mut exchange => ended,
        () = stopping => {
            exchange.as_mut().graceful_shutdown();
            exchange.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;
    use crate::Address;

    const LONG: Duration = Duration::from_secs(15);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Server {
        tasks: Tasks,
        address: SocketAddr,
    }

    impl Server {
        async fn new(limits: ServerLimits) -> Self {
            let tasks = Tasks::new();
            let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap();
            let address = listener.local_addr().unwrap();
            let answer = |_, _| async { Response::new(Full::new(Bytes::from_static(b"hello"))) };
            serve(&tasks, "test", Arc::new(listener), limits, answer);
            Self { tasks, address }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.tasks.begin_shutdown();
        }
    }

    async fn answered(stream: &mut TcpStream) -> io::Result<()> {
        let mut got = Vec::new();
        while !got.ends_with(b"hello") {
            if stream.read_buf(&mut got).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// What comes until the server closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut got = Vec::new();
        let reading = async { while stream.read_buf(&mut got).await.is_ok_and(|more| more > 0) {} };
        timeout(LONG, reading).await.expect("the server closes");
        String::from_utf8(got).unwrap()
    }

    #[tokio::test]
    async fn idle_connections_are_kept_up_to_a_bound_and_who_comes_later_has_the_next_place() {
        let server = Server::new(ServerLimits { connections: 200, ..ServerLimits::default() }).await;
        let mut idle = Vec::new();
        for _ in 0..200 {
            idle.push(server.connect().await);
        }
        for stream in &mut idle {
            stream.write_all(ASK).await.unwrap();
            timeout(LONG, answered(stream)).await.unwrap().unwrap();
        }
        let mut later = server.connect().await;
        later.write_all(ASK).await.unwrap();
        assert!(timeout(Duration::from_millis(200), later.readable()).await.is_err(), "there is no place");
        idle[7].write_all(ASK).await.unwrap();
        timeout(LONG, answered(&mut idle[7])).await.unwrap().unwrap();
        drop(idle.pop());
        timeout(LONG, answered(&mut later)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused_at_its_bound() {
        let server = Server::new(ServerLimits { head_bytes: 16 * 1024, ..ServerLimits::default() }).await;
        let mut stream = server.connect().await;
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}", "a".repeat(17 * 1024));
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431 "));
        let mut many = server.connect().await;
        let fields: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
        many.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}\r\n").as_bytes()).await.unwrap();
        assert!(rest(&mut many).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn a_head_that_comes_too_slowly_ends_the_connection() {
        let server = Server::new(ServerLimits { head: Duration::from_millis(300), ..ServerLimits::default() }).await;
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
        assert!(!rest(&mut stream).await.contains("200 OK"));
    }
}
