//! What an answer's bytes are read from: memory, a finished file, a file that still grows, or the upstream itself.
//!
//! One type for all, so that a faster way for big files (mapped, by sendfile) is one more source here and nothing
//! else. A body that cannot be finished ends in an error: the connection breaks, and no client takes a part for the
//! whole.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bowline_base::{BoxFuture, wire};
use bowline_host::{mapped, metrics::Counter};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use crate::{
    copy::{Copy, Held, Opened},
    fill::{End, Growth, Stage},
    source::Source,
    upstream::{Answer, Head, Trouble, Want, file_etag},
};

/// Bytes that are read at a time, and so the memory that one client costs.
const PIECE: u64 = 256 * 1024;
/// Bytes of a file that are handed over at a time when nobody reads them here. They are looked for in memory just before;
/// a client that takes them slowly may find them gone again, and then waits for the disk on the runtime's own thread.
const UNREAD: u64 = 4 * 1024 * 1024;

/// Runs blocking file work beside the runtime.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// The body of an answer.
pub(crate) struct Payload {
    left: u64,
    sent: Option<Counter<u64>>,
    state: State,
}

enum State {
    Memory(Bytes),
    Waiting(Reader),
    Reading(BoxFuture<'static, (Reader, Result<Bytes, Trouble>)>),
    Over,
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Self::memory(Bytes::new())
    }

    pub(crate) fn memory(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, sent: None, state: State::Memory(bytes) }
    }

    /// `range` of a finished file.
    pub(crate) fn copy(copy: &Copy, range: Range<u64>) -> Self {
        match &copy.bytes {
            Held::Whole(bytes) => Self::memory(bytes.slice(range.start as usize..range.end as usize)),
            Held::Open(opened) => {
                Self::reading(Reader { source: From::File(opened.clone()), at: range.start, end: range.end })
            }
        }
    }

    /// For a connection that cannot send what nobody has read: encrypted, or no TCP.
    pub(crate) fn read_here(mut self) -> Self {
        if let State::Waiting(Reader { source: From::File(opened), .. }) = &mut self.state {
            opened.mapped = None;
        }
        self
    }

    /// `range` of a file of somebody else's, broken off when it no longer has `etag`.
    pub(crate) fn unchanging(file: Arc<File>, etag: String, range: Range<u64>) -> Self {
        Self::reading(Reader { source: From::Foreign(file, etag), at: range.start, end: range.end })
    }

    /// `range` of a file that may still grow.
    pub(crate) fn growing(growing: Growing, range: Range<u64>) -> Self {
        Self::reading(Reader { source: From::Growing(growing), at: range.start, end: range.end })
    }

    /// Counts what is sent.
    pub(crate) fn counted(mut self, sent: Counter<u64>) -> Self {
        self.sent = Some(sent);
        self
    }

    fn reading(reader: Reader) -> Self {
        let left = reader.end.saturating_sub(reader.at);
        Self { left, sent: None, state: State::Waiting(reader) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        if self.left == 0 {
            self.state = State::Over;
        }
        let mut reading = match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return Poll::Ready(None),
            State::Memory(bytes) => return Poll::Ready(self.passed(Ok(bytes))),
            State::Waiting(mut reader) => {
                if let Some(bytes) = reader.at_hand() {
                    self.state = State::Waiting(reader);
                    return Poll::Ready(self.passed(Ok(bytes)));
                }
                Box::pin(reader.next())
            }
            State::Reading(next) => next,
        };
        match reading.as_mut().poll(cx) {
            Poll::Ready((reader, bytes)) => {
                self.state = State::Waiting(reader);
                Poll::Ready(self.passed(bytes))
            }
            Poll::Pending => {
                self.state = State::Reading(reading);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Payload {
    /// Counts what leaves.
    fn passed(&mut self, bytes: Result<Bytes, Trouble>) -> Option<Result<Frame<Bytes>, Trouble>> {
        match &bytes {
            Ok(bytes) => {
                self.left -= (bytes.len() as u64).min(self.left);
                self.sent.as_ref().map(|sent| sent.inc_by(bytes.len() as u64));
            }
            Err(_) => self.state = State::Over,
        }
        Some(bytes.map(Frame::data))
    }
}

/// A fill that is joined.
pub(crate) struct Growing {
    pub(crate) stages: watch::Receiver<Stage>,
    pub(crate) source: Arc<Source>,
    pub(crate) key: String,
}

struct Reader {
    source: From,
    at: u64,
    end: u64,
}

enum From {
    File(Opened),
    Foreign(Arc<File>, String),
    Growing(Growing),
    Upstream(wire::Body),
}

impl Reader {
    async fn next(mut self) -> (Self, Result<Bytes, Trouble>) {
        let bytes = self.piece().await;
        if let Ok(bytes) = &bytes {
            self.at += bytes.len() as u64;
        }
        (self, bytes)
    }

    /// What needs no reading, because the kernel has it in memory and sends it.
    fn at_hand(&mut self) -> Option<Bytes> {
        let From::File(Opened { file, offset, mapped: Some(mapped) }) = &self.source else { return None };
        let end = self.end.min(self.at + UNREAD);
        if !mapped::is_resident(file, offset + self.at..offset + end) {
            return None;
        }
        let bytes = mapped.slice(self.at as usize..end as usize);
        self.at = end;
        Some(bytes)
    }

    /// At least one byte, at most [`PIECE`] of them from a file.
    async fn piece(&mut self) -> Result<Bytes, Trouble> {
        loop {
            match &mut self.source {
                From::File(opened) => return read(Arc::clone(&opened.file), opened.offset, self.at..self.end).await,
                From::Foreign(file, etag) => {
                    let bytes = read(Arc::clone(file), 0, self.at..self.end).await?;
                    return unchanged(Arc::clone(file), etag.clone()).await.map(|()| bytes);
                }
                From::Upstream(body) => return relayed(body, self.end - self.at).await,
                From::Growing(growing) => {
                    let growth = growing.beyond(self.at, self.end).await?;
                    match growth.file {
                        Some(file) => {
                            return read(file, growth.offset, self.at..growth.ready).await;
                        }
                        None => self.source = From::Upstream(growing.rest(self.at, &growth.head).await?),
                    }
                }
            }
        }
    }
}

/// What may be read now. Without a file: nothing more comes into it, ask the upstream.
struct Ready {
    file: Option<Arc<File>>,
    offset: u64,
    ready: u64,
    head: Arc<Head>,
}

impl Growing {
    /// Waits until the byte at `at` may be sent to who wants them up to `end`: [`Growth::ready`].
    async fn beyond(&mut self, at: u64, end: u64) -> Result<Ready, Trouble> {
        let died = |_| Trouble::Broken("the fill ended without a word".to_owned());
        let reached =
            |stage: &Stage| stage.growth().is_none_or(|growth| growth.end.is_final() || growth.ready(end) > at);
        let stage = self.stages.wait_for(reached).await.map_err(died)?.clone();
        let growth: Growth = stage.growth().cloned().ok_or_else(|| died_of(&stage))?;
        match &growth.end {
            End::Broken(trouble) => return Err(trouble.clone()),
            End::NoRoom | End::NotYet | End::Whole => {}
        }
        let file = growth.file.clone().filter(|_| growth.ready(end) > at);
        Ok(Ready { file, offset: growth.offset, ready: growth.ready(end), head: growth.head })
    }

    /// The disk took no more: every reader fetches its own rest, of the same file.
    async fn rest(&self, at: u64, head: &Head) -> Result<wire::Body, Trouble> {
        if at > 0 && head.etag.is_none() {
            return Err(Trouble::Broken(
                "without an ETag nobody knows whether the rest is of the same file".to_owned(),
            ));
        }
        let want = Want { from: at, if_match: head.etag.clone(), ..Want::whole(&self.key) };
        match self.source.ask(&want).await? {
            Answer::File(rest, body) if rest.etag == head.etag && rest.length == head.length => Ok(body),
            Answer::File(..) | Answer::Unchanged => Err(Trouble::Changed),
        }
    }
}

fn died_of(stage: &Stage) -> Trouble {
    match stage {
        Stage::Failed(trouble) => trouble.clone(),
        _ => Trouble::Broken("the fill came to nothing".to_owned()),
    }
}

async fn read(file: Arc<File>, offset: u64, range: Range<u64>) -> Result<Bytes, Trouble> {
    let length = (range.end - range.start).min(PIECE) as usize;
    let bytes = off_thread(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset + range.start).map(|()| Bytes::from(bytes))
    });
    bytes.await.and_then(|bytes| bytes).map_err(|error| Trouble::Disk(error.to_string()))
}

async fn unchanged(file: Arc<File>, etag: String) -> Result<(), Trouble> {
    let now = off_thread(move || file.metadata().map(|metadata| file_etag(&metadata)));
    let now = now.await.and_then(|now| now).map_err(|error| Trouble::Disk(error.to_string()))?;
    if now == etag { Ok(()) } else { Err(Trouble::Changed) }
}

async fn relayed(body: &mut wire::Body, left: u64) -> Result<Bytes, Trouble> {
    loop {
        let Some(frame) = body.frame().await else {
            return Err(Trouble::Broken(format!("{left} bytes are missing at the end")));
        };
        let frame = frame.map_err(|error| Trouble::Broken(error.to_string()))?;
        if let Ok(mut bytes) = frame.into_data()
            && !bytes.is_empty()
        {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            return Ok(bytes);
        }
    }
}
