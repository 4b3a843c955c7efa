//! A TCP connection that has the kernel send what stands in a file: bytes of [`Maps`] go out by `sendfile`, and are
//! never touched here. Everything else goes out as ever.
//!
//! hyper hands over an answer's head and the beginning of its body in one vectored write. What stands before a file's
//! bytes leaves as packets of its own. With the promise of more (`MSG_MORE`) both would share the first packet, but where
//! connections are paced (BBR) an answer of 64 KiB then cost three times the CPU: its short last packet waits for a timer.

use std::{
    fs::File,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use crate::{mapped::Maps, sys};

/// Shorter slices are written: looking them up would cost more than copying them.
const WORTH_IT: usize = 4096;

/// The connection.
pub(crate) struct Sending {
    stream: TcpStream,
    maps: Maps,
}

impl Sending {
    pub(crate) fn new(stream: TcpStream, maps: Maps) -> Self {
        Self { stream, maps }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn find(&self, bytes: &[u8]) -> Option<(std::sync::Arc<File>, u64)> {
        if bytes.len() < WORTH_IT { None } else { self.maps.find(bytes) }
    }

    /// Where the system cannot send from this file, `bytes` are read after all.
    fn send_file(&mut self, cx: &mut Context<'_>, file: &File, offset: u64, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.attempt(cx, |stream| sys::send_file(stream, file, offset, bytes.len()))) {
            // Cut off behind our back: the mapping must not be touched either.
            Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                Pin::new(&mut self.stream).poll_write(cx, bytes)
            }
            sent => Poll::Ready(sent),
        }
    }

    fn attempt(
        &self,
        cx: &mut Context<'_>,
        mut act: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || act(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Sending {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.find(bytes) {
            Some((file, offset)) => self.send_file(cx, &file, offset, bytes),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().enumerate().find_map(|(index, slice)| Some((index, self.find(slice)?)));
        match first {
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
            Some((0, (file, offset))) => self.send_file(cx, &file, offset, &slices[0]),
            Some((before, _)) => Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..before]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::patience::Patience;

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(length).collect()
    }

    async fn pair(maps: &Maps) -> (Sending, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Sending::new(listener.accept().await.unwrap().0, maps.clone()), client)
    }

    #[expect(unsafe_code, reason = "nobody else knows the file")]
    fn mapped(maps: &Maps, contents: &[u8]) -> Bytes {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, contents).unwrap();
        // SAFETY: nobody writes to the file from here on.
        unsafe { maps.map(&Arc::new(file), contents.len() as u64) }.unwrap()
    }

    #[tokio::test]
    async fn slices_of_files_and_of_memory_arrive_in_their_order() {
        let maps = Maps::default();
        let contents = noise(3_000_000);
        let file = mapped(&maps, &contents);
        let (mut ours, mut theirs) = pair(&maps).await;
        let head = noise(200);
        let writing = async {
            let slices = [&head[..], &file[100..], &head[..50], &file[..5000], &file[..10]];
            let mut left = slices.map(IoSlice::new);
            let mut left = &mut left[..];
            while !left.is_empty() {
                let sent = ours.write_vectored(left).await.unwrap();
                IoSlice::advance_slices(&mut left, sent);
            }
            ours.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(writing, theirs.read_to_end(&mut got));
        read.unwrap();
        assert!(got == [&head[..], &contents[100..], &head[..50], &contents[..5000], &contents[..10]].concat());
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up_in_the_middle_of_a_file() {
        let maps = Maps::default();
        let file = mapped(&maps, &noise(16_000_000));
        let (ours, _theirs) = pair(&maps).await;
        let mut line = Patience::new(ours, Duration::from_millis(200));
        assert_eq!(line.write_all(&file).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_leaves_is_an_error_and_no_signal() {
        let maps = Maps::default();
        let file = mapped(&maps, &noise(16_000_000));
        let (mut ours, theirs) = pair(&maps).await;
        drop(theirs);
        assert!(ours.write_all(&file).await.is_err());
    }
}
