//! What happened lately, for operators: a bounded list in memory, each with a number that only grows.
//!
//! Changes also go to whoever keeps a lasting log, before they are answered.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use bowline_base::{Fault, Timestamp, utc};
use serde_json::{Value, json};

use super::ClientId;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A user was made.
    Created,
    /// A user was removed.
    Deleted,
    /// A user was turned off.
    Disabled,
    /// A user was turned on.
    Enabled,
    /// Limits or the end of a user were changed.
    Changed,
    /// A user has other keys.
    Rotated,
    /// Somebody was invited.
    Invited,
    /// An invitation was taken back.
    Uninvited,
    /// An invitation was accepted.
    Joined,
    /// A client's handshake came through after a while without.
    Connected,
    /// A client has been silent for three minutes.
    Disconnected,
    /// A user ran into its end or its quota.
    Ended,
    /// Keys were refused; several of one address are one event.
    Refused,
    /// The store does not answer.
    StoreAway,
    /// The store answers again.
    StoreBack,
}

impl What {
    /// `user.created`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "user.created",
            Self::Deleted => "user.deleted",
            Self::Disabled => "user.disabled",
            Self::Enabled => "user.enabled",
            Self::Changed => "user.changed",
            Self::Rotated => "user.rotated",
            Self::Invited => "user.invited",
            Self::Uninvited => "user.uninvited",
            Self::Joined => "user.joined",
            Self::Connected => "client.connected",
            Self::Disconnected => "client.disconnected",
            Self::Ended => "user.ended",
            Self::Refused => "login.refused",
            Self::StoreAway => "store.away",
            Self::StoreBack => "store.back",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// To whom.
    pub id: Option<ClientId>,
    /// Where the request or the client came from.
    pub source: Option<IpAddr>,
    /// Why, where that is to be said.
    pub detail: Option<String>,
}

impl Event {
    /// An event with nothing more to say.
    #[must_use]
    pub fn new(at: Timestamp, what: What) -> Self {
        Self { at, what, id: None, source: None, detail: None }
    }

    /// The same about a user.
    #[must_use]
    pub fn about(self, id: &ClientId) -> Self {
        Self { id: Some(id.clone()), ..self }
    }

    /// The same from an address.
    #[must_use]
    pub fn from(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// Keeps a lasting log; called before a change is answered. Where it fails, nothing is handed out.
pub type Recorder = Arc<dyn Fn(&Event) -> Result<(), Fault> + Send + Sync>;

/// The latest events.
#[derive(Debug, Default)]
pub struct Events {
    next: u64,
    kept: VecDeque<(u64, Event)>,
}

const MOST: usize = 1000;

impl Events {
    /// Adds one; the oldest goes when there are a thousand.
    pub fn add(&mut self, event: Event) {
        self.next += 1;
        self.kept.push_back((self.next, event));
        if self.kept.len() > MOST {
            self.kept.pop_front();
        }
    }

    /// Those after number `after`, oldest first.
    #[must_use]
    pub fn after(&self, after: u64) -> Vec<Value> {
        let one = |(number, event): &(u64, Event)| {
            json!({
                "number": number, "at": utc(event.at), "event": event.what.name(),
                "client_id": event.id.as_ref().map(ClientId::as_str),
                "source": event.source.map(|address| address.to_string()), "detail": event.detail,
            })
        };
        self.kept.iter().filter(|(number, _)| *number > after).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::samples::at;

    #[test]
    fn the_list_is_bounded_and_numbers_go_on() {
        let mut events = Events::default();
        for _ in 0..1500 {
            events.add(Event::new(at(0), What::Refused).because("x"));
        }
        assert_eq!((events.after(0).len(), events.after(1498).len()), (1000, 2));
        assert_eq!(
            (&events.after(1499)[0]["number"], &events.after(1499)[0]["event"]),
            (&json!(1500), &json!("login.refused"))
        );
    }
}
