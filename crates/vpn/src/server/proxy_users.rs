//! The CONNECT proxy's users are the VPN's: same keys, same ends, same accounts.

use std::{net::IpAddr, sync::Arc};

use bowline_base::wire::Wire;

use super::{Board, Denied, Usage, User};
use crate::connect::{Account, Offer, Refused, Users};

/// The board's users, as the proxy asks for them.
pub(super) struct ProxyUsers {
    board: Board,
    wire: Arc<dyn Wire>,
}

/// A user as it was when it was let in: a rotated key ends what the old one opened.
struct Admitted {
    board: Board,
    user: Arc<User>,
}

impl ProxyUsers {
    pub(super) fn new(board: Board, wire: Arc<dyn Wire>) -> Self {
        Self { board, wire }
    }

    fn unknown(&self, from: IpAddr) -> Refused {
        self.board.wrong_key(from, self.wire.now()).map_or(Refused::Unknown, Refused::TryLater)
    }
}

impl Users for ProxyUsers {
    fn admit(&self, offer: &Offer, from: IpAddr) -> Result<Arc<dyn Account>, Refused> {
        let user = match self.board.admit(&offer.key, self.wire.now().wall) {
            Ok(user) if offer.name.as_deref().is_none_or(|name| name == user.id.as_str()) => user,
            Ok(_) | Err(Denied::Unknown) => return Err(self.unknown(from)),
            Err(Denied::Disabled) => return Err(Refused::Ended("disabled".to_owned())),
            Err(Denied::Expired) => return Err(Refused::Ended("expired".to_owned())),
        };
        if !self.board.may_go_on(&user) {
            return Err(Refused::Ended("the quota is used".to_owned()));
        }
        Ok(Arc::new(Admitted { board: self.board.clone(), user }))
    }
}

impl Account for Admitted {
    fn user(&self) -> &str {
        self.user.id.as_str()
    }

    fn ended(&self) -> Option<String> {
        (!self.board.may_go_on(&self.user)).then(|| "no longer a user".to_owned())
    }

    fn used(&self, up: u64, down: u64) {
        self.board.count(&self.user.id, Usage { received: up, sent: down });
    }
}
