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

use super::Users;

/// The open tunnels.
pub(super) struct Sessions {
    users: Arc<dyn Users>,
    most: usize,
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Session>>,
}

struct Session {
    user: String,
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
    pub(super) fn new(users: Arc<dyn Users>, most: usize) -> Self {
        Self { users, most, next: AtomicU64::new(0), open: Mutex::default() }
    }

    /// A place for one more tunnel of `user`; `None` where it has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, user: &str) -> Option<Ticket> {
        let mut open = self.lock();
        if open.values().filter(|session| session.user == user).count() >= self.most {
            return None;
        }
        let (stop, stopped) = watch::channel(false);
        let (number, passed) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(Passed::default()));
        open.insert(number, Session { user: user.to_owned(), passed: Arc::clone(&passed), told: (0, 0), stop });
        drop(open);
        Some(Ticket { sessions: Arc::clone(self), number, passed, stopped })
    }

    /// Brings the accounts up to date, and ends tunnels of users who may not go on.
    pub(super) fn look(&self) {
        for session in self.lock().values_mut() {
            session.tell(&*self.users);
            if self.users.ended(&session.user).is_some() {
                session.stop.send_replace(true);
            }
        }
    }

    fn leave(&self, number: u64) {
        if let Some(mut session) = self.lock().remove(&number) {
            session.tell(&*self.users);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn tell(&mut self, users: &dyn Users) {
        let now = (self.passed.up.load(Ordering::Relaxed), self.passed.down.load(Ordering::Relaxed));
        let (up, down) = (now.0 - self.told.0, now.1 - self.told.1);
        if up + down > 0 {
            users.used(&self.user, up, down);
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
    use std::net::IpAddr;

    use super::*;
    use crate::connect::{Offer, Refused};

    #[derive(Default)]
    struct Book {
        used: Mutex<Vec<(String, u64, u64)>>,
        gone: Mutex<Vec<String>>,
    }

    impl Users for Book {
        fn admit(&self, _: &Offer, _: IpAddr) -> Result<String, Refused> {
            Err(Refused::Unknown)
        }

        fn ended(&self, user: &str) -> Option<String> {
            self.gone.lock().unwrap().iter().find(|gone| *gone == user).cloned()
        }

        fn used(&self, user: &str, up: u64, down: u64) {
            self.used.lock().unwrap().push((user.to_owned(), up, down));
        }
    }

    #[test]
    fn each_byte_is_told_once_and_the_last_ones_at_the_end() {
        let book = Arc::new(Book::default());
        let sessions = Arc::new(Sessions::new(Arc::clone(&book) as Arc<dyn Users>, 8));
        let ticket = sessions.enter("alice").unwrap();
        ticket.passed.up.fetch_add(5, Ordering::Relaxed);
        sessions.look();
        sessions.look();
        ticket.passed.down.fetch_add(7, Ordering::Relaxed);
        drop(ticket);
        assert_eq!(*book.used.lock().unwrap(), [("alice".to_owned(), 5, 0), ("alice".to_owned(), 0, 7)]);
    }

    #[tokio::test]
    async fn a_users_tunnels_end_with_the_user_and_nobody_elses() {
        let book = Arc::new(Book::default());
        let sessions = Arc::new(Sessions::new(Arc::clone(&book) as Arc<dyn Users>, 8));
        let (alice, bob) = (sessions.enter("alice").unwrap(), sessions.enter("bob").unwrap());
        book.gone.lock().unwrap().push("alice".to_owned());
        sessions.look();
        alice.stopped().await;
        assert!(!*bob.stopped.borrow());
    }

    #[test]
    fn a_user_has_so_many_places_and_others_have_their_own() {
        let sessions = Arc::new(Sessions::new(Arc::new(Book::default()), 2));
        let held: Vec<Ticket> = (0..2).filter_map(|_| sessions.enter("alice")).collect();
        assert_eq!(held.len(), 2);
        assert!(sessions.enter("alice").is_none() && sessions.enter("bob").is_some());
        drop(held);
        assert!(sessions.enter("alice").is_some());
    }
}
