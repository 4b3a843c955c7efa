//! Every open tunnel: whose it is, what has passed, and how to end it.
//!
//! Once a second somebody calls [`Sessions::look`]: bytes go to the users' accounts, and tunnels of users who may not go on
//! end. So a tunnel costs no timer, and a deleted user is cut off within two seconds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bowline_host::relay::Passed;
use tokio::sync::watch;

use super::Account;

/// The open tunnels.
pub(super) struct Sessions {
    most: usize,
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Session>>,
}

struct Session {
    account: Arc<dyn Account>,
    passed: Arc<Passed>,
    /// Bytes up and down that the user's account has already.
    told: (u64, u64),
    stop: watch::Sender<bool>,
}

/// A tunnel's place; dropped, its last bytes are accounted for and the place is free.
pub(super) struct Ticket {
    sessions: Arc<Sessions>,
    number: u64,
    pub(super) passed: Arc<Passed>,
    stopped: watch::Receiver<bool>,
}

impl Sessions {
    pub(super) fn new(most: usize) -> Self {
        Self { most, next: AtomicU64::new(0), open: Mutex::default() }
    }

    /// A place for one more tunnel of the account's user; `None` where it has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, account: Arc<dyn Account>) -> Option<Ticket> {
        let mut open = self.lock();
        if open.values().filter(|session| session.account.user() == account.user()).count() >= self.most {
            return None;
        }
        let (stop, stopped) = watch::channel(false);
        let (number, passed) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(Passed::default()));
        open.insert(number, Session { account, passed: Arc::clone(&passed), told: (0, 0), stop });
        drop(open);
        Some(Ticket { sessions: Arc::clone(self), number, passed, stopped })
    }

    /// Brings the accounts up to date, and ends tunnels of users who may not go on.
    pub(super) fn look(&self) {
        for session in self.lock().values_mut() {
            session.tell();
            if session.account.ended().is_some() {
                session.stop.send_replace(true);
            }
        }
    }

    fn leave(&self, number: u64) {
        if let Some(mut session) = self.lock().remove(&number) {
            session.tell();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn tell(&mut self) {
        let now = (self.passed.up.load(Ordering::Relaxed), self.passed.down.load(Ordering::Relaxed));
        let (up, down) = (now.0 - self.told.0, now.1 - self.told.1);
        if up + down > 0 {
            self.account.used(up, down);
            self.told = now;
        }
    }
}

impl Ticket {
    /// Resolves when the user may not go on.
    pub(super) async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // The sender lives as long as the ticket.
        stopped.wait_for(|stopped| *stopped).await.ok();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.sessions.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Book {
        name: &'static str,
        used: Mutex<Vec<(u64, u64)>>,
        gone: Mutex<bool>,
    }

    impl Account for Book {
        fn user(&self) -> &str {
            self.name
        }

        fn ended(&self) -> Option<String> {
            self.gone.lock().unwrap().then(|| "gone".to_owned())
        }

        fn used(&self, up: u64, down: u64) {
            self.used.lock().unwrap().push((up, down));
        }
    }

    fn account(name: &'static str) -> Arc<Book> {
        Arc::new(Book { name, ..Book::default() })
    }

    #[test]
    fn each_byte_is_told_once_and_the_last_ones_at_the_end() {
        let (sessions, alice) = (Arc::new(Sessions::new(8)), account("alice"));
        let ticket = sessions.enter(alice.clone()).unwrap();
        ticket.passed.up.fetch_add(5, Ordering::Relaxed);
        sessions.look();
        sessions.look();
        ticket.passed.down.fetch_add(7, Ordering::Relaxed);
        drop(ticket);
        assert_eq!(*alice.used.lock().unwrap(), [(5, 0), (0, 7)]);
    }

    #[tokio::test]
    async fn a_keys_tunnels_end_with_the_key_and_no_others() {
        let (sessions, former) = (Arc::new(Sessions::new(8)), account("alice"));
        let by_former = sessions.enter(former.clone()).unwrap();
        let others = [account("alice"), account("bob")].map(|other| sessions.enter(other).unwrap());
        *former.gone.lock().unwrap() = true;
        sessions.look();
        by_former.stopped().await;
        assert!(others.iter().all(|other| !*other.stopped.borrow()));
    }

    #[test]
    fn a_user_has_so_many_places_and_others_have_their_own() {
        let sessions = Arc::new(Sessions::new(2));
        let enter = |name| sessions.enter(account(name));
        let held: Vec<Ticket> = (0..2).filter_map(|_| enter("alice")).collect();
        assert_eq!(held.len(), 2);
        assert!(enter("alice").is_none() && enter("bob").is_some());
        drop(held);
        assert!(enter("alice").is_some());
    }
}
