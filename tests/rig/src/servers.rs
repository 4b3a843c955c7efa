//! Servers in a namespace: what clients of the tunnel talk to.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Namespace, Outcome};

/// A TCP server with a thread a connection; dropped, it accepts no more.
pub struct Service {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Service {
    /// Listens on `address` in `namespace` (port 0 is a free one) and lets `serve` have every connection.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(
        namespace: &Namespace,
        address: SocketAddr,
        serve: impl Fn(TcpStream) + Clone + Send + 'static,
    ) -> Outcome<Self> {
        let listener = Arc::new(namespace.enter(|| TcpListener::bind(address))?);
        let (accepted, address) = (Arc::new(AtomicUsize::new(0)), listener.local_addr()?);
        let (accepting, count) = (Arc::clone(&listener), Arc::clone(&accepted));
        thread::Builder::new().spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                count.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        })?;
        Ok(Self { listener, address, accepted })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has had.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ends the `accept` that waits.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).ok();
    }
}

/// A listener with room for `count` connections that nobody accepts: they are there, and cost no descriptor on this side.
///
/// # Errors
/// The address cannot be had.
pub fn waiting_room(namespace: &Namespace, address: SocketAddr, count: i32) -> Outcome<TcpListener> {
    namespace.run("sysctl", &["-w", &format!("net.core.somaxconn={count}")])?;
    let listener = namespace.enter(|| TcpListener::bind(address))?;
    // The second call on a socket changes the length of its queue.
    rustix::net::listen(&listener, count)?;
    Ok(listener)
}

/// Sends everything back, and ends its direction when the other side has ended its own.
pub fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 16_384];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        }
    }
    stream.shutdown(Shutdown::Write).ok();
}

/// What came, and from where.
pub type Seen = Vec<(SocketAddr, Vec<u8>)>;

/// A UDP server that sends everything back and remembers from where it came; dropped, it ends.
pub struct UdpEcho {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    end: Arc<AtomicBool>,
}

impl UdpEcho {
    /// Listens on `address` in `namespace`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Outcome<Self> {
        let socket = namespace.enter(|| UdpSocket::bind(address))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let address = socket.local_addr()?;
        let (seen, end) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, ends) = (Arc::clone(&seen), Arc::clone(&end));
        thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !ends.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((from, buffer[..length].to_vec()));
                socket.send_to(&buffer[..length], from).ok();
            }
        })?;
        Ok(Self { address, seen, end })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every datagram that came, and from where.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// A UDP socket of `namespace` that waits at most `patience` for an answer.
///
/// # Errors
/// The address cannot be had.
pub fn udp(namespace: &Namespace, address: IpAddr, patience: Duration) -> io::Result<UdpSocket> {
    let socket = namespace.enter(|| UdpSocket::bind((address, 0)))?;
    socket.set_read_timeout(Some(patience))?;
    Ok(socket)
}

/// The address that stands for all of them.
pub const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
