//! News of other servers beside changes of our own.

use bowline_host::{HttpWire, client::Outside};
use tokio::sync::watch;

use super::*;
use crate::server::{layout, orders::Wanted, samples::user, store::FileStore};

/// Lets everybody in and counts nothing.
struct Open;

impl Tunnel for Open {
    fn add(&self, _: Peer) -> Result<(), Fault> {
        Ok(())
    }

    fn remove(&self, _: bowline_tunnel::PublicKey) -> Result<(), Fault> {
        Ok(())
    }

    fn recount(&self, _: bowline_tunnel::PublicKey, _: u64) -> Result<(), Fault> {
        Ok(())
    }

    fn stats(&self) -> Result<Stats, Fault> {
        Ok(Stats::default())
    }
}

fn clerk(folder: &std::path::Path) -> Clerk {
    let office = Office {
        store: Arc::new(FileStore::open(folder.to_path_buf()).unwrap()),
        tunnel: Arc::new(Open),
        wire: Arc::new(HttpWire::new(&Outside::default()).unwrap()),
        board: Board::new(Arc::new(|_| Ok(()))),
        subnet: Subnet::default(),
        v6: None,
        generation: watch::channel(0).0,
        busy: watch::channel(Duration::ZERO).0,
    };
    Clerk::new(office, Directory::default())
}

fn id(name: &str) -> ClientId {
    name.parse().unwrap()
}

#[tokio::test]
async fn news_are_taken_and_what_was_read_before_our_own_change_does_not_undo_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut clerk = clerk(folder.path());
    clerk.carry_out(Order::Create(id("alice"), Wanted::default()), None).await.unwrap();
    let users = |clerk: &Clerk| ["alice", "bob", "carol"].map(|name| clerk.directory.user(&id(name)).is_some());
    let record = |name: &str, number| (layout::record(&id(name)), Value::sealed(user(name, number).to_record()));

    // Read before alice was made.
    let everything = Changes::All([record("bob", 9)].into());
    assert!(!clerk.hear(0, Ok(Some(everything))).await, "it is asked for once more");
    assert_eq!(users(&clerk), [true, true, false]);
    let (carol, value) = record("carol", 8);
    let some = Changes::Some([(carol, Some(value)), (layout::record(&id("alice")), None)].into());
    assert!(!clerk.hear(0, Ok(Some(some.clone()))).await);
    assert_eq!(users(&clerk), [true, true, true]);

    // Read after it: another server has removed alice.
    assert!(clerk.hear(1, Ok(Some(some))).await);
    assert_eq!(users(&clerk), [false, true, true]);
    assert!(clerk.own.is_empty());
}
