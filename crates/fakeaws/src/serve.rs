//! The listener: real connections in front of a [`Cloud`], and the misbehaviour that it orders acted out.
//!
//! It has its own accept loop instead of `host::server`'s, which is made to behave well: this one must reset
//! connections, cut bodies short and leave clients waiting.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bowline_host::clock;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{AbortHandle, JoinSet},
    time::Sleep,
};

use crate::{Cloud, Ending, Pass, Settings};

/// Long enough for the bytes before a break to leave, short enough for a test.
const BREAK: Duration = Duration::from_millis(30);

/// A fake AWS that listens on loopback; dropped, it stops and closes every connection.
pub struct FakeAws {
    addr: SocketAddr,
    cloud: Arc<Cloud>,
    accepting: AbortHandle,
}

impl FakeAws {
    /// Starts on a free port of 127.0.0.1, on the runtime of the caller.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_on(0, settings).await
    }

    /// Starts on `port` of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start_on(port: u16, settings: Settings) -> io::Result<Self> {
        let cloud = Arc::new(Cloud::new(settings, clock::now()));
        Self::serve(port, cloud).await
    }

    /// Puts a listener in front of a cloud that exists already: after a drop, the same world comes back.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn serve(port: u16, cloud: Arc<Cloud>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let addr = listener.local_addr()?;
        let accepting = Handle::current().spawn(accept(listener, Arc::clone(&cloud))).abort_handle();
        Ok(Self { addr, cloud, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What goes into `AWS_ENDPOINT_URL`: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The cloud behind the listener.
    #[must_use]
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Owns the connections' tasks, so that they end with it.
async fn accept(listener: TcpListener, cloud: Arc<Cloud>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok();
                connections.spawn(converse(stream, Arc::clone(&cloud)));
            }
            // Out of file descriptors, most likely: some connection will end.
            Err(_) => tokio::time::sleep(BREAK).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, cloud: Arc<Cloud>) {
    let reset = Arc::new(AtomicBool::new(false));
    let line = Line { stream, reset: Arc::clone(&reset) };
    let service = service_fn(|request| exchange(Arc::clone(&cloud), Arc::clone(&reset), request));
    // A broken connection is the client's choice or our own order; either way nobody here has to act.
    http1::Builder::new().serve_connection(TokioIo::new(line), service).await.ok();
}

/// The error makes hyper drop the connection without an answer.
async fn exchange(
    cloud: Arc<Cloud>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let reply = cloud.handle(clock::now(), Request::from_parts(head, body));
    let counted = InFlight { cloud: Arc::clone(&cloud), pass: reply.pass };
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    match reply.ending {
        Ending::Whole => Ok(outgoing(reply.response, None, counted)),
        Ending::Truncate(bytes) => Ok(outgoing(reply.response, Some((bytes, After::Close)), counted)),
        Ending::Stall(bytes) => Ok(outgoing(reply.response, Some((bytes, After::Wait)), counted)),
        Ending::Hang => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Ending::Reset => {
            reset.store(true, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

fn outgoing(response: Response<Bytes>, broken: Option<(usize, After)>, counted: InFlight) -> Response<Outgoing> {
    let (mut head, mut bytes) = response.into_parts();
    let mut rest = None;
    if let Some((limit, after)) = broken {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len().max(limit + 1)));
        bytes.truncate(limit);
        rest = Some(match after {
            After::Close => Rest::Close(Box::pin(tokio::time::sleep(BREAK))),
            After::Wait => Rest::Wait,
        });
    }
    let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
    Response::from_parts(head, Outgoing { bytes, rest, _counted: counted })
}

#[derive(Clone, Copy)]
enum After {
    Close,
    Wait,
}

/// What follows the bytes of a body that ends wrongly.
enum Rest {
    Close(Pin<Box<Sleep>>),
    Wait,
}

/// A body: the bytes, then the end that was ordered. Counts as in flight until hyper lets go of it.
struct Outgoing {
    bytes: Option<Bytes>,
    rest: Option<Rest>,
    _counted: InFlight,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.rest {
            None => Poll::Ready(None),
            Some(Rest::Wait) => Poll::Pending,
            Some(Rest::Close(sleep)) => {
                ready!(sleep.as_mut().poll(context));
                Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (&self.bytes, &self.rest) {
            (_, Some(_)) => hyper::body::SizeHint::default(),
            (bytes, None) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Tells the cloud when the exchange is over, however it ends.
struct InFlight {
    cloud: Arc<Cloud>,
    pass: Pass,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.cloud.finished(&self.pass);
    }
}

/// A connection that can be ended with a reset.
struct Line {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            self.stream.set_zero_linger().ok();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper shuts the connection down before it lets go of it; a FIN before the RST would be a polite end.
        if self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
