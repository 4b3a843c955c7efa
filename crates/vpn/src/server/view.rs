//! What everybody who asks sees: the users, the tunnel and the store as of a moment ago. Reading it waits for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bowline_base::{Now, Secret, Timestamp};
use bowline_tunnel::{PeerStats, Stats};
use tracing::warn;

use super::{
    ClientId, KeyHash, User,
    bad_logins::BadLogins,
    directory::Directory,
    events::{Event, Events, Recorder, What},
    usage::Usage,
    user::Idle,
};

/// One moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Everybody.
    pub directory: Arc<Directory>,
    /// Who is not let in, and why.
    pub idle: Arc<BTreeMap<ClientId, Idle>>,
    /// The tunnel.
    pub stats: Arc<Stats>,
    /// Bytes that the store does not know of yet.
    pub untold: Arc<BTreeMap<ClientId, Usage>>,
    /// Who shook hands in the last three minutes.
    pub connected: Arc<BTreeSet<ClientId>>,
    /// Why the store does not answer, while it does not.
    pub store_away: Option<String>,
    /// Why the tunnel does not answer, if it does not.
    pub tunnel_away: Option<String>,
}

impl View {
    /// What a user has used in all.
    #[must_use]
    pub fn usage(&self, id: &ClientId) -> Usage {
        self.directory.usage(id).plus(self.untold.get(id).copied().unwrap_or_default())
    }

    /// A user's peer, where it is let in.
    #[must_use]
    pub fn peer(&self, user: &User) -> Option<&PeerStats> {
        self.stats.peers.get(&user.wireguard.public_key)
    }
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody's key.
    Unknown,
    /// A user's whose time is over.
    Expired,
    /// A user's who is turned off.
    Disabled,
}

/// The shared view, and what must be told to whoever keeps the books. Clones are the same.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    view: Mutex<Arc<View>>,
    events: Mutex<Events>,
    recorder: Recorder,
    /// Where clients find the CONNECT proxy, once there is one.
    proxy: OnceLock<String>,
    /// What went another way than through the tunnel, until it is counted.
    elsewhere: Mutex<BTreeMap<ClientId, Usage>>,
    bad_logins: Mutex<BadLogins>,
}

impl Board {
    /// A board with nothing on it.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self(Arc::new(Inner {
            view: Mutex::default(),
            events: Mutex::default(),
            recorder,
            proxy: OnceLock::new(),
            elsewhere: Mutex::default(),
            bad_logins: Mutex::default(),
        }))
    }

    /// The latest view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, view: View) {
        *self.0.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Writes an event down, in the lasting log first.
    ///
    /// # Errors
    /// The lasting log wants that nothing happens unseen, and cannot be written.
    pub fn note(&self, event: Event) -> Result<(), bowline_base::Fault> {
        let recorded = (self.0.recorder)(&event);
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).add(event);
        recorded
    }

    /// Events after number `after`.
    #[must_use]
    pub fn events(&self, after: u64) -> Vec<serde_json::Value> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).after(after)
    }

    /// Whose key it is, if it opens anything now.
    ///
    /// # Errors
    /// [`Denied`], with the user where it is one.
    pub fn admit(&self, key: &Secret, now: Timestamp) -> Result<Arc<User>, Denied> {
        let view = self.view();
        let user = view.directory.of_key(&KeyHash::of(key)).ok_or(Denied::Unknown)?;
        if user.disabled {
            return Err(Denied::Disabled);
        }
        if user.expires_at.is_some_and(|end| end <= now) {
            return Err(Denied::Expired);
        }
        Ok(Arc::clone(user))
    }

    /// A wrong key, at whichever door: counted, and told now and then. How long whoever is there has to wait, if at all.
    pub(crate) fn wrong_key(&self, from: IpAddr, now: Now) -> Option<Duration> {
        let verdict = self.0.bad_logins.lock().unwrap_or_else(PoisonError::into_inner).note(from, now.boot);
        if let Some(count) = verdict.tell {
            warn!(address = %from, count, "wrong keys were refused");
            self.note(Event::new(now.wall, What::Refused).from(Some(from)).because(format!("wrong keys: {count}")))
                .ok();
        }
        verdict.wait
    }

    /// Whether a user may go on sending now: it is there, with this key still, and nothing stops it. A proxy asks this
    /// for as long as a connection lives.
    #[must_use]
    pub fn may_go_on(&self, user: &User) -> bool {
        let view = self.view();
        let same = view.directory.user(&user.id).is_some_and(|now| now.key == user.key);
        same && !view.idle.contains_key(&user.id)
    }

    /// Where clients find the CONNECT proxy: `vpn.example.net:3128`. `None` while there is none.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.get().map(String::as_str)
    }

    /// Clients are told of a proxy, once.
    pub(crate) fn tell_of_proxy(&self, endpoint: String) {
        self.0.proxy.set(endpoint).ok();
    }

    /// Counts bytes that went another way than through the tunnel.
    pub fn count(&self, id: &ClientId, used: Usage) {
        let mut elsewhere = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = elsewhere.entry(id.clone()).or_default();
        *sum = sum.plus(used);
    }

    pub(crate) fn take_counted(&self) -> BTreeMap<ClientId, Usage> {
        std::mem::take(&mut self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a peer is now, as an address for people.
#[must_use]
pub(crate) fn source(peer: &PeerStats) -> Option<IpAddr> {
    peer.endpoint.map(|endpoint| endpoint.ip().to_canonical())
}
