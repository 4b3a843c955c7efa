//! Starting the tunnel, and what can be asked of it while it runs.
//!
//! The packet path is one thread that waits for readiness; a command is put into its channel and it is woken. It answers
//! between two rounds of packets, so that a call returns within milliseconds.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use bowline_host::memory;
use mio::{Poll, Waker};

use crate::{
    Config, Peer, PublicKey, Stats,
    path::{Path, WAKE},
    peers::AddressTaken,
    wire::Wire,
};

/// How long a call waits for the packet path. It answers in milliseconds; a second means that something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the packet path is asked. Each has a channel for the answer.
pub(crate) enum Command {
    Add(Box<Peer>, Sender<Result<(), AddressTaken>>),
    Remove(PublicKey, Sender<bool>),
    Recount(PublicKey, u64, Sender<bool>),
    Replace(Vec<Peer>, Sender<Result<(), AddressTaken>>),
    Stats(Sender<Stats>),
    Stop,
}

/// The entrance: [`Tunnel::start`].
#[derive(Clone, Copy, Debug)]
pub struct Tunnel;

impl Tunnel {
    /// Binds the sockets and starts the packet path. Nothing is bound when it fails.
    ///
    /// # Errors
    /// [`StartError`]: an address that cannot be had, a configuration that cannot work.
    pub fn start(config: Config, peers: Vec<Peer>) -> Result<Handle, StartError> {
        check(&config)?;
        // Every flow has two large buffers, most of which it never touches.
        memory::large_blocks_from_the_system();
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let wire = Wire::bind(&config.listen, poll.registry())?;
        let listening = wire.addresses().to_vec();
        listening.iter().for_each(|address| config.egress.shut(address.port()));
        let mut path = Path::new(config, wire, poll)?;
        path.replace(peers)?;
        let (commands, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("tunnel".into()).spawn(move || path.run(&inbox))?;
        Ok(Handle { commands, waker, listening, thread: Some(thread) })
    }
}

/// A running tunnel. Dropped, it stops.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    listening: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Where clients reach it, with the ports that were given out for 0.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Lets a peer in from now on. One that is known already gets the new addresses, limits and keepalive; its
    /// session and its flows go on, unless its preshared key has changed.
    ///
    /// # Errors
    /// [`ChangeError::Taken`] if another peer has one of its addresses: then nothing has changed.
    pub fn add(&self, peer: Peer) -> Result<(), ChangeError> {
        Ok(self.ask(|answer| Command::Add(Box::new(peer), answer))??)
    }

    /// Shuts a peer out: its session, its flows and its mappings end at once. `false` if it was not known.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn remove(&self, peer: PublicKey) -> Result<bool, Stopped> {
        self.ask(|answer| Command::Remove(peer, answer))
    }

    /// Counts what a peer has used on from `used`, whatever it was before. `false` if it is not known.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn recount(&self, peer: PublicKey, used: u64) -> Result<bool, Stopped> {
        self.ask(|answer| Command::Recount(peer, used, answer))
    }

    /// Makes `peers` the only ones: adds, changes and removes as needed; who stays is not disturbed.
    ///
    /// # Errors
    /// [`ChangeError::Taken`] if two of them claim one address: then nothing has changed.
    pub fn replace(&self, peers: Vec<Peer>) -> Result<(), ChangeError> {
        Ok(self.ask(|answer| Command::Replace(peers, answer))??)
    }

    /// A snapshot of everything.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn stats(&self) -> Result<Stats, Stopped> {
        self.ask(Command::Stats)
    }

    /// Whether the packet path still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends every flow and the thread, and waits for it.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, Stopped> {
        let (answer, answered): (Sender<T>, Receiver<T>) = mpsc::channel();
        self.commands.send(command(answer)).map_err(|_| Stopped)?;
        self.waker.wake().map_err(|_| Stopped)?;
        answered.recv_timeout(PATIENCE).map_err(|_| Stopped)
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let told = self.commands.send(Command::Stop).is_ok() && self.waker.wake().is_ok();
        if told && thread.join().is_err() {
            tracing::error!("the packet path ended in a panic");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listening address could not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A configuration that cannot work.
    #[error("{0}")]
    Config(String),
    /// Two peers with one address.
    #[error(transparent)]
    Taken(#[from] AddressTaken),
    /// The system refused what the packet path needs.
    #[error("cannot start the packet path")]
    System(#[from] io::Error),
}

/// Why a peer was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another peer has one of its addresses.
    #[error(transparent)]
    Taken(#[from] AddressTaken),
    /// The packet path has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The packet path has ended, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel has stopped")]
pub struct Stopped;

fn check(config: &Config) -> Result<(), StartError> {
    if config.listen.is_empty() {
        return Err(StartError::Config("the tunnel listens nowhere: give it an address like 0.0.0.0:51820".into()));
    }
    if !(1280..=9000).contains(&config.mtu) {
        return Err(StartError::Config(format!("an MTU of {} does not work: 1280 to 9000 do", config.mtu)));
    }
    Ok(())
}
