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
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

    use super::*;
    use crate::{Address, Listener, ServerLimits, Tasks, server, tls_server::ServerTls};

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
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        begin(&tasks, listener, headers, fails);
        let read = answer(stream).await;
        tasks.begin_shutdown();
        read
    }

    fn begin(tasks: &Tasks, listener: Listener, headers: &'static [(&'static str, &'static str)], fails: bool) {
        server::serve(tasks, "test", listener.into(), ServerLimits::default(), move |_, _| async move {
            let mut pieces = vec![None, Some(Ok(Bytes::from_static(b"hello")))];
            if fails {
                pieces.insert(0, Some(Err(io::ErrorKind::BrokenPipe.into())));
            }
            let response = headers.iter().fold(Response::builder(), |made, (name, value)| made.header(*name, *value));
            response.body(Half { pieces }).unwrap()
        });
    }

    /// What comes until the connection ends, and how it does.
    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> (String, io::Result<usize>) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let end = loop {
            match stream.read_buf(&mut got).await {
                Ok(more) if more > 0 => {}
                end => break end,
            }
        };
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
    async fn so_does_one_over_tls() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        let (certificate, key) = (files.path().join("c.pem"), files.path().join("k.pem"));
        bowline_base::atomic::write_private(&certificate, made.cert.pem().as_ref()).unwrap();
        bowline_base::atomic::write_private(&key, made.signing_key.serialize_pem().as_ref()).unwrap();
        let plain = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap();
        let address = plain.local_addr().unwrap();
        let tls = ServerTls::load(&certificate, &key).unwrap();
        let tasks = Tasks::new();
        begin(&tasks, Listener::Tls(plain.into(), tls), &[("content-length", "10")], true);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = rustls::crypto::ring::default_provider().into();
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let (got, end) = answer(stream).await;
        tasks.begin_shutdown();
        assert!(got.starts_with("HTTP/1.1 200 OK") && got.contains("hello"), "{got}");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_whole_one_ends_in_order() {
        let (got, end) = read(&[("content-length", "5"), ("connection", "close")], false).await;
        assert!(got.ends_with("\r\n\r\nhello"), "{got}");
        assert_eq!(end.unwrap(), 0);
    }
}
