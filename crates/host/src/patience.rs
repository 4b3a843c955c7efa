//! A connection whose peer must take what it is sent, and must not only be there: one that reads nothing for too long is
//! ended, and so is one on which nothing moves either way.
//!
//! Without this, clients that stop reading hold their connections, files and buffers for ever, and clients that say nothing
//! hold the places of others.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// Build tools keep connections for a minute or two between requests; whoever comes later connects again.
const IDLE: Duration = Duration::from_secs(300);

/// Ends writes that make no progress for `limit`.
pub(crate) struct Patience<S> {
    stream: S,
    limit: Duration,
    /// Set while a write is stuck.
    alarm: Option<Pin<Box<Sleep>>>,
    /// When something moved last, either way.
    moved: Instant,
    /// One a connection, put off when it rings too early: a request costs no timer.
    idle: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, alarm: None, moved: Instant::now(), idle: None }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn watch(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if read.is_ready() {
            self.moved = Instant::now();
            return read;
        }
        let due = self.moved + IDLE;
        let idle = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        while idle.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            idle.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.moved = Instant::now();
            self.alarm = None;
            return wrote;
        }
        let limit = self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut line = Patience::new(ours, Duration::from_secs(60));
        assert_eq!(line.write_all(&[0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_given_up_and_one_that_is_sent_something_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut line = Patience::new(ours, Duration::from_secs(60));
        let begun = Instant::now();
        let mut buffer = [0; 4];
        let mut first = Box::pin(line.read(&mut buffer));
        assert!(tokio::time::timeout(Duration::from_secs(200), &mut first).await.is_err());
        drop(first);
        line.write_all(b"more").await.unwrap();
        assert_eq!(line.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 500, "five minutes after the last byte went out");
        theirs.read_exact(&mut buffer).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_that_reads_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut line = Patience::new(ours, Duration::from_secs(60));
        let reader = async {
            let mut buffer = [0; 16];
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                theirs.read_exact(&mut buffer).await.unwrap();
            }
        };
        let (wrote, ()) = tokio::join!(line.write_all(&[0; 128]), reader);
        wrote.unwrap();
    }
}
