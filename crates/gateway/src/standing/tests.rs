//! What is shown and told of how things stand.

use super::*;
use crate::{
    observed::{Connection, Tunnel},
    plan::Verdict as Judged,
};

fn at(second: i64) -> Now {
    let wall = bowline_base::Timestamp::from_second(second).unwrap();
    Now { boot: Duration::from_secs(second.unsigned_abs()), wall }
}

fn standing(tunnels: &[(bool, i64)], verdict: Judged) -> Standing {
    let tunnel = |(up, since): &(bool, i64)| Tunnel {
        outside: None,
        up: *up,
        since: Some(at(*since).wall),
        message: String::new(),
        routes: 0,
    };
    let connection = Connection {
        id: "vpn-1".to_owned(),
        state: "available".to_owned(),
        gateway: "cgw-1".to_owned(),
        managed: true,
        is_public: true,
        owner: None,
        tunnels: tunnels.iter().map(tunnel).collect(),
    };
    let stands = vec![Stand { connection, address: None, verdict: Some(verdict) }];
    let outlook = Outlook { stands, ..Outlook::default() };
    Standing { outlook, address: Some(("198.51.100.1".to_owned(), at(0))), ..Standing::default() }
}

fn verdict(standing: &Standing, id: &str, now: i64) -> Option<Verdict> {
    standing.checks(at(now)).into_iter().find(|check| check.id == id).map(|check| check.verdict)
}

fn matters(standing: &Standing, now: i64) -> Vec<&'static str> {
    standing.matters(at(now)).into_iter().filter(|(_, trouble)| trouble.is_some()).map(|(subject, _)| subject).collect()
}

#[test]
fn a_connection_without_a_tunnel_is_told_after_five_minutes() {
    let down = standing(&[(false, 100), (false, 1000)], Judged::Good);
    assert_eq!(verdict(&down, "gateway.tunnels", 1299), Some(Verdict::Ok));
    assert_eq!(verdict(&down, "gateway.tunnels", 1300), Some(Verdict::Degraded));
    assert_eq!((matters(&down, 1299), matters(&down, 1300)), (vec![], vec!["tunnels"]));
    let half = standing(&[(false, 100), (true, 1000)], Judged::Good);
    assert_eq!(verdict(&half, "gateway.tunnels", 9000), Some(Verdict::Ok));
    assert_eq!(verdict(&standing(&[], Judged::Good), "gateway.tunnels", 9000), None);
}

#[test]
fn an_outage_is_shown_at_once_and_told_when_it_lasts() {
    let mut standing = standing(&[], Judged::Good);
    standing.silence = Some(("nobody answers".to_owned(), at(1000)));
    standing.blind = Some(Blind { why: "no route".to_owned(), fix: None, kind: Kind::Unreachable, since: at(1000) });
    assert_eq!(verdict(&standing, "gateway.address", 1001), Some(Verdict::Degraded));
    assert_eq!(verdict(&standing, "gateway.aws", 1001), Some(Verdict::Degraded));
    assert_eq!((matters(&standing, 1119), matters(&standing, 1120)), (vec![], vec!["address", "aws"]));
    standing.blind = Some(Blind { why: "denied".to_owned(), fix: None, kind: Kind::Refused, since: at(1000) });
    assert_eq!(verdict(&standing, "gateway.aws", 1001), Some(Verdict::Failed));
    assert_eq!(matters(&standing, 1000), ["aws"], "a refusal does not pass by itself");
}

#[test]
fn what_is_under_way_is_degraded_and_what_is_not_there_failed() {
    let mut standing = standing(&[], Judged::Busy("modifying".to_owned()));
    assert_eq!(verdict(&standing, "gateway.connections", 0), Some(Verdict::Degraded));
    standing.outlook = Outlook::default();
    standing.selection.missing = Some(crate::selection::Unselected::NoneThere);
    assert_eq!(verdict(&standing, "gateway.connections", 0), Some(Verdict::Failed));
    assert_eq!(matters(&standing, 0), ["connections"]);
    assert_eq!(standing.status()["state"], "starting");
}

#[test]
fn a_device_without_its_configuration_is_shown_and_told_until_it_has_it() {
    let mut standing = standing(&[], Judged::Good);
    assert_eq!(verdict(&standing, "gateway.device", 0), None, "none is kept");
    standing.device(&Ok(Outcome::Written), at(1000));
    assert_eq!((verdict(&standing, "gateway.device", 1000), matters(&standing, 1000)), (Some(Verdict::Ok), vec![]));
    let hook = || Err(Fault::new(Kind::Refused, "device-config", "the hook failed").hint("mend it"));
    standing.device(&hook(), at(2000));
    standing.device(&hook(), at(2300));
    assert_eq!(verdict(&standing, "gateway.device", 2300), Some(Verdict::Degraded));
    assert_eq!(standing.status()["device_config"]["since"], utc(at(2000).wall));
    assert_eq!(
        (standing.status()["device_config"]["why"].as_str(), matters(&standing, 2000)),
        (Some("the hook failed"), vec!["device"])
    );
    standing.device(&Ok(Outcome::Woken), at(2400));
    assert_eq!(
        (standing.status()["device_config"]["state"].as_str(), matters(&standing, 2400)),
        (Some("current"), vec![])
    );
    standing.device(&Err(Fault::new(Kind::Unreachable, "ec2", "no route")), at(3000));
    assert_eq!(
        (matters(&standing, 3119), matters(&standing, 3120)),
        (vec![], vec!["device"]),
        "it may be back in a moment"
    );
}
