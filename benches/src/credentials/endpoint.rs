//! A steady thousand requests a second. An answer's time counts from when its request was due, not from when a late
//! client got round to it, so that a stall of the server is seen by every request that it held up.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use super::world::World;
use crate::{Outcome, programs::percentile};

const CLIENTS: u32 = 8;
const RATE: u32 = 1000;

pub(super) struct Seen {
    /// Milliseconds, sorted.
    times: Vec<f64>,
    pub(super) failed: u32,
}

impl Seen {
    pub(super) fn percentile(&self, share: f64) -> f64 {
        percentile(&self.times, share)
    }

    pub(super) fn count(&self) -> usize {
        self.times.len()
    }
}

/// A client with a connection.
pub(super) struct Asker {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Asker {
    pub(super) fn connect(world: &World) -> Outcome<Self> {
        let stream = TcpStream::connect(world.endpoint)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let token = world.token()?;
        let request =
            format!("GET /v1/role/build HTTP/1.1\r\nhost: {}\r\nauthorization: {token}\r\n\r\n", world.endpoint);
        Ok(Self { stream: BufReader::new(stream), request })
    }

    /// Asks, and reads the answer whole: its status.
    pub(super) fn ask(&mut self) -> Outcome<u16> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the connection ended".into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap_or_default().parse()?;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(status)
    }
}

/// A thousand requests a second for `length`, on kept connections or each on its own.
pub(super) fn thousand_a_second(world: &World, length: Duration, kept: bool) -> Outcome<Seen> {
    let requests = u32::try_from(length.as_secs())? * RATE / CLIENTS;
    let between = Duration::from_secs(1) * CLIENTS / RATE;
    let start = Instant::now() + Duration::from_millis(50);
    let client = |number: u32| {
        let mut seen = Seen { times: Vec::new(), failed: 0 };
        let mut connection = None;
        for request in 0..requests {
            let due = start + between * request + between * number / CLIENTS;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut asker = match connection.take() {
                Some(asker) if kept => Ok(asker),
                _ => Asker::connect(world),
            };
            let good = asker.as_mut().is_ok_and(|asker| asker.ask().is_ok_and(|status| status == 200));
            seen.times.push(due.elapsed().as_secs_f64() * 1000.0);
            seen.failed += u32::from(!good);
            connection = asker.ok().filter(|_| good);
        }
        seen
    };
    let mut all = Seen { times: Vec::new(), failed: 0 };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        for client in clients {
            let seen = client.join().map_err(|_| "a client panicked")?;
            all.times.extend(seen.times);
            all.failed += seen.failed;
        }
        Ok::<(), &str>(())
    })?;
    all.times.sort_by(f64::total_cmp);
    Ok(all)
}
