//! A site whose time is virtual: an AWS, somebody's finished login, the broker and the proxy of `bowline run`, which
//! can be started again over the same cache.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bowline_artifacts::{Artifacts, Cache, Config, Origin, Repository};
use bowline_aws::{Aws, Endpoints, Region};
use bowline_awsfiles::{Extra, Locations, Registration, SsoCache, SsoKey, SsoToken};
use bowline_base::{atomic, wire::Wire};
use bowline_credentials::{Broker, Settings, Setup, renewal::TOKEN_WINDOW};
use bowline_fakeaws::{Bucket, Cloud};
use bowline_host::{Address, Ctx, Job as _, Listeners, Tasks, clock, metrics::Metrics};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::virtual_cloud::VirtualCloud;
use crate::harness::{free_address, until};

const REGION: &str = "us-east-1";
const CONFIG: &str = "\
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access

[profile build]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = build
region = us-east-1
";

/// Where this site believes AWS to be; the wire takes everything to the cloud.
const AWS: &str = "http://127.0.0.1:4566";

pub(super) struct Site {
    pub(super) cloud: Arc<Cloud>,
    pub(super) time: Arc<VirtualCloud>,
    pub(super) proxy: SocketAddr,
    runtime: Runtime,
    home: TempDir,
    process: Option<Process>,
}

/// What a restart ends.
struct Process {
    tasks: Tasks,
    _artifacts: Artifacts,
    _broker: Broker,
}

impl Site {
    /// Bucket `debian` shows `repository`, `builds` is empty; profile `build` is signed in for ninety days.
    pub(super) fn new(repository: &Path) -> Self {
        let lifetime = Duration::from_secs(90 * 86_400);
        let settings = bowline_fakeaws::Settings { session_lifetime: lifetime, ..Default::default() };
        let start = clock::now();
        let cloud = Arc::new(Cloud::new(settings, start));
        cloud.add_bucket("debian", Bucket::directory(REGION, repository));
        cloud.add_bucket("builds", Bucket::memory(REGION));
        let time = Arc::new(VirtualCloud::new(Arc::clone(&cloud), start));
        let (home, proxy) = (tempfile::tempdir().unwrap(), free_address());
        let mut site = Self { cloud, time, proxy, runtime: Runtime::new().unwrap(), home, process: None };
        atomic::private_directory(&site.home.path().join(".aws")).unwrap();
        atomic::write_private(&site.locations().config, CONFIG.as_bytes()).unwrap();
        site.sign_in();
        site.start();
        site
    }

    /// The process ends and another begins, with what is on disk.
    pub(super) fn restart(&mut self) {
        let process = self.process.take().unwrap();
        process.tasks.begin_shutdown();
        drop(process);
        self.proxy = free_address();
        self.start();
    }

    /// It is so much later, and who wakes now and then has had the time to.
    pub(super) fn pass(&self, time: Duration) {
        const STEP: Duration = Duration::from_secs(300);
        let end = self.time.elapsed() + time;
        while self.time.elapsed() + STEP < end {
            self.time.advance(STEP);
            crate::harness::pause(Duration::from_millis(5));
        }
        self.time.advance(end.saturating_sub(self.time.elapsed()));
    }

    /// Puts a file into bucket `builds`.
    pub(super) fn deploy(&self, key: &str, text: &str) {
        self.cloud.put_object(self.time.now(), "builds", key, text.to_owned());
    }

    fn start(&mut self) {
        let tasks = Tasks::new();
        let wire: Arc<dyn Wire> = Arc::clone(&self.time) as Arc<dyn Wire>;
        let ctx = Ctx {
            wire: Arc::clone(&wire),
            tasks: tasks.clone(),
            listeners: Listeners::default(),
            metrics: Metrics::default(),
            notifier: Default::default(),
        };
        let aws = Aws::new(wire, Endpoints::everything_at(AWS).unwrap());
        let broker = self.runtime.block_on(Broker::start(&ctx, self.settings())).unwrap();
        let identity = broker.identity("build");
        let artifacts = Artifacts::new(self.config(), &aws, &identity);
        self.runtime.block_on(artifacts.start(&ctx)).unwrap();
        until(Duration::from_secs(10), "there are credentials", || identity.current().is_ok());
        self.process = Some(Process { tasks, _artifacts: artifacts, _broker: broker });
    }

    fn settings(&self) -> Settings {
        let setup = Setup {
            home: self.home.path().to_path_buf(),
            locations: self.locations(),
            identities: Vec::new(),
            endpoints: Endpoints::everything_at(AWS).unwrap(),
            token_window: TOKEN_WINDOW,
            lease_directory: self.home.path().join("run/leases"),
            environment: BTreeMap::new(),
            vault: bowline_credentials::vault::VaultSetup::in_home(self.home.path()),
        };
        Settings {
            setup,
            profiles: vec!["build".to_owned()],
            notice: None,
            socket: None,
            witness: None,
            grants: Default::default(),
        }
    }

    fn config(&self) -> Config {
        let bucket = |path: &str, bucket: &str| Repository {
            path: path.to_owned(),
            from: vec![Origin::S3 {
                bucket: bucket.to_owned(),
                prefix: "/".to_owned(),
                region: Region::parse(REGION).unwrap(),
            }],
        };
        let cache = Cache { path: self.home.path().join("cache"), max_size: 1 << 30, memory: 64 << 20 };
        let repositories = vec![bucket("/debian/", "debian"), bucket("/builds/", "builds")];
        Config { listen: vec![Address::Tcp(self.proxy)], ..Config::new(repositories, cache) }
    }

    fn locations(&self) -> Locations {
        let aws = self.home.path().join(".aws");
        Locations { config: aws.join("config"), credentials: aws.join("credentials"), sso_cache: aws.join("sso/cache") }
    }

    /// The AWS CLI signed in.
    fn sign_in(&self) {
        let tokens = self.cloud.sign_in(self.time.now());
        let token = SsoToken {
            start_url: Some("https://corp.awsapps.com/start".to_owned()),
            region: Some(REGION.to_owned()),
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
        let key = SsoKey::Session("corp".to_owned());
        SsoCache::new(self.locations().sso_cache).store_token(&key, &token).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            process.tasks.begin_shutdown();
        }
    }
}
