//! Datagrams for one peer, sealed one behind the other, so that one system call sends them all.
//!
//! The system cuts what it is given into equal pieces, of which the last may be shorter. So a shorter datagram seals the
//! batch, a longer one or another peer's begins the next; the order of packets never changes.

use crate::wire::Endpoint;

/// A UDP datagram, headers of the largest kind included, cannot be longer.
const MOST: usize = 65_000;

/// Room behind the last datagram that a handshake message may need.
const SLACK: usize = 256;

/// One batch in the making.
pub(crate) struct Batch {
    buffer: Vec<u8>,
    len: usize,
    to: Option<Endpoint>,
    segment: usize,
    count: usize,
    sealed: bool,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; MOST + SLACK], len: 0, to: None, segment: 0, count: 0, sealed: false }
    }

    /// Whether a datagram of `size` bytes for `to` may follow what is there, `most` being the limit of datagrams.
    pub(crate) fn takes(&self, to: Endpoint, size: usize, most: usize) -> bool {
        let fits = self.len + size <= MOST;
        fits && (self.count == 0 || (self.to == Some(to) && !self.sealed && size <= self.segment && self.count < most))
    }

    /// Where the next datagram is written to.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.len..]
    }

    /// Counts what was written to [`Batch::room`] as a datagram for `to`.
    pub(crate) fn push(&mut self, to: Endpoint, size: usize) {
        if self.count == 0 {
            (self.to, self.segment) = (Some(to), size);
        }
        self.sealed = size < self.segment;
        self.count += 1;
        self.len += size;
    }

    /// What there is to send, with the size of its pieces; the batch is empty afterwards.
    pub(crate) fn take(&mut self) -> Option<(Endpoint, &[u8], usize)> {
        let to = self.to.take()?;
        let (len, segment) = (self.len, self.segment);
        (self.len, self.count, self.sealed) = (0, 0, false);
        Some((to, &self.buffer[..len], segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint { remote: ([192, 0, 2, 1], port).into(), local: None, socket: 0 }
    }

    fn put(batch: &mut Batch, port: u16, size: usize) -> bool {
        let takes = batch.takes(endpoint(port), size, 64);
        if takes {
            batch.room()[..size].fill(1);
            batch.push(endpoint(port), size);
        }
        takes
    }

    #[test]
    fn equal_datagrams_for_one_peer_go_together_and_a_shorter_one_seals() {
        let mut batch = Batch::new();
        assert!(put(&mut batch, 1, 1452) && put(&mut batch, 1, 1452) && put(&mut batch, 1, 92));
        assert!(!put(&mut batch, 1, 92), "sealed");
        let (to, contents, segment) = batch.take().unwrap();
        assert_eq!((to, contents.len(), segment), (endpoint(1), 2 * 1452 + 92, 1452));
        assert!(batch.take().is_none());
        assert!(put(&mut batch, 2, 92) && !put(&mut batch, 2, 1452) && !put(&mut batch, 3, 92));
    }

    #[test]
    fn no_more_than_the_system_takes() {
        let mut batch = Batch::new();
        assert_eq!((0..100).filter(|_| put(&mut batch, 1, 92)).count(), 64);
        batch.take();
        assert_eq!((0..100).filter(|_| put(&mut batch, 1, 1452)).count(), MOST / 1452);
    }
}
