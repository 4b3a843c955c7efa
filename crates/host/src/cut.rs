//! How a connection ends whose answer broke off: by a reset, so that no client takes what it has for the whole.
//!
//! After an orderly end some clients (Bazel 4 among them) keep a body that is shorter than was announced. It knows no HTTP:
//! when an answer is broken is the server's business.

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::{patience::Patience, sending::Sending};

/// A connection that can be made to end so.
pub(crate) trait Cut {
    /// When it is dropped next, the peer sees a reset; what it was sent and has not got is lost.
    fn cut(&self);
}

impl Cut for TcpStream {
    fn cut(&self) {
        if let Err(error) = self.set_zero_linger() {
            debug!(%error, "a broken answer ends like a whole one");
        }
    }
}

impl Cut for TlsStream<TcpStream> {
    fn cut(&self) {
        self.get_ref().0.cut();
    }
}

/// The system has no reset there; who speaks HTTP over it compares lengths.
impl Cut for UnixStream {
    fn cut(&self) {}
}

impl Cut for Sending {
    fn cut(&self) {
        self.stream().cut();
    }
}

impl<S: Cut> Cut for Patience<S> {
    fn cut(&self) {
        self.stream().cut();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use http::Response;
    use hyper::body::{Body, Frame};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{Address, Listener, ServerLimits, Tasks, server};

    /// Five bytes, and then not the others.
    struct Half {
        pieces: Vec<Option<io::Result<Bytes>>>,
    }

    impl Body for Half {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.pieces.pop() {
                // Once, so that what came before goes out by itself.
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Some(piece)) => Poll::Ready(Some(piece.map(Frame::data))),
                None => Poll::Ready(None),
            }
        }
    }

    /// What a client of a server that answers with these headers and `end` after five bytes reads, and how it ends.
    async fn read(headers: &'static [(&'static str, &'static str)], fails: bool) -> (String, io::Result<usize>) {
        let tasks = Tasks::new();
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap();
        let address = listener.local_addr().unwrap();
        server::serve(&tasks, "test", listener.into(), ServerLimits::default(), move |_, _| async move {
            let mut pieces = vec![None, Some(Ok(Bytes::from_static(b"hello")))];
            if fails {
                pieces.insert(0, Some(Err(io::ErrorKind::BrokenPipe.into())));
            }
            let response = headers.iter().fold(Response::builder(), |made, (name, value)| made.header(*name, *value));
            response.body(Half { pieces }).unwrap()
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let end = loop {
            match stream.read_buf(&mut got).await {
                Ok(more) if more > 0 => {}
                end => break end,
            }
        };
        tasks.begin_shutdown();
        (String::from_utf8(got).unwrap(), end)
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_ends_in_a_reset() {
        for (headers, fails) in
            [(&[("content-length", "10")][..], true), (&[("content-length", "10")], false), (&[], true)]
        {
            let (got, end) = read(headers, fails).await;
            assert!(got.starts_with("HTTP/1.1 200 OK") && got.contains("hello"), "{got}");
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "{headers:?} {fails}");
        }
    }

    #[tokio::test]
    async fn a_whole_one_ends_in_order() {
        let (got, end) = read(&[("content-length", "5"), ("connection", "close")], false).await;
        assert!(got.ends_with("\r\n\r\nhello"), "{got}");
        assert_eq!(end.unwrap(), 0);
    }
}
