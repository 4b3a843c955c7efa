//! Users of a test, and names that lead where the test wants.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
};

use bowline_base::BoxFuture;
use bowline_vpn::connect::{Offer, Refused, Resolver, Users};

/// Each user's key is `key-of-NAME`.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) gone: Mutex<BTreeSet<String>>,
    pub(crate) used: Mutex<BTreeMap<String, (u64, u64)>>,
}

impl Book {
    pub(crate) fn bytes_of(&self, user: &str) -> (u64, u64) {
        self.used.lock().unwrap().get(user).copied().unwrap_or_default()
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.gone.lock().unwrap()
    }
}

impl Users for Book {
    fn admit(&self, offer: &Offer, _: IpAddr) -> Result<String, Refused> {
        let user = offer.key.expose().strip_prefix("key-of-").ok_or(Refused::Unknown)?;
        if offer.name.as_ref().is_some_and(|name| name != user) {
            return Err(Refused::Unknown);
        }
        match self.ended(user) {
            Some(why) => Err(Refused::Ended(why)),
            None => Ok(user.to_owned()),
        }
    }

    fn ended(&self, user: &str) -> Option<String> {
        self.gone().contains(user).then(|| "deleted".to_owned())
    }

    fn used(&self, user: &str, up: u64, down: u64) {
        let mut used = self.used.lock().unwrap();
        let bytes = used.entry(user.to_owned()).or_default();
        *bytes = (bytes.0 + up, bytes.1 + down);
    }
}

/// A hosts file.
pub(crate) struct Names(pub(crate) BTreeMap<&'static str, Vec<IpAddr>>);

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let found = self.0.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(async move { found })
    }
}
