//! A home directory, a fake cloud behind a wire without sockets, and time that can be moved.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bowline_aws::Endpoints;
use bowline_awsfiles::{Config, Extra, Locations, Registration, SsoCache, SsoKey, SsoToken};
use bowline_base::{
    BoxFuture, Credentials, Fault, Now,
    wire::{Body, Limits, Wire, WireError},
};
use bowline_credentials::{Setup, Sources, once};
use bowline_fakeaws::{Cloud, Ending, Settings};
use bowline_host::{Tasks, clock};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};

pub(crate) const CONFIG: &str = "\
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access

[profile build]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = build
region = eu-central-1

[profile deploy]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = build

[profile audit]
role_arn = arn:aws:iam::111122223333:role/audit
source_profile = build
";

type Hook = Box<dyn Fn(&Request<Bytes>) + Send + Sync>;
type Event = Box<dyn FnOnce() + Send>;

/// The cloud, called as a function at the moment that the test says it is.
pub(crate) struct CloudWire {
    cloud: Arc<Cloud>,
    ahead: AtomicU64,
    away: AtomicBool,
    nap: AtomicU64,
    before: Mutex<Option<Hook>>,
    meanwhile: Mutex<Option<Event>>,
}

impl CloudWire {
    pub(crate) fn advance(&self, time: Duration) {
        self.ahead.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Body>, WireError> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        if self.away.load(Ordering::Relaxed) {
            return Err(WireError::Connect { host, cause: "away".into() });
        }
        if let Some(hook) = &*self.before.lock().unwrap() {
            hook(&request);
        }
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, host.parse().unwrap());
        }
        tokio::task::yield_now().await;
        let reply = self.cloud.handle(self.now(), request);
        self.ahead.fetch_add(self.nap.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        // Long enough that calls which could meet do meet.
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.cloud.finished(&reply.pass);
        match reply.ending {
            Ending::Whole => {
                Ok(reply.response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync()))
            }
            Ending::Hang | Ending::Stall(_) => Err(WireError::TimedOut { host, limit: Duration::from_secs(10) }),
            Ending::Reset | Ending::Truncate(_) => Err(WireError::Broken { host, cause: "reset".into() }),
        }
    }
}

impl Wire for CloudWire {
    fn now(&self) -> Now {
        clock::now().after(Duration::from_millis(self.ahead.load(Ordering::Relaxed)))
    }

    fn entropy(&self) -> u64 {
        0
    }

    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        Box::pin(self.exchange(request))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        let deadline = self.now().boot + time;
        let event = self.meanwhile.lock().unwrap().take();
        if let Some(happens) = event {
            happens();
        }
        Box::pin(async move {
            while self.now().boot < deadline {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }
}

pub(crate) struct World {
    pub(crate) home: tempfile::TempDir,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) wire: Arc<CloudWire>,
    pub(crate) tasks: Tasks,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_config(settings, CONFIG)
    }

    pub(crate) fn with_config(settings: Settings, config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let cloud = Arc::new(Cloud::new(settings, clock::now()));
        let wire = Arc::new(CloudWire {
            cloud: Arc::clone(&cloud),
            ahead: AtomicU64::new(0),
            away: AtomicBool::new(false),
            nap: AtomicU64::new(0),
            before: Mutex::default(),
            meanwhile: Mutex::default(),
        });
        let world = Self { home, cloud, wire, tasks: Tasks::new() };
        fs::create_dir(world.home.path().join(".aws")).unwrap();
        world.write_config(config);
        world
    }

    pub(crate) fn write_config(&self, config: &str) {
        bowline_base::atomic::write(&self.locations().config, config.as_bytes(), 0o644).unwrap();
    }

    pub(crate) fn locations(&self) -> Locations {
        let aws = self.home.path().join(".aws");
        Locations { config: aws.join("config"), credentials: aws.join("credentials"), sso_cache: aws.join("sso/cache") }
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup {
            home: self.home.path().to_path_buf(),
            locations: self.locations(),
            identities: Vec::new(),
            endpoints: Endpoints::everything_at("http://127.0.0.1:4566").unwrap(),
            token_window: bowline_credentials::renewal::TOKEN_WINDOW,
            lease_directory: self.home.path().join("run/leases"),
            vault: bowline_credentials::vault::VaultSetup::in_home(self.home.path()),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        }
    }

    /// As another process would have them: nothing in memory is shared.
    pub(crate) fn sources(&self) -> Sources {
        Sources::new(Arc::clone(&self.wire) as Arc<dyn Wire>, self.tasks.clone(), self.setup())
    }

    /// `bowline creds PROFILE` without a daemon.
    pub(crate) async fn creds(&self, profile: &str) -> Result<Credentials, Fault> {
        let sources = self.sources();
        let resolved = sources.resolve(profile)?;
        once::credentials(&sources, &resolved).await
    }

    /// Somebody signs in with the AWS CLI.
    pub(crate) fn sign_in(&self) {
        self.sign_in_to(&corp());
    }

    pub(crate) fn sign_in_to(&self, session: &SsoKey) {
        let tokens = self.cloud.sign_in(self.wire.now());
        let token = SsoToken {
            start_url: Some("https://corp.awsapps.com/start".to_owned()),
            region: Some("us-east-1".to_owned()),
            access_token: tokens.access_token,
            expires_at: tokens.expires_at,
            refresh_token: tokens.refresh_token,
            registration: Some(Registration {
                client_id: tokens.client_id,
                client_secret: tokens.client_secret,
                expires_at: tokens.registration_expires_at,
                scopes: Vec::new(),
                grant_types: Vec::new(),
            }),
            obtained_at: None,
            extra: Extra::default(),
        };
        self.cache().store_token(session, &token).unwrap();
    }

    pub(crate) fn cache(&self) -> SsoCache {
        SsoCache::new(self.locations().sso_cache)
    }

    pub(crate) fn token(&self) -> SsoToken {
        self.cache().token(&corp()).unwrap().unwrap()
    }

    pub(crate) fn token_path(&self) -> PathBuf {
        self.cache().token_path(&corp())
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.wire.advance(time);
    }

    /// The machine sleeps for `time` while the next answer is on its way.
    pub(crate) fn sleep_over_the_next_answer(&self, time: Duration) {
        self.wire.nap.store(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn away(&self, away: bool) {
        self.wire.away.store(away, Ordering::Relaxed);
    }

    /// Called before each request reaches the cloud.
    pub(crate) fn before(&self, hook: impl Fn(&Request<Bytes>) + Send + Sync + 'static) {
        *self.wire.before.lock().unwrap() = Some(Box::new(hook));
    }

    /// Happens as soon as somebody waits for time to pass.
    pub(crate) fn meanwhile(&self, event: impl FnOnce() + Send + 'static) {
        *self.wire.meanwhile.lock().unwrap() = Some(Box::new(event));
    }

    /// Calls so far whose name begins with `prefix`.
    pub(crate) fn calls(&self, prefix: &str) -> u64 {
        self.cloud.counts().sum(prefix)
    }

    pub(crate) fn profiles(&self) -> usize {
        Config::load(&self.locations()).unwrap().profiles().count()
    }
}

pub(crate) fn corp() -> SsoKey {
    SsoKey::Session("corp".to_owned())
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}
