//! Patience: conditions are polled with a limit; nothing waits for a time to pass and hopes.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bowline_host::clock;

/// Polls `condition` until it holds.
///
/// # Panics
/// With `what` when it does not hold within `limit`.
#[track_caller]
pub(crate) fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = elapsed();
    while !condition() {
        assert!(elapsed() - start < limit, "waited {limit:?} in vain: {what}");
        pause(Duration::from_millis(20));
    }
}

/// Time since the machine started.
pub(crate) fn elapsed() -> Duration {
    clock::now().boot
}

/// Lets time pass: between two polls, or as the very thing that a story is about (a session that ends).
#[expect(clippy::disallowed_methods, reason = "the one place where a story lets real time pass")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// A flag that is raised when its owner goes out of scope, by a panic too: what runs beside it must not run for ever.
pub(crate) struct Raise<'a>(pub(crate) &'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An address on loopback that was free a moment ago, and another one each time.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address) {
            return address;
        }
    }
}
