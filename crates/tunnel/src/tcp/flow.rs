//! One connection: dialled first, answered when the world has answered, then relayed until both sides have closed.
//!
//! Bytes are read from the world only when the user's window has room for them, and the user's window opens only as
//! the world takes its bytes: the slower side sets the pace for the other.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use mio::{event::Event, net::TcpStream};
use socket2::SockRef;

use super::{Phase, Tcp};
use crate::{link::Emit, peers::PeerId};

/// Bytes that one turn may move to the user, before other flows have theirs.
const TURN: usize = 256 << 10;

/// What a flow is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) peer: PeerId,
    pub(crate) user: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// How far it is.
pub(super) enum Stage {
    /// The world has not answered; the user's SYN waits here.
    Dialling { syn: Vec<u8>, deadline: Duration },
    /// Both are there.
    Relaying(Box<dyn Tcp>),
}

/// One connection.
pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) stage: Stage,
    pub(super) stream: TcpStream,
    pub(super) last_used: Duration,
    /// The earliest entry that the timer wheel holds.
    pub(super) wake: Option<Duration>,
    /// Whether it is on the list of flows to be looked at.
    pub(super) touched: bool,
    readable: bool,
    writable: bool,
    /// The system has said that the world's end is in sight: it says so once, so that reading goes on until it is seen.
    ending: bool,
    /// The world has closed its side.
    world_finished: bool,
    /// We have told the world that the user has closed its side.
    told_world: bool,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Wait for the next event.
    Wait,
    /// There was more to do than one turn does.
    Again,
}

impl Flow {
    pub(super) fn dialling(key: Key, stream: TcpStream, syn: Vec<u8>, deadline: Duration) -> Self {
        Self {
            key,
            stage: Stage::Dialling { syn, deadline },
            stream,
            last_used: Duration::ZERO,
            wake: None,
            touched: false,
            readable: true,
            writable: true,
            ending: false,
            world_finished: false,
            told_world: false,
        }
    }

    /// Notes what the system says about the socket.
    pub(super) fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_error();
        self.writable |= event.is_writable() || event.is_error();
        self.ending |= event.is_read_closed() || event.is_error();
    }

    /// Whether the dial has come through; an error if it has failed.
    pub(super) fn dialled(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves bytes both ways and sends what the user may get.
    pub(super) fn turn(&mut self, now: Duration, out: &mut dyn Emit) -> Turn {
        let Stage::Relaying(tcp) = &mut self.stage else { return Turn::Wait };
        if matches!(tcp.phase(), Phase::Opening | Phase::Reset | Phase::Over) {
            tcp.transmit(now, out);
            return Turn::Wait;
        }
        let moved = self.upload().and_then(|()| self.download());
        let Stage::Relaying(tcp) = &mut self.stage else { return Turn::Wait };
        if moved.is_err() {
            tcp.abort();
        }
        tcp.transmit(now, out);
        moved.unwrap_or(Turn::Wait)
    }

    /// The user broke it off, or is shut out: the world is told by a reset.
    pub(super) fn reset_world(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// From the user to the world.
    fn upload(&mut self) -> io::Result<()> {
        let Stage::Relaying(tcp) = &mut self.stage else { return Ok(()) };
        while self.writable {
            let bytes = tcp.received();
            if bytes.is_empty() {
                break;
            }
            match self.stream.write(bytes) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    tcp.consume(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let finished = matches!(tcp.phase(), Phase::UserFinished | Phase::TimeWait { .. });
        if finished && !self.told_world {
            self.told_world = true;
            // Fails only if the world has gone already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// From the world to the user.
    fn download(&mut self) -> io::Result<Turn> {
        let mut moved = 0;
        while self.readable && !self.world_finished {
            if moved >= TURN {
                return Ok(Turn::Again);
            }
            match self.read_once()? {
                0 => break,
                count => moved += count,
            }
        }
        Ok(Turn::Wait)
    }

    /// How many bytes one call brought.
    fn read_once(&mut self) -> io::Result<usize> {
        let Stage::Relaying(tcp) = &mut self.stage else { return Ok(0) };
        if tcp.room() == 0 {
            return Ok(0);
        }
        let (stream, mut result, mut asked) = (&mut self.stream, Ok(0), 0);
        tcp.fill(&mut |room| {
            asked = room.len();
            result = stream.read(room);
            *result.as_ref().unwrap_or(&0)
        });
        match result {
            Ok(0) if asked > 0 => {
                self.world_finished = true;
                tcp.finish();
                Ok(0)
            }
            Ok(count) => {
                self.readable = count == asked || self.ending;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}
