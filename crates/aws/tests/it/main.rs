//! Every call through `host`'s real client against the fake AWS.

#![allow(clippy::unwrap_used, reason = "a test binary: a failure here is the test's")]

mod ec2;
mod iam;
mod s3;
mod ssm;
mod sso;
mod sts;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bowline_aws::{Aws, Endpoints, Patience, Region};
use bowline_base::{
    BoxFuture, Credentials, FixedIdentity, Identity, KeyId, Unavailable,
    wire::{Limits, Wire},
};
use bowline_fakeaws::{Cloud, FakeAws, Scenario, Settings};
use bowline_host::{HttpWire, client::Outside};

/// A fake AWS and the way to it.
pub(crate) struct World {
    pub(crate) fake: FakeAws,
    pub(crate) scenario: Scenario,
    pub(crate) aws: Aws,
    pub(crate) region: Region,
    wire: Arc<HttpWire>,
}

impl World {
    pub(crate) async fn new(settings: Settings) -> Self {
        let fake = FakeAws::start(settings.clone()).await.unwrap();
        let scenario = Scenario::furnish(fake.cloud(), &settings);
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let endpoints = Endpoints::everything_at(&fake.endpoint()).unwrap();
        let short = Limits { head: Duration::from_millis(300), idle: Duration::from_millis(300) };
        let patience = Patience { limits: short, total: Duration::from_secs(4) };
        let aws = Aws::new(Arc::<HttpWire>::clone(&wire), endpoints).patience(patience);
        let region = Region::parse(&scenario.region).unwrap();
        Self { fake, scenario, aws, region, wire }
    }

    pub(crate) fn cloud(&self) -> &Arc<Cloud> {
        self.fake.cloud()
    }

    pub(crate) fn calls(&self, prefix: &str) -> u64 {
        self.cloud().counts().sum(prefix)
    }

    pub(crate) fn user(&self) -> FixedIdentity {
        FixedIdentity::new(self.scenario.user.clone())
    }

    /// A role session that is replaced by another when AWS refuses it.
    pub(crate) fn session(&self) -> Session {
        let mint = {
            let (cloud, wire, role) = (Arc::clone(self.cloud()), Arc::clone(&self.wire), self.scenario.role.clone());
            move || Arc::new(cloud.add_session(wire.now(), &role, Duration::from_secs(3600)))
        };
        Session { held: Mutex::new(mint()), mint: Box::new(mint) }
    }

    pub(crate) fn expire_keys(&self) {
        self.cloud().expire_keys(self.wire.now());
    }
}

pub(crate) struct Session {
    held: Mutex<Arc<Credentials>>,
    mint: Box<dyn Fn() -> Arc<Credentials> + Send + Sync>,
}

impl Identity for Session {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.held.lock().unwrap()))
    }

    fn renew<'a>(&'a self, rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        let mut held = self.held.lock().unwrap();
        if held.key_id == *rejected {
            *held = (self.mint)();
        }
        let fresh = Arc::clone(&held);
        Box::pin(async move { Ok(fresh) })
    }
}
