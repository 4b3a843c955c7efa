//! The addresses of this machine's interfaces, and a word when they may have changed.
//!
//! Knows what the kernel says, never what follows from it. A change is a hint and nothing more: behind a router none
//! comes, so whoever follows it looks from time to time all the same.

use std::{collections::BTreeSet, io, net::IpAddr, sync::Arc, time::Duration};

use tokio::{io::unix::AsyncFd, sync::Notify};
use tracing::warn;

use crate::{
    Tasks,
    sys::{self, AddressEvents},
};

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
}

/// What the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// An address came, is told again, or went.
    Address { at: At, is_there: bool },
    /// The way to everywhere came or went.
    DefaultRoute,
}

/// Changes come in bursts: one word for all that comes in so long a time.
const APART: Duration = Duration::from_secs(10);

/// The addresses of the interface called `name`.
///
/// # Errors
/// There is none of this name, or this system does not say.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let interface = sys::interface_index(name)?;
    let of_it = sys::interface_addresses()?.into_iter().filter(|at| at.interface == interface);
    Ok(of_it.map(|at| at.address).collect())
}

/// Notifies `changed` whenever an address or a default route of this machine has changed, until shutdown; a burst is one
/// word, or few.
///
/// # Errors
/// This system does not tell.
pub fn watch(tasks: &Tasks, changed: Arc<Notify>) -> io::Result<()> {
    watch_every(tasks, changed, APART)
}

fn watch_every(tasks: &Tasks, changed: Arc<Notify>, apart: Duration) -> io::Result<()> {
    // Listened to before it is looked: nothing falls between the two.
    let events = sys::when_readable(AddressEvents::listen()?)?;
    let known: BTreeSet<At> = sys::interface_addresses()?.into_iter().collect();
    tasks.spawn_until_shutdown("address events", async move {
        if let Err(error) = follow(&events, known, &changed, apart).await {
            warn!(%error, "address events ended; the address is still looked at from time to time");
        }
    });
    Ok(())
}

async fn follow(
    events: &AsyncFd<AddressEvents>,
    mut known: BTreeSet<At>,
    changed: &Notify,
    apart: Duration,
) -> io::Result<()> {
    loop {
        let mut ready = events.readable().await?;
        let is_news = match ready.try_io(|events| events.get_ref().read()) {
            Err(_nothing_yet) => false,
            Ok(Ok(news)) => note(&mut known, &news),
            // There was more than the kernel keeps for us: what is known may be wrong.
            Ok(Err(_lost)) => {
                known = sys::interface_addresses()?.into_iter().collect();
                true
            }
        };
        if is_news {
            changed.notify_one();
            tokio::time::sleep(apart).await;
        }
    }
}

/// Whether anything is other than before. An address whose time is prolonged is told again, every few seconds on some
/// networks.
fn note(known: &mut BTreeSet<At>, news: &[News]) -> bool {
    let mut is_news = false;
    for one in news {
        is_news |= match *one {
            News::Address { at, is_there: true } => known.insert(at),
            News::Address { at, is_there: false } => known.remove(&at),
            News::DefaultRoute => true,
        };
    }
    is_news
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_address_that_is_told_again_is_no_news() {
        let at = At { interface: 2, address: "2001:db8::1".parse().unwrap() };
        let (there, gone) = (News::Address { at, is_there: true }, News::Address { at, is_there: false });
        let mut known = BTreeSet::new();
        for (news, expected) in [
            (&[there][..], true),
            (&[there], false),
            (&[there, there], false),
            (&[gone], true),
            (&[gone], false),
            (&[], false),
            (&[there, News::DefaultRoute], true),
            (&[News::DefaultRoute], true),
        ] {
            assert_eq!(note(&mut known, news), expected, "{news:?}");
        }
    }

    fn ip(arguments: &str) -> bool {
        Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
    }

    fn again_in_a_namespace() {
        let test = "interfaces::tests::addresses_and_their_changes_are_those_of_the_kernel";
        let own = std::env::current_exe().unwrap();
        let inner = Command::new("unshare").arg("--net").arg(own).args(["--exact", test, "--nocapture"]).output();
        let inner = inner.unwrap();
        let (said, told) = (String::from_utf8_lossy(&inner.stdout), String::from_utf8_lossy(&inner.stderr));
        if told.contains("unshare failed") {
            eprintln!("skipped: address events: no network namespace may be made ({})", told.trim());
            return;
        }
        eprint!("{told}");
        assert!(inner.status.success() && said.contains("1 passed"), "{said}");
    }

    /// Runs itself again in a network namespace of its own, which it knows by there being no address at all.
    #[tokio::test]
    async fn addresses_and_their_changes_are_those_of_the_kernel() {
        if !sys::interface_addresses().unwrap().is_empty() {
            return again_in_a_namespace();
        }
        if !ip("link set lo up") {
            eprintln!("skipped: address events: `ip` cannot give an address to an interface");
            return;
        }
        let (tasks, changed) = (Tasks::new(), Arc::new(Notify::new()));
        watch_every(&tasks, Arc::clone(&changed), Duration::from_millis(1)).unwrap();
        let heard = async || tokio::time::timeout(Duration::from_secs(10), changed.notified()).await.is_ok();
        assert!(ip("address add 198.51.100.7/24 dev lo"));
        assert!(heard().await, "an address came");
        assert!(addresses("lo").unwrap().contains(&"198.51.100.7".parse().unwrap()));
        assert!(ip("address del 198.51.100.7/24 dev lo"));
        assert!(heard().await, "it went");
        assert!(!addresses("lo").unwrap().contains(&"198.51.100.7".parse().unwrap()));
        assert!(ip("route add default dev lo"));
        assert!(heard().await, "a default route came");
        assert!(addresses("none").is_err());
    }
}
