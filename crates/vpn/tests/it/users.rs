//! Users of a test, and names that lead where the test wants.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bowline_base::BoxFuture;
use bowline_vpn::connect::{Account, Offer, Refused, Resolver, Users};

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

/// A page of the book.
struct Page {
    book: Arc<Book>,
    user: String,
}

/// What the proxy is given: the book, for as many pages as there are users.
pub(crate) struct Reader(pub(crate) Arc<Book>);

impl Users for Reader {
    fn admit(&self, offer: &Offer, _: IpAddr) -> Result<Arc<dyn Account>, Refused> {
        let user = offer.key.expose().strip_prefix("key-of-").ok_or(Refused::Unknown)?;
        if offer.name.as_ref().is_some_and(|name| name != user) {
            return Err(Refused::Unknown);
        }
        let page = Page { book: Arc::clone(&self.0), user: user.to_owned() };
        page.ended().map_or_else(|| Ok(Arc::new(page) as Arc<dyn Account>), |why| Err(Refused::Ended(why)))
    }
}

impl Account for Page {
    fn user(&self) -> &str {
        &self.user
    }

    fn ended(&self) -> Option<String> {
        self.book.gone().contains(&self.user).then(|| "deleted".to_owned())
    }

    fn used(&self, up: u64, down: u64) {
        let mut used = self.book.used.lock().unwrap();
        let bytes = used.entry(self.user.clone()).or_default();
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
