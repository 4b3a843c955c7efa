//! Two connections made one: what either side says goes to the other, until both have said all.
//!
//! Between plain TCP connections bulk passes through a pipe of the kernel (`splice`) and is never touched here; the first
//! bytes of each direction are copied, so that a short exchange needs no pipe. An end of one side is passed on and the other
//! may go on (half-close). It knows no HTTP, no users and no limits but one: how long nothing may move.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use rustix::net::Shutdown;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::{cut::Cut as _, pipes::Pipes};

/// The side that came to us.
pub enum Near {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS, which we end.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Bytes that have passed so far; read while the relay runs.
#[derive(Debug, Default)]
pub struct Passed {
    /// From the side that came to us.
    pub up: AtomicU64,
    /// To it.
    pub down: AtomicU64,
}

impl Passed {
    fn both(&self) -> u64 {
        self.up.load(Ordering::Relaxed) + self.down.load(Ordering::Relaxed)
    }
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// Both sides had said all.
    Whole,
    /// Nothing moved for too long.
    Idle,
    /// One side broke off. The other was reset, so that it takes nothing for the whole.
    Broken(io::Error),
}

/// Up to here each direction is copied.
const COPIED_FIRST: u64 = 64 * 1024;
const BUFFER: usize = 16 * 1024;

/// What the tunnels of one server share.
pub struct Relay {
    pipes: Pipes,
    idle: Duration,
}

impl Relay {
    /// A tunnel in which nothing moves for `idle` is ended.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { pipes: Pipes::default(), idle }
    }

    /// Passes on until the end; `first` was read from `near` already. Dropped, both connections are closed.
    pub async fn carry(&self, near: Near, first: &Bytes, far: TcpStream, passed: &Passed) -> End {
        let moving = async {
            match near {
                Near::Tcp(near) => self.plain(near, first, far, passed).await,
                Near::Tls(near) => wrapped(*near, first, far, passed).await,
            }
        };
        tokio::select! {
            moved = moving => moved.map_or_else(End::Broken, |()| End::Whole),
            () = nothing_moves(passed, self.idle) => End::Idle,
        }
    }

    async fn plain(&self, near: TcpStream, first: &Bytes, far: TcpStream, passed: &Passed) -> io::Result<()> {
        let up = async {
            write_all(&far, first).await?;
            count(&passed.up, first.len());
            self.one_way(&near, &far, &passed.up).await
        };
        let moved = tokio::try_join!(up, self.one_way(&far, &near, &passed.down));
        if moved.is_err() {
            near.cut();
            far.cut();
        }
        moved.map(drop)
    }

    /// One direction, and then its end.
    async fn one_way(&self, from: &TcpStream, to: &TcpStream, passed: &AtomicU64) -> io::Result<()> {
        if copied(from, to, passed, COPIED_FIRST).await? == Ended::No {
            self.spliced(from, to, passed).await?;
        }
        // Who has gone away needs not to be told.
        rustix::net::shutdown(to, Shutdown::Write).ok();
        Ok(())
    }

    async fn spliced(&self, from: &TcpStream, to: &TcpStream, passed: &AtomicU64) -> io::Result<()> {
        loop {
            from.readable().await?;
            let Ok(mut pipe) = self.pipes.lend() else {
                // There may be one again when these have passed.
                match copied(from, to, passed, COPIED_FIRST).await? {
                    Ended::Yes => return Ok(()),
                    Ended::No => continue,
                }
            };
            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    return copied(from, to, passed, u64::MAX).await.map(drop);
                }
                Err(error) => return Err(error),
            }
            while pipe.left() > 0 {
                count(passed, to.async_io(Interest::WRITABLE, || pipe.drain(to)).await?);
            }
        }
    }
}

/// Looks ten times in `idle`: no byte costs a timer.
async fn nothing_moves(passed: &Passed, idle: Duration) {
    let (mut last, mut quiet) = (passed.both(), 0);
    while quiet < 10 {
        tokio::time::sleep(idle / 10).await;
        let now = passed.both();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

/// Copies until the end of `from`, or `most` bytes. While nothing comes it holds no buffer.
async fn copied(from: &TcpStream, to: &TcpStream, passed: &AtomicU64, most: u64) -> io::Result<Ended> {
    let mut seen = 0;
    while seen < most {
        from.readable().await?;
        match pass_on(from, to) {
            Ok((0, _)) => return Ok(Ended::Yes),
            Ok((read, rest)) => {
                write_all(to, &rest).await?;
                count(passed, read);
                seen += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Ended::No)
}

/// What is there now goes on at once: how much it was, and what could not be written yet.
fn pass_on(from: &TcpStream, to: &TcpStream) -> io::Result<(usize, Vec<u8>)> {
    let mut buffer = [0; BUFFER];
    let read = from.try_read(&mut buffer)?;
    if read == 0 {
        return Ok((0, Vec::new()));
    }
    let written = match to.try_write(&buffer[..read]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        written => written?,
    };
    Ok((read, buffer[written..read].to_vec()))
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = to.async_io(Interest::WRITABLE, || to.try_write(bytes)).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

async fn wrapped(near: TlsStream<TcpStream>, first: &Bytes, far: TcpStream, passed: &Passed) -> io::Result<()> {
    let (mut near_read, mut near_write) = tokio::io::split(near);
    let (mut far_read, mut far_write) = far.into_split();
    let up = async {
        far_write.write_all(first).await?;
        count(&passed.up, first.len());
        carried(&mut near_read, &mut far_write, &passed.up).await
    };
    let moved = tokio::try_join!(up, carried(&mut far_read, &mut near_write, &passed.down));
    if moved.is_err() {
        near_read.unsplit(near_write).cut();
        far_read.as_ref().cut();
    }
    moved.map(drop)
}

async fn carried(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    passed: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 4 * BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await.ok();
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        count(passed, read);
    }
}

fn count(passed: &AtomicU64, bytes: usize) {
    passed.fetch_add(bytes as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{net::TcpListener, time::timeout};

    use super::*;
    use crate::Tasks;

    const LONG: Duration = Duration::from_secs(15);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    /// A client and a server with a relay between them, and how the relay ends.
    async fn between(
        first: &'static [u8],
        idle: Duration,
    ) -> (TcpStream, TcpStream, Arc<Passed>, tokio::sync::oneshot::Receiver<End>) {
        let ((client, near), (far, server)) = (pair().await, pair().await);
        let (passed, (tell, told)) = (Arc::new(Passed::default()), tokio::sync::oneshot::channel());
        let counted = Arc::clone(&passed);
        Tasks::new().spawn("relay", async move {
            let end = Relay::new(idle).carry(Near::Tcp(near), &Bytes::from_static(first), far, &counted).await;
            tell.send(end).ok();
        });
        (client, server, passed, told)
    }

    #[tokio::test]
    async fn bulk_passes_whole_in_both_directions_at_once_and_is_counted() {
        let (mut client, mut server, passed, told) = between(b"first", LONG).await;
        let bulk: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let (mut client_read, mut client_write) = client.split();
        let (mut server_read, mut server_write) = server.split();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let all = async {
            tokio::try_join!(
                async {
                    client_write.write_all(&bulk).await?;
                    client_write.shutdown().await
                },
                async {
                    server_write.write_all(&bulk).await?;
                    server_write.shutdown().await
                },
                server_read.read_to_end(&mut up),
                client_read.read_to_end(&mut down),
            )
        };
        timeout(LONG, all).await.unwrap().unwrap();
        assert!(up.starts_with(b"first") && up[5..] == bulk[..] && down == bulk);
        assert!(matches!(told.await.unwrap(), End::Whole));
        assert_eq!(passed.up.load(Ordering::Relaxed), 3_000_005);
        assert_eq!(passed.down.load(Ordering::Relaxed), 3_000_000);
    }

    #[tokio::test]
    async fn one_side_may_go_on_after_the_other_has_said_all() {
        let (mut client, mut server, _, told) = between(b"", LONG).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        timeout(LONG, server.read_to_end(&mut question)).await.unwrap().unwrap();
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(LONG, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!((question.as_slice(), answer.as_slice()), (&b"question"[..], &b"answer"[..]));
        assert!(matches!(told.await.unwrap(), End::Whole));
    }

    #[tokio::test]
    async fn a_reset_of_one_side_is_a_reset_for_the_other() {
        let (mut client, server, _, told) = between(b"", LONG).await;
        server.cut();
        drop(server);
        assert!(matches!(told.await.unwrap(), End::Broken(_)));
        let mut rest = Vec::new();
        let error = timeout(LONG, client.read_to_end(&mut rest)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn nothing_for_too_long_ends_it() {
        let (mut client, _server, _, told) = between(b"", Duration::from_millis(100)).await;
        assert!(matches!(timeout(LONG, told).await.unwrap().unwrap(), End::Idle));
        assert_eq!(timeout(LONG, client.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
}
