//! TCP is ended here: towards the user by a state machine of one flow, towards the world by a socket of the system.
//!
//! [`Tcp`] is all that the rest knows of the state machine, so that another can take its place; [`smol`] is today's.
//! [`flow`] is one connection: dialled first, answered then, relayed until both sides have closed. [`table`] finds the
//! flow of a packet, holds the limits and keeps what has ended in mind for a while.

mod flow;
mod rtt;
mod smol;
mod table;
mod window;

use std::time::Duration;

pub(crate) use self::table::TcpFlows;
use crate::link::Emit;

/// The user's side of one connection. Time is boot time.
pub(crate) trait Tcp: Send {
    /// Takes in a packet of the user's; answers that cannot wait go out at once.
    fn receive(&mut self, now: Duration, packet: &[u8], out: &mut dyn Emit);

    /// Sends everything that may be sent now.
    fn transmit(&mut self, now: Duration, out: &mut dyn Emit);

    /// When [`Tcp::transmit`] has to be called next, if nothing else happens.
    fn next_wake(&mut self, now: Duration) -> Option<Duration>;

    /// Bytes of the user's, in order; not all of them, but none only if there are none.
    fn received(&mut self) -> &[u8];

    /// Takes the first `count` of them away.
    fn consume(&mut self, count: usize);

    /// How many bytes for the user should be brought now; 0 also where so few find room that it is not worth it yet.
    fn room(&self) -> usize;

    /// Has `read` write bytes for the user, and say how many they are.
    fn fill(&mut self, read: &mut dyn FnMut(&mut [u8]) -> usize);

    /// No more bytes for the user will come.
    fn finish(&mut self);

    /// Breaks the connection off; a reset goes out with the next [`Tcp::transmit`].
    fn abort(&mut self);

    /// Segments that were sent again since the last call.
    fn sent_again(&mut self) -> u64;

    /// How long a byte and its acknowledgement took, where that was measured since the last call.
    fn round_trip(&mut self) -> Option<Duration>;

    /// How far the connection is.
    fn phase(&self) -> Phase;
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The user has not yet answered our answer.
    Opening,
    /// Both may send.
    Open,
    /// The user has closed its side, and all that it sent has been taken.
    UserFinished,
    /// Both have closed, we first: late segments are answered for a while.
    TimeWait {
        /// The number of the byte that we would send next.
        sequence: u32,
        /// The number of the byte that we expect next.
        acknowledgement: u32,
    },
    /// Both have closed and nothing is left to say.
    Over,
    /// It was broken off.
    Reset,
}
