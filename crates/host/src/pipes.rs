//! Pipes of the kernel, each lent for as long as bytes are in it: a tunnel at rest holds none.
//!
//! The larger a pipe, the less a gigabyte costs, and the more of what the kernel grants a user it takes. So there are a few
//! large ones; who comes while all are lent gets one of the usual size.

use std::{
    io,
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use crate::sys::Pipe;

/// Beyond 64 MiB of pipes the kernel gives a user without rights 8 KiB with each; half of that is ours.
const LARGE_ONES: usize = 32;
const LARGE: usize = 1 << 20;

/// The pipes of one server.
#[derive(Default)]
pub(crate) struct Pipes(Mutex<Large>);

/// Of the large pipes.
#[derive(Default)]
struct Large {
    idle: Vec<Pipe>,
    lent: usize,
}

/// A pipe that is somebody's until what he filled into it is drained.
pub(crate) struct Lent<'a> {
    /// There until it is dropped.
    pipe: Option<Pipe>,
    is_large: bool,
    left: usize,
    pipes: &'a Pipes,
}

impl Pipes {
    /// # Errors
    /// No descriptors are left, or this system has no such pipes.
    pub(crate) fn lend(&self) -> io::Result<Lent<'_>> {
        let mut large = self.large();
        let is_large = large.lent < LARGE_ONES;
        let pipe = match large.idle.pop() {
            Some(pipe) => pipe,
            None if is_large => Pipe::new(Some(LARGE))?,
            None => Pipe::new(None)?,
        };
        large.lent += usize::from(is_large);
        Ok(Lent { pipe: Some(pipe), is_large, left: 0, pipes: self })
    }

    fn large(&self) -> std::sync::MutexGuard<'_, Large> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent<'_> {
    /// What is still in it.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Takes what `from` has into the empty pipe. 0 is its end.
    ///
    /// # Errors
    /// `WouldBlock`: it has nothing. `Unsupported`: not from this descriptor.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        self.left = self.pipe()?.fill(from, LARGE)?;
        Ok(self.left)
    }

    /// Gives what `to` takes.
    ///
    /// # Errors
    /// `WouldBlock`: it takes nothing now.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let given = self.pipe()?.drain(to, self.left)?;
        self.left -= given;
        Ok(given)
    }

    fn pipe(&self) -> io::Result<&Pipe> {
        self.pipe.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.is_large {
            return;
        }
        let mut large = self.pipes.large();
        large.lent -= 1;
        // One with bytes of a broken tunnel in it is nobody's any more.
        if self.left == 0 {
            large.idle.extend(self.pipe.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    fn idle_and_lent(pipes: &Pipes) -> (usize, usize) {
        let large = pipes.large();
        (large.idle.len(), large.lent)
    }

    #[test]
    fn a_drained_pipe_is_lent_again_and_one_with_bytes_of_another_never() {
        let (pipes, (mut ours, theirs)) = (Pipes::default(), pair());
        ours.write_all(b"secret").unwrap();
        let mut lent = pipes.lend().unwrap();
        assert_eq!((lent.fill(&theirs).unwrap(), lent.left()), (6, 6));
        drop(lent);
        assert_eq!(idle_and_lent(&pipes), (0, 0));
        ours.write_all(b"mine").unwrap();
        let mut lent = pipes.lend().unwrap();
        lent.fill(&theirs).unwrap();
        assert_eq!((lent.drain(&theirs).unwrap(), lent.left()), (4, 0));
        drop(lent);
        assert_eq!(idle_and_lent(&pipes), (1, 0));
        let mut got = [0; 4];
        ours.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"mine");
    }

    #[test]
    fn when_the_large_ones_are_lent_there_are_others_and_they_are_not_kept() {
        let pipes = Pipes::default();
        let all: Vec<_> = (0..LARGE_ONES + 3).map(|_| pipes.lend().unwrap()).collect();
        assert_eq!(all.iter().filter(|lent| lent.is_large).count(), LARGE_ONES);
        drop(all);
        assert_eq!(idle_and_lent(&pipes), (LARGE_ONES, 0));
    }
}
