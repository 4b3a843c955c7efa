//! The CONNECT proxy's users are the VPN's: same keys, same ends, same accounts.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bowline_base::wire::Wire;

use super::{Board, Denied, Usage, User, bad_logins::BadLogins};
use crate::connect::{Offer, Refused, Users};

/// The board's users, as the proxy asks for them.
pub(super) struct ProxyUsers {
    board: Board,
    wire: Arc<dyn Wire>,
    bad_logins: Mutex<BadLogins>,
    /// With which key each user came last: a rotated key ends what the old one opened.
    admitted: Mutex<BTreeMap<String, Arc<User>>>,
}

impl ProxyUsers {
    pub(super) fn new(board: Board, wire: Arc<dyn Wire>) -> Self {
        Self { board, wire, bad_logins: Mutex::default(), admitted: Mutex::default() }
    }

    fn unknown(&self, from: IpAddr) -> Refused {
        let mut bad = self.bad_logins.lock().unwrap_or_else(PoisonError::into_inner);
        bad.note(from, self.wire.now().boot).wait.map_or(Refused::Unknown, Refused::TryLater)
    }
}

impl Users for ProxyUsers {
    fn admit(&self, offer: &Offer, from: IpAddr) -> Result<String, Refused> {
        let user = match self.board.admit(&offer.key, self.wire.now().wall) {
            Ok(user) if offer.name.as_deref().is_none_or(|name| name == user.id.as_str()) => user,
            Ok(_) | Err(Denied::Unknown) => return Err(self.unknown(from)),
            Err(Denied::Disabled) => return Err(Refused::Ended("disabled".to_owned())),
            Err(Denied::Expired) => return Err(Refused::Ended("expired".to_owned())),
        };
        if !self.board.may_go_on(&user) {
            return Err(Refused::Ended("the quota is used".to_owned()));
        }
        let id = user.id.to_string();
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), user);
        Ok(id)
    }

    fn ended(&self, user: &str) -> Option<String> {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned();
        let goes_on = admitted.is_some_and(|user| self.board.may_go_on(&user));
        (!goes_on).then(|| "no longer a user".to_owned())
    }

    fn used(&self, user: &str, up: u64, down: u64) {
        if let Ok(id) = user.parse() {
            self.board.count(&id, Usage { received: up, sent: down });
        }
    }
}
