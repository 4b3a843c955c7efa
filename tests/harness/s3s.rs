//! s3s-fs: an S3 server that somebody else wrote, over a directory. It verifies SigV4 and the age of signatures.

use std::{net::SocketAddr, path::Path};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, runtime::Runtime};

/// A running server; it ends with its runtime.
pub(crate) struct S3sFs {
    pub(crate) address: SocketAddr,
}

impl S3sFs {
    /// Serves the folders below `root` as buckets to one key pair.
    pub(crate) fn start(runtime: &Runtime, root: &Path, key_id: &str, secret: &str) -> Self {
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
        builder.set_auth(SimpleAuth::from_single(key_id, secret));
        let service = builder.build();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let handle = runtime.handle().clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let exchange = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                // A connection that its client breaks off is the client's choice.
                handle.spawn(async move { exchange.await.ok() });
            }
        });
        Self { address }
    }
}
