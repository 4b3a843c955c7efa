//! Who sends and who reads: plain blocking sockets with large blocks, so that they cost little beside a proxy.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::servers::Contestant;
use crate::Outcome;

/// What moves in one transfer, over all of its streams.
const BYTES: u64 = 2_000_000_000;
const BLOCK: usize = 256 << 10;
const CALLERS: usize = 4;
const CALLING: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// The first byte that a client says: what it wants.
const SEND: u8 = b's';
const TAKE: u8 = b't';
const NOTHING: u8 = b'n';

/// A server that sends as much as it is asked for, or takes what comes and says when it has it all.
pub(super) struct Source(SocketAddr);

/// What was moved.
pub(super) struct Moved {
    pub(super) bytes: u64,
    pub(super) seconds: f64,
}

impl Source {
    pub(super) fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Self(address))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0
    }

    /// Moves [`BYTES`] by `streams` connections at once.
    pub(super) fn transfer(&self, contestant: &Contestant, streams: usize, down: bool) -> Outcome<Moved> {
        let each = BYTES / streams as u64;
        let connected = (0..streams).map(|_| contestant.connect(self.0)).collect::<Outcome<Vec<_>>>()?;
        let start = Instant::now();
        let bytes = thread::scope(|scope| {
            let all: Vec<_> =
                connected.into_iter().map(|stream| scope.spawn(move || one(stream, each, down))).collect();
            all.into_iter().map(|one| one.join().map_err(|_| "a client panicked")?).sum::<Outcome<u64>>()
        })?;
        if bytes != each * streams as u64 {
            return Err(format!("{}: {bytes} bytes came, not {BYTES}", contestant.name).into());
        }
        Ok(Moved { bytes, seconds: start.elapsed().as_secs_f64() })
    }
}

/// Connections that are opened, get a byte, and are closed by the server.
pub(super) fn tunnels_a_second(contestant: &Contestant, to: SocketAddr) -> Outcome<f64> {
    let (count, start) = (AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while start.elapsed() < CALLING {
                    let got = contestant.connect(to).and_then(|mut stream| {
                        stream.write_all(&[NOTHING])?;
                        Ok(stream.read(&mut [0; 8])?)
                    });
                    count.fetch_add(u64::from(matches!(got, Ok(1))), Ordering::Relaxed);
                }
            });
        }
    });
    Ok(count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

fn one(mut stream: TcpStream, bytes: u64, down: bool) -> Outcome<u64> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if down {
        stream.write_all(&[SEND])?;
        stream.write_all(&bytes.to_be_bytes())?;
        return Ok(take(&mut stream)?);
    }
    // By its length: not every proxy lets one side end before the other.
    stream.write_all(&[TAKE])?;
    stream.write_all(&bytes.to_be_bytes())?;
    send(&mut stream, bytes)?;
    let mut came = [0; 8];
    stream.read_exact(&mut came)?;
    Ok(u64::from_be_bytes(came))
}

fn serve(mut stream: TcpStream) {
    let mut wanted = [0];
    if stream.read_exact(&mut wanted).is_err() {
        return;
    }
    // Whoever goes away in the middle is the client's business.
    let _ = match wanted[0] {
        SEND => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).and_then(|()| send(&mut stream, u64::from_be_bytes(bytes)))
        }
        TAKE => {
            let mut bytes = [0; 8];
            let came = stream.read_exact(&mut bytes).and_then(|()| {
                let whole = u64::from_be_bytes(bytes);
                take(&mut (&mut stream).take(whole))
            });
            came.and_then(|came| stream.write_all(&came.to_be_bytes()))
        }
        _ => stream.write_all(b"x"),
    };
}

fn send(stream: &mut impl Write, bytes: u64) -> std::io::Result<()> {
    let block = vec![0x5a; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let now = BLOCK.min(usize::try_from(left).unwrap_or(BLOCK));
        stream.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn take(stream: &mut impl Read) -> std::io::Result<u64> {
    let (mut block, mut came) = (vec![0; BLOCK], 0);
    loop {
        match stream.read(&mut block)? {
            0 => return Ok(came),
            read => came += read as u64,
        }
    }
}
