//! The signals that a process of ours knows.

use std::pin::pin;

use bowline_base::{Fault, Kind};
use bowline_host::{clock, supervisor::Supervisor};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signalled {
    Reload,
    /// The address may have changed.
    LookAgain,
    End,
}

/// The signals that the daemon knows; those that came before anybody looked are kept.
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    user: Signal,
    /// A reload that was asked for while nobody could begin one.
    reload: bool,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Fault> {
        let listen = |kind| {
            signal(kind).map_err(|cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause))
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            user: listen(SignalKind::user_defined1())?,
            reload: false,
        })
    }

    /// What `work` comes to. Meanwhile `supervisor` hears that we live, and who asks to look again is passed on to
    /// `changed`. `None`: it is time to end, and `work` is dropped where it stands.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        supervisor: &Supervisor,
        changed: &Notify,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let heartbeat = supervisor.heartbeat().unwrap_or(clock::LONGEST_SLEEP);
        let mut work = pin!(work);
        loop {
            let signalled = tokio::select! {
                done = &mut work => return Some(done),
                signalled = self.heard() => signalled,
                () = tokio::time::sleep(heartbeat) => {
                    supervisor.alive();
                    continue;
                }
            };
            match signalled {
                Signalled::End => return None,
                Signalled::LookAgain => changed.notify_one(),
                Signalled::Reload => self.reload = true,
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Signalled {
        if std::mem::take(&mut self.reload) { Signalled::Reload } else { self.heard().await }
    }

    async fn heard(&mut self) -> Signalled {
        tokio::select! {
            _ = self.terminate.recv() => Signalled::End,
            _ = self.interrupt.recv() => Signalled::End,
            _ = self.hangup.recv() => Signalled::Reload,
            _ = self.user.recv() => Signalled::LookAgain,
        }
    }
}
