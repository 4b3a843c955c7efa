//! Listening sockets that outlive the jobs behind them: a reload that keeps an address never closes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File, OpenOptions},
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::{Fault, Kind};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::info;

use crate::{sys, tls_server::ServerTls};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path; made 0600 in a directory made 0700.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; one of our own making is removed from the file system when dropped.
    Unix(UnixListener, Option<SocketFile>),
    /// TLS over the TCP of another one, which a reload may go on to use.
    Tls(Arc<Self>, Arc<ServerTls>),
    /// TLS or plain HTTP over the TCP of another one, as each client begins.
    Either(Arc<Self>, Arc<ServerTls>),
}

/// A socket's place in the file system: ours for as long as the lock beside it is held.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    _lock: File,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

/// An accepted connection, before HTTP.
#[derive(Debug)]
pub enum Connection {
    /// From a TCP peer.
    Tcp(TcpStream, SocketAddr),
    /// From a TCP peer who has yet to greet.
    Tls(TcpStream, SocketAddr, Arc<ServerTls>),
    /// From a TCP peer who may greet or just ask.
    Either(TcpStream, SocketAddr, Arc<ServerTls>),
    /// From a process on this machine.
    Unix(UnixStream),
}

/// What a TLS client's first byte is: a handshake record.
const HANDSHAKE: u8 = 0x16;

impl Connection {
    /// Looks at the first byte where the client has the choice, for at most `limit`; `None` when nothing comes.
    pub(crate) async fn settled(self, limit: Duration) -> Option<Self> {
        let Self::Either(stream, peer, tls) = self else { return Some(self) };
        let mut first = [0];
        let looked = tokio::time::timeout(limit, stream.peek(&mut first)).await;
        match looked {
            Ok(Ok(1)) if first[0] == HANDSHAKE => Some(Self::Tls(stream, peer, tls)),
            Ok(Ok(1)) => Some(Self::Tcp(stream, peer)),
            _ => None,
        }
    }
}

impl Listener {
    /// Binds `address`. A Unix socket left behind by a dead process is replaced, a live one is not.
    ///
    /// # Errors
    /// A fault that names the address, with what to do: of kind `Config`, but `Unreachable` where the machine does not
    /// have the address, which may come later.
    pub async fn bind(address: &Address) -> Result<Self, Fault> {
        let bound = match address {
            Address::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Address::Unix(path) => bind_unix(path),
        };
        bound.map_err(|cause| cannot_listen(address, cause))
    }

    /// The TCP address really bound, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
            Self::Tls(inner, _) | Self::Either(inner, _) => inner.local_addr(),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream, peer))
            }
            Self::Unix(listener, _) => Ok(Connection::Unix(listener.accept().await?.0)),
            Self::Tls(inner, tls) => match Box::pin(inner.accept()).await? {
                Connection::Tcp(stream, peer) => Ok(Connection::Tls(stream, peer, Arc::clone(tls))),
                other => Ok(other),
            },
            Self::Either(inner, tls) => match Box::pin(inner.accept()).await? {
                Connection::Tcp(stream, peer) => Ok(Connection::Either(stream, peer, Arc::clone(tls))),
                other => Ok(other),
            },
        }
    }
}

/// Every listening socket of the process, by the address that was asked for.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    sockets: BTreeMap<Address, Arc<Listener>>,
    /// What is served there is meant for others than this machine's owner too.
    offered: BTreeSet<Address>,
}

impl Listeners {
    /// Takes over the `count` sockets that a supervisor opened for this process (`LISTEN_FDS`), by the address that each
    /// is bound to. To be called once, before anything else opens a file.
    ///
    /// # Errors
    /// A fault of kind `Config`: a descriptor is missing, or is no listening stream socket with an address.
    pub fn inherited(count: u32) -> Result<Self, Fault> {
        let listeners = Self::default();
        for descriptor in (sys::FIRST_INHERITED..).take(count as usize) {
            let (address, listener) = adopt(descriptor).map_err(|cause| not_inherited(descriptor, cause))?;
            info!(%address, "taken over from the supervisor");
            listeners.lock().sockets.insert(address, Arc::new(listener));
        }
        Ok(listeners)
    }

    /// The socket for `address`: the open one, or a new one. Whoever takes it offers it to nobody yet.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn listen(&self, address: &Address) -> Result<Arc<Listener>, Fault> {
        self.lock().offered.remove(address);
        if let Some(open) = self.open(address) {
            return Ok(open);
        }
        let listener = Arc::new(Listener::bind(address).await?);
        self.lock().sockets.insert(address.clone(), Arc::clone(&listener));
        Ok(listener)
    }

    /// Forgets every socket whose address is not in `wanted`; each closes when its job lets go of it.
    pub fn retain(&self, wanted: &[Address]) {
        self.lock().sockets.retain(|address, _| {
            let stays = wanted.contains(address);
            if !stays {
                info!(%address, "no longer listened on");
            }
            stays
        });
    }

    /// What is served at `addresses`, and at no other, is meant for others than this machine's owner too.
    pub fn offer(&self, addresses: impl IntoIterator<Item = Address>) {
        self.lock().offered = addresses.into_iter().collect();
    }

    /// Whether this process listens on `port` at this moment, at an address that is not offered to others.
    #[must_use]
    pub fn is_private(&self, port: u16) -> bool {
        let open = self.lock();
        let mut private = open.sockets.iter().filter(|(address, _)| !open.offered.contains(*address));
        private.any(|(_, listener)| listener.local_addr().is_some_and(|bound| bound.port() == port))
    }

    fn open(&self, address: &Address) -> Option<Arc<Listener>> {
        self.lock().sockets.get(address).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock decides who has the path, so that two daemons that start at once cannot take it from each other.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    if let Some(directory) = path.parent() {
        bowline_base::atomic::private_directory(directory)?;
    }
    let lock = lock_beside(path)?;
    fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(Listener::Unix(listener, Some(SocketFile { path: path.to_path_buf(), _lock: lock })))
}

/// Whether a Unix socket lies at `path` that nobody answers on: what is left of a process that was killed.
#[must_use]
pub fn is_dead_socket(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(refused)
}

/// Removes a socket that nobody answers on. A process that is about to listen there holds the lock, and keeps it.
///
/// # Errors
/// Somebody answers, or the system refuses.
pub fn remove_dead_socket(path: &Path) -> io::Result<()> {
    let lock = lock_beside(path)?;
    if !is_dead_socket(path) {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody answers on it"));
    }
    let removed = fs::remove_file(path);
    drop(lock);
    removed
}

fn lock_beside(path: &Path) -> io::Result<File> {
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.with_extension("lock"))?;
    lock.try_lock().map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "another process answers on it"))?;
    Ok(lock)
}

fn adopt(descriptor: i32) -> io::Result<(Address, Listener)> {
    let socket = sys::inherited(descriptor)?;
    let tcp = std::net::TcpListener::from(socket);
    tcp.set_nonblocking(true)?;
    if let Ok(address) = tcp.local_addr() {
        return Ok((Address::Tcp(address), Listener::Tcp(TcpListener::from_std(tcp)?)));
    }
    let unix = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(tcp));
    let path = unix.local_addr()?.as_pathname().map(Path::to_path_buf);
    let path = path.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no address"))?;
    Ok((Address::Unix(path), Listener::Unix(UnixListener::from_std(unix)?, None)))
}

fn not_inherited(descriptor: i32, cause: io::Error) -> Fault {
    let what = format!("descriptor {descriptor}, announced by LISTEN_FDS, is no listening stream socket");
    Fault::new(Kind::Config, "LISTEN_FDS", what)
        .hint("use `ListenStream=` in the .socket unit, or start without socket activation")
        .cause(cause)
}

fn cannot_listen(address: &Address, cause: io::Error) -> Fault {
    let hint = match cause.kind() {
        io::ErrorKind::AddrInUse => "another process has it: stop that one, or choose another address",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or a directory of your own",
        io::ErrorKind::AddrNotAvailable => "this machine does not have it (yet): ip address; or choose another one",
        _ => "choose another address",
    };
    let late = cause.kind() == io::ErrorKind::AddrNotAvailable;
    let kind = if late { Kind::Unreachable } else { Kind::Config };
    Fault::new(kind, address.to_string(), format!("cannot listen on `{address}`")).hint(hint).cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run/sock");
        let address = Address::Unix(path.clone());
        fs::create_dir(home.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listeners = Listeners::default();
        let first = listeners.listen(&address).await.unwrap();
        assert!(Listener::bind(&address).await.unwrap_err().chain().contains("another process"));
        assert!(Arc::ptr_eq(&first, &listeners.listen(&address).await.unwrap()));
        listeners.retain(&[]);
        drop(first);
        assert!(!path.exists());
        Listener::bind(&address).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_listened_on_is_private_until_it_is_offered_and_again_when_something_else_is() {
        let listeners = Listeners::default();
        let any = |last| Address::Tcp(([127, 0, 0, last], 0).into());
        let [one, other] = [listeners.listen(&any(1)).await.unwrap(), listeners.listen(&any(2)).await.unwrap()];
        let [one, other] = [one, other].map(|listener| listener.local_addr().unwrap().port());
        let private = || [one, other].map(|port| listeners.is_private(port));
        assert_eq!(private(), [true, true]);
        listeners.offer([any(1)]);
        assert_eq!(private(), [false, true]);
        listeners.offer([any(2)]);
        assert_eq!(private(), [true, false]);
        listeners.retain(&[any(2)]);
        assert_eq!(private(), [false, false], "nobody listens there any more");
    }

    #[test]
    fn only_what_is_left_of_a_dead_process_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let (path, file) = (home.path().join("sock"), home.path().join("file"));
        bowline_base::atomic::write_private(&file, b"not a socket").unwrap();
        let live = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(!is_dead_socket(&path) && !is_dead_socket(&file) && !is_dead_socket(&home.path().join("nothing")));
        assert!(remove_dead_socket(&path).is_err() && remove_dead_socket(&file).is_err());
        drop(live);
        let starting = lock_beside(&path).unwrap();
        assert!(is_dead_socket(&path) && remove_dead_socket(&path).is_err(), "somebody is about to listen there");
        drop(starting);
        remove_dead_socket(&path).unwrap();
        assert!(!path.exists() && file.exists());
    }
}
