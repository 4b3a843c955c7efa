//! What is told of a change, and when.

use super::*;
use crate::observed::{Connection, Gateway};

const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const C: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);

fn at(second: u64) -> Now {
    Now { boot: Duration::from_secs(second), wall: "2026-11-22T02:02:02Z".parse().unwrap() }
}

fn outlook(address: Ipv4Addr, verdict: Verdict) -> Outlook {
    let connection = Connection {
        id: "vpn-1".to_owned(),
        state: "available".to_owned(),
        gateway: "cgw-1".to_owned(),
        managed: true,
        is_public: true,
        owner: None,
        tunnels: Vec::new(),
    };
    Outlook { stands: vec![Stand { connection, address: Some(address), verdict: Some(verdict) }], ..Outlook::default() }
}

fn needs(address: Ipv4Addr) -> (Outlook, Vec<Did>) {
    let key = crate::plan::Key { address, asn: bowline_aws::ec2::Asn(65_000) };
    let action = Action::Create { key, kind: "ipsec.1".to_owned(), name: None };
    (outlook(A, Verdict::Lacks(key)), vec![Did { action, answer: Ok(()) }])
}

fn pointed() -> (Outlook, Vec<Did>) {
    let action = Action::Modify { connection: "vpn-1".to_owned(), gateway: "cgw-2".to_owned() };
    (outlook(A, Verdict::Movable("cgw-2".to_owned())), vec![Did { action, answer: Ok(()) }])
}

fn phases(changes: &mut Changes, address: Ipv4Addr, (outlook, done): (Outlook, Vec<Did>), second: u64) -> Vec<Phase> {
    let news = changes.observe(Some(address), &outlook, &done, at(second));
    news.into_iter().map(|news| news.phase).collect()
}

#[test]
fn each_step_is_told_once_and_the_end_is_seen_twice() {
    let mut changes = Changes::default();
    let quiet = |address| (outlook(address, Verdict::Good), Vec::new());
    assert_eq!(phases(&mut changes, A, quiet(A), 0), []);
    assert_eq!(phases(&mut changes, B, needs(B), 10), [Phase::Detected]);
    assert_eq!(phases(&mut changes, B, pointed(), 12), [Phase::Modifying]);
    assert_eq!(phases(&mut changes, B, (outlook(A, Verdict::Lag), Vec::new()), 20), []);
    assert_eq!(phases(&mut changes, B, quiet(B), 192), []);
    assert!(changes.is_open());
    assert_eq!(phases(&mut changes, B, quiet(B), 202), [Phase::Done]);
    assert_eq!(phases(&mut changes, B, quiet(B), 300), []);
    let last = changes.last().unwrap();
    assert_eq!((last.from, last.to, last.took), (Some(A), B, Some(Duration::from_secs(192))));
    assert_eq!(last.modified["vpn-1"], Duration::from_secs(180));
    assert_eq!(last.kept.iter().collect::<Vec<_>>(), ["cgw-1"], "it is not among ours");
}

#[test]
fn a_rollback_is_no_end() {
    let mut changes = Changes::default();
    phases(&mut changes, B, pointed(), 10);
    phases(&mut changes, B, (outlook(B, Verdict::Good), Vec::new()), 200);
    let back = Verdict::NotBefore(Duration::from_secs(260));
    assert_eq!(phases(&mut changes, B, (outlook(A, back), Vec::new()), 210), []);
    assert_eq!(phases(&mut changes, B, (outlook(B, Verdict::Good), Vec::new()), 220), []);
    assert!(changes.is_open());
}

#[test]
fn another_address_in_between_is_another_change_and_a_way_back_is_none() {
    let mut changes = Changes::default();
    assert_eq!(phases(&mut changes, B, needs(B), 10), [Phase::Detected]);
    assert_eq!(phases(&mut changes, C, needs(C), 20), [Phase::Detected]);
    assert_eq!(changes.open().unwrap().to, C);
    assert_eq!(phases(&mut changes, A, (outlook(A, Verdict::Good), Vec::new()), 30), []);
    assert!(!changes.is_open());
    assert_eq!(changes.observe(None, &Outlook::default(), &[], at(40)), []);
}

fn gateway(id: &str, address: Ipv4Addr) -> Gateway {
    Gateway {
        id: id.to_owned(),
        state: "available".to_owned(),
        address: Some(address.into()),
        asn: None,
        kind: "ipsec.1".to_owned(),
        has_certificate: false,
        owner: Some("site-1".to_owned()),
        name: None,
    }
}

/// What a program sees that starts while the connection, shown at `shown`, is being changed.
fn restarted(shown: Ipv4Addr, unused: &[Gateway], address: Option<Ipv4Addr>) -> Changes {
    let mut changes = Changes::default();
    let unused: Vec<&Gateway> = unused.iter().collect();
    changes.resume(None, &outlook(shown, Verdict::Busy("modifying".to_owned())), &unused, at(0));
    changes.resume(address, &outlook(shown, Verdict::Busy("modifying".to_owned())), &unused, at(5));
    changes
}

#[test]
fn a_change_that_another_run_began_is_told_when_it_ends() {
    // EC2 shows the new gateway early, or late: the old one of ours is left, or the new one waits.
    let early = restarted(B, &[gateway("cgw-1", A)], Some(B));
    let late = restarted(A, &[gateway("cgw-2", B)], Some(B));
    for mut changes in [early, late] {
        assert!(changes.is_open() && changes.open().unwrap().from == Some(A));
        let quiet = || (outlook(B, Verdict::Good), Vec::new());
        assert_eq!(phases(&mut changes, B, quiet(), 100), []);
        assert_eq!(phases(&mut changes, B, quiet(), 110), [Phase::Done]);
        assert_eq!((changes.last().unwrap().took, phases(&mut changes, B, quiet(), 120)), (None, vec![]));
    }
}

#[test]
fn what_others_do_to_a_connection_is_no_change_of_ours() {
    assert!(!restarted(B, &[], Some(B)).is_open(), "nothing of ours is left or coming");
    assert!(!restarted(A, &[gateway("cgw-9", C)], Some(B)).is_open(), "an orphan of long ago");
    assert!(!restarted(B, &[gateway("cgw-2", B)], Some(B)).is_open());
    assert!(!restarted(A, &[gateway("cgw-2", B)], None).is_open(), "the address is not known");
    let mut changes = Changes::default();
    changes.resume(Some(A), &outlook(A, Verdict::Good), &[], at(0));
    let left = gateway("cgw-1", A);
    changes.resume(Some(B), &outlook(B, Verdict::Busy("modifying".to_owned())), &[&left], at(5));
    assert!(!changes.is_open(), "only a first look finds what another run has begun");
}
