//! A server with everything around it: a store, a tunnel that remembers, and plain HTTP from this machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bowline_aws::{Aws, Endpoints, Partition, Region};
use bowline_base::{Credentials, Fault, FixedIdentity, Secret, wire::Wire};
use bowline_fakeaws::{Cloud, FakeAws, Settings};
use bowline_host::{Address, Ctx, HttpWire, Listeners, Notifier, Tasks, client::Outside, metrics::Metrics};
use bowline_tunnel::{Peer, PeerStats, PublicKey, Stats};
use bowline_vpn::server::{
    Config, Server, Tunnel, V6,
    events::Recorder,
    policy::{self, Scope},
    store::{FileStore, ParameterStore, Store},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;

/// A tunnel without packets.
#[derive(Default)]
pub(crate) struct Remembering {
    pub(crate) peers: Mutex<BTreeMap<PublicKey, Peer>>,
    pub(crate) traffic: Mutex<BTreeMap<PublicKey, PeerStats>>,
}

impl Tunnel for Remembering {
    fn add(&self, peer: Peer) -> Result<(), Fault> {
        self.peers.lock().unwrap().insert(peer.public_key, peer);
        Ok(())
    }

    fn remove(&self, peer: PublicKey) -> Result<(), Fault> {
        self.peers.lock().unwrap().remove(&peer);
        Ok(())
    }

    fn recount(&self, peer: PublicKey, used: u64) -> Result<(), Fault> {
        if let Some(peer) = self.peers.lock().unwrap().get_mut(&peer) {
            peer.used = used;
        }
        Ok(())
    }

    fn stats(&self) -> Result<Stats, Fault> {
        Ok(Stats { peers: self.traffic.lock().unwrap().clone(), ..Stats::default() })
    }
}

/// Both kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Ssm,
}

pub(crate) const BOTH: [Kind; 2] = [Kind::File, Kind::Ssm];
pub(crate) const MASTER: &str = "the-master-key-of-this-test";

pub(crate) struct World {
    fake: FakeAws,
    home: tempfile::TempDir,
    aws: Aws,
    keys: Credentials,
    pub(crate) wire: Arc<HttpWire>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let fake = FakeAws::start(Settings::default()).await.unwrap();
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let aws = Aws::new(Arc::<HttpWire>::clone(&wire), Endpoints::everything_at(&fake.endpoint()).unwrap());
        // With what `bowline policy vpn` prints, and nothing more.
        let scope = Scope {
            partition: Partition::Aws,
            region: None,
            account: None,
            prefix: "/ephem-vpn".to_owned(),
            kms_key: None,
        };
        let keys = fake.cloud().add_limited_user("vpn", &[policy::of_store(&scope).json()]).unwrap();
        Self { fake, home: tempfile::tempdir().unwrap(), aws, keys, wire }
    }

    pub(crate) fn cloud(&self) -> &Arc<Cloud> {
        self.fake.cloud()
    }

    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.home.path().join("store")
    }

    /// Another opening of the same store.
    pub(crate) fn store(&self, kind: Kind) -> Arc<dyn Store> {
        match kind {
            Kind::File => Arc::new(FileStore::open(self.directory()).unwrap()),
            Kind::Ssm => {
                let region = Region::parse("us-east-1").unwrap();
                let identity = Arc::new(FixedIdentity::new(self.keys.clone()));
                Arc::new(ParameterStore::new(&self.aws, region, identity, "ephem-vpn/").unwrap())
            }
        }
    }

    pub(crate) async fn serve(&self, kind: Kind) -> Running {
        self.serve_as(kind, Arc::new(|_| Ok(()))).await
    }

    pub(crate) async fn serve_as(&self, kind: Kind, recorder: Recorder) -> Running {
        self.serve_with(kind, config(), recorder).await
    }

    pub(crate) async fn serve_with(&self, kind: Kind, config: Config, recorder: Recorder) -> Running {
        let tunnel = Arc::new(Remembering::default());
        let (ctx, open) = (self.ctx(), Arc::clone(&tunnel));
        let open = Box::new(move |_| Ok(open as Arc<dyn Tunnel>));
        let server = Server::start(&ctx, config, self.store(kind), open, recorder).await.unwrap();
        let (address, wire) = (server.api().unwrap().to_string(), Arc::clone(&self.wire));
        Running { address, server, tunnel, tasks: ctx.tasks, wire }
    }

    pub(crate) fn ctx(&self) -> Ctx {
        Ctx {
            wire: Arc::<HttpWire>::clone(&self.wire),
            tasks: Tasks::new(),
            listeners: Listeners::default(),
            metrics: Metrics::default(),
            notifier: Notifier::default(),
        }
    }
}

pub(crate) fn config() -> Config {
    Config {
        api: Address::Tcp(([127, 0, 0, 1], 0).into()),
        tls: None,
        names: vec!["localhost".to_owned()],
        endpoint: "vpn.example.net:51820".to_owned(),
        public_url: None,
        subnet: bowline_vpn::server::addresses::Subnet::default(),
        v6: Some(V6::default()),
        mtu: 1420,
        dns: true,
        master_key: Some(Secret::new(MASTER)),
        new_master_key: None,
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) tunnel: Arc<Remembering>,
    pub(crate) address: String,
    tasks: Tasks,
    wire: Arc<HttpWire>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }
}

impl Running {
    pub(crate) async fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let mut request = http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let response = self.wire.send(request, bowline_base::wire::Limits::default()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    /// A connection on which `text` was said.
    pub(crate) async fn knock(&self, text: &str) -> tokio::net::TcpStream {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn master(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, MASTER, body).await
    }

    /// Makes a user and gives its key.
    pub(crate) async fn add(&self, name: &str) -> String {
        let made = self.master("POST", "/users", &format!(r#"{{"client_id":"{name}"}}"#)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["api_key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn peers(&self) -> usize {
        self.tunnel.peers.lock().unwrap().len()
    }

    pub(crate) async fn stop(self) {
        self.tasks.shut_down(Duration::from_secs(5)).await;
    }
}

/// Waits for something that comes by itself, for at most 15 s.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = bowline_host::clock::now().boot;
    while !holds().await {
        assert!(bowline_host::clock::now().boot - begun < Duration::from_secs(15), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
