//! A path over which datagrams go late, get lost, come twice or come from somewhere else: what `netem` does in kernels
//! that have it. It stands on the client's side, so that the server sees one peer like any other.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use crate::{Namespace, Outcome};

/// So that nothing is lost but what shall be.
const BUFFER: usize = 4 << 20;
/// Datagrams under way in one direction; what comes when the path is full is lost, as it would be.
const CAPACITY: usize = 50_000;
/// How often a thread looks whether it is time to end.
const GLANCE: Duration = Duration::from_millis(50);

/// What the path does to datagrams of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// How late each is.
    pub delay: Duration,
    /// The share that is lost, 0 to 1.
    pub loss: f64,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Which way.
    pub direction: Direction,
    /// As it was.
    pub bytes: Vec<u8>,
}

/// A relay; dropped, it ends.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    near: UdpSocket,
    far: RwLock<Arc<UdpSocket>>,
    client: Mutex<Option<SocketAddr>>,
    lanes: [Lane; 2],
    record: Mutex<Option<Vec<Datagram>>>,
    end: AtomicBool,
}

struct Lane {
    state: Mutex<LaneState>,
    news: Condvar,
}

struct LaneState {
    path: Path,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    dice: u64,
}

impl Relay {
    /// A relay in the namespace of a client: what is sent to [`Relay::address`] goes to `server`.
    ///
    /// # Errors
    /// No socket, no thread.
    pub fn start(client: &Namespace, server: SocketAddr, up: Path, down: Path) -> Outcome<Self> {
        let near = client.enter(|| socket((Ipv4Addr::LOCALHOST, 0).into()))?;
        let far = client.enter(|| socket((Ipv4Addr::UNSPECIFIED, 0).into()))?;
        let address = near.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            near,
            far: RwLock::new(Arc::new(far)),
            client: Mutex::default(),
            lanes: [Lane::new(up, 1), Lane::new(down, 2)],
            record: Mutex::default(),
            end: AtomicBool::new(false),
        });
        for direction in [Direction::Up, Direction::Down] {
            let (receiving, sending) = (Arc::clone(&shared), Arc::clone(&shared));
            thread::Builder::new().spawn(move || receiving.receive(direction))?;
            thread::Builder::new().spawn(move || sending.release(direction))?;
        }
        Ok(Self { address, shared })
    }

    /// Where the client sends to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the path does this.
    pub fn change(&self, direction: Direction, path: Path) {
        self.shared.lane(direction).lock().path = path;
    }

    /// From now on the server sees the client at a new port of `source`, an address of `client`.
    ///
    /// # Errors
    /// No socket there.
    pub fn roam(&self, client: &Namespace, source: IpAddr) -> Outcome<()> {
        let far = client.enter(|| socket((source, 0).into()))?;
        *self.shared.far.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(far);
        Ok(())
    }

    /// Begins to keep what goes by.
    pub fn record(&self) {
        *lock(&self.shared.record) = Some(Vec::new());
    }

    /// What went by since [`Relay::record`]; nothing is kept from now on.
    #[must_use]
    pub fn recorded(&self) -> Vec<Datagram> {
        lock(&self.shared.record).take().unwrap_or_default()
    }

    /// Sends `bytes` on, as if they had come just now.
    pub fn send(&self, direction: Direction, bytes: &[u8]) {
        self.shared.pass_on(direction, bytes);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        self.shared.lanes.iter().for_each(|lane| lane.news.notify_all());
    }
}

impl Shared {
    fn receive(&self, direction: Direction) {
        let mut buffer = vec![0; 65_536];
        while !self.ends() {
            let came = match direction {
                Direction::Up => self.near.recv_from(&mut buffer),
                Direction::Down => self.far().recv_from(&mut buffer),
            };
            // Nothing came in time, or the other end is away: the next may.
            let Ok((length, from)) = came else { continue };
            if direction == Direction::Up {
                *lock(&self.client) = Some(from);
            }
            let bytes = &buffer[..length];
            if let Some(record) = lock(&self.record).as_mut() {
                record.push(Datagram { direction, bytes: bytes.to_vec() });
            }
            self.lane(direction).add(bytes);
        }
    }

    fn release(&self, direction: Direction) {
        while !self.ends() {
            if let Some(bytes) = self.lane(direction).next() {
                self.pass_on(direction, &bytes);
            }
        }
    }

    fn pass_on(&self, direction: Direction, bytes: &[u8]) {
        // A datagram that cannot be sent is a lost one.
        match direction {
            Direction::Up => drop(self.far().send_to(bytes, self.server)),
            Direction::Down => {
                let client = *lock(&self.client);
                drop(client.map(|client| self.near.send_to(bytes, client)));
            }
        }
    }

    fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[usize::from(direction == Direction::Down)]
    }

    fn far(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.far.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn ends(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }
}

impl Lane {
    fn new(path: Path, seed: u64) -> Self {
        let dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { state: Mutex::new(LaneState { path, under_way: VecDeque::new(), dice }), news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        lock(&self.state)
    }

    fn add(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.is_lost() || state.under_way.len() >= CAPACITY {
            return;
        }
        let due = Instant::now() + state.path.delay;
        state.under_way.push_back((due, bytes.to_vec()));
        if state.under_way.len() == 1 {
            self.news.notify_one();
        }
    }

    /// The next that is due, or nothing for now.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let wait = match state.under_way.front() {
            None => GLANCE,
            Some((due, _)) => due.saturating_duration_since(Instant::now()),
        };
        if wait > Duration::ZERO {
            state = self.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_due = state.under_way.front().is_some_and(|(due, _)| *due <= Instant::now());
        if is_due { state.under_way.pop_front().map(|(_, bytes)| bytes) } else { None }
    }
}

impl LaneState {
    /// The same datagrams of a run are lost in the next one.
    fn is_lost(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64 <= self.path.loss && self.path.loss > 0.0
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(GLANCE))?;
    set_socket_recv_buffer_size(&socket, BUFFER)?;
    set_socket_send_buffer_size(&socket, BUFFER)?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_lost_is_the_one_that_was_asked_for() {
        for loss in [0.0, 0.005, 0.5, 1.0] {
            let lane = Lane::new(Path { delay: Duration::ZERO, loss }, 1);
            let lost = (0..20_000).filter(|_| lane.lock().is_lost()).count();
            let share = lost as f64 / 20_000.0;
            assert!((share - loss).abs() < 0.002 + loss * 0.05, "{share} of {loss}");
        }
    }

    #[test]
    fn what_is_late_comes_in_order_and_not_before_its_time() {
        let lane = Lane::new(Path { delay: Duration::from_millis(30), loss: 0.0 }, 1);
        let start = Instant::now();
        lane.add(b"one");
        lane.add(b"two");
        let mut came = Vec::new();
        while came.len() < 2 {
            came.extend(lane.next());
        }
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert_eq!(came, [b"one".to_vec(), b"two".to_vec()]);
    }
}
