//! What is told of a change, and when.

use super::*;
use crate::observed::Connection;

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
