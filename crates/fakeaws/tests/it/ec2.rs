//! EC2's VPN in virtual time: changes that take minutes, reads that lag, and what is not deleted.

use std::time::Duration;

use bowline_base::{Credentials, Now};
use bowline_fakeaws::{Cloud, NewConnection, NewGateway};
use serde_json::{Value, json};

use crate::requests::{cloud, signed, start, text};

struct World {
    cloud: Cloud,
    keys: Credentials,
    old: String,
    vpn: String,
}

fn world(vpn: Value) -> World {
    let cloud = cloud(json!({ "vpn": vpn }));
    let keys = cloud.add_user("ci");
    let address = Some("198.51.100.1".parse().unwrap());
    let old = cloud.add_customer_gateway(&NewGateway { address, ..NewGateway::default() });
    let connection = NewConnection { customer_gateway: old.clone(), ..NewConnection::default() };
    let vpn = cloud.add_vpn_connection(&connection);
    World { cloud, keys, old, vpn }
}

fn after(seconds: u64) -> Now {
    let time = Duration::from_secs(seconds);
    Now { boot: start().boot + time, wall: start().wall + time }
}

impl World {
    fn ask(&self, second: u64, form: &str) -> (u16, String) {
        let form = format!("{form}&Version=2016-11-15");
        let reply = self.cloud.handle(after(second), signed(after(second), &self.keys, "ec2", "POST", "/", &form));
        (reply.response.status().as_u16(), text(&reply))
    }

    #[track_caller]
    fn good(&self, second: u64, form: &str) -> String {
        let (status, body) = self.ask(second, form);
        assert_eq!(status, 200, "{form}: {body}");
        body
    }

    #[track_caller]
    fn bad(&self, second: u64, form: &str, code: &str) {
        let (_, body) = self.ask(second, form);
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{form}: {body}");
    }

    /// Makes a gateway at this address.
    fn make(&self, second: u64, address: &str) -> String {
        let body = self.good(second, &format!("Action=CreateCustomerGateway&Type=ipsec.1&IpAddress={address}"));
        part(&body, "customerGatewayId").to_owned()
    }

    fn modify(&self, gateway: &str) -> String {
        format!("Action=ModifyVpnConnection&VpnConnectionId={}&CustomerGatewayId={gateway}", self.vpn)
    }

    /// State and gateway of the connection, as described.
    fn seen(&self, second: u64) -> (String, String) {
        let body = self.good(second, "Action=DescribeVpnConnections");
        (part(&body, "state").to_owned(), part(&body, "customerGatewayId").to_owned())
    }
}

fn part<'a>(body: &'a str, name: &str) -> &'a str {
    body.split_once(&format!("<{name}>")).unwrap().1.split_once("</").unwrap().0
}

fn pair(state: &str, gateway: &str) -> (String, String) {
    (state.to_owned(), gateway.to_owned())
}

#[test]
fn a_change_takes_its_time_and_the_old_gateway_stays_in_use_until_its_end() {
    for (flip, early) in [("early", true), ("late", false)] {
        let world = world(json!({"modify_time": "100s", "flip": flip}));
        let new = world.make(0, "198.51.100.2");
        world.good(0, &world.modify(&new));
        let meanwhile = if early { &new } else { &world.old };
        assert_eq!(world.seen(99), pair("modifying", meanwhile));
        for id in [&world.old, &new] {
            world.bad(99, &format!("Action=DeleteCustomerGateway&CustomerGatewayId={id}"), "IncorrectState");
        }
        assert_eq!(world.seen(100), pair("available", &new));
        world.good(100, &format!("Action=DeleteCustomerGateway&CustomerGatewayId={}", world.old));
    }
}

#[test]
fn a_change_may_end_where_it_began() {
    let world = world(json!({"modify_time": "10s", "rollbacks": 1}));
    let new = world.make(0, "198.51.100.2");
    world.good(0, &world.modify(&new));
    assert_eq!(world.seen(10), pair("available", &world.old));
    world.good(10, &world.modify(&new));
    assert_eq!(world.seen(20), pair("available", &new), "the second one holds");
}

#[test]
fn readers_lag_behind_and_refusals_do_not() {
    let world = world(json!({"modify_time": "100s", "describe_lag": "5s"}));
    let new = world.make(0, "198.51.100.2");
    world.good(1, &world.modify(&new));
    assert_eq!(world.seen(5), pair("available", &world.old));
    world.bad(5, &world.modify(&new), "IncorrectState");
    assert_eq!(world.seen(6), pair("modifying", &new));
}

#[test]
fn a_new_gateway_is_unknown_then_pending_then_there() {
    let world = world(json!({"gateway_delay": "5s", "gateway_pending": "9s"}));
    let new = world.make(0, "198.51.100.2");
    assert_eq!(world.make(1, "198.51.100.2"), new, "it is found all the same when it is asked for again");
    assert!(!world.good(4, "Action=DescribeCustomerGateways").contains(&new));
    world.bad(4, &world.modify(&new), "InvalidCustomerGatewayID.NotFound");
    assert!(world.good(5, "Action=DescribeCustomerGateways").contains("<state>pending</state>"));
    world.bad(5, &world.modify(&new), "InvalidCustomerGatewayState");
    world.good(9, &world.modify(&new));
}

#[test]
fn deleted_gateways_are_listed_for_an_hour() {
    let world = world(json!({}));
    let new = world.make(0, "198.51.100.2");
    world.good(0, &format!("Action=DeleteCustomerGateway&CustomerGatewayId={new}"));
    assert!(world.good(3600, "Action=DescribeCustomerGateways").contains("<state>deleted</state>"));
    assert!(!world.good(3601, "Action=DescribeCustomerGateways").contains("<state>deleted</state>"));
    assert_ne!(world.make(3601, "198.51.100.2"), new);
}

#[test]
fn somebody_else_s_change_is_in_the_way() {
    let world = world(json!({}));
    let new = world.make(0, "198.51.100.2");
    world.cloud.disturb_connection(start(), &world.vpn, "reticulating", Duration::from_secs(60));
    assert_eq!(world.seen(59).0, "reticulating");
    world.bad(59, &world.modify(&new), "IncorrectState");
    world.good(60, &world.modify(&new));
}

#[test]
fn lists_may_come_in_pages() {
    let world = world(json!({"page": 1}));
    let new = world.make(0, "198.51.100.2");
    let first = world.good(0, "Action=DescribeCustomerGateways");
    assert!(first.contains(&world.old) && !first.contains(&new));
    let second = world.good(0, &format!("Action=DescribeCustomerGateways&NextToken={}", part(&first, "nextToken")));
    assert!(second.contains(&new) && !second.contains("nextToken"), "{second}");
}

#[test]
fn one_address_is_one_gateway_towards_one_side() {
    let world = world(json!({"modify_time": "1s"}));
    let address = Some("198.51.100.2".parse().unwrap());
    let twin = world.cloud.add_customer_gateway(&NewGateway { address, asn: 65_001, ..NewGateway::default() });
    let target = world.cloud.vpn_connections(start());
    assert_eq!(target.len(), 1);
    let elsewhere = NewConnection { customer_gateway: twin, target: "tgw-1".into(), ..NewConnection::default() };
    world.cloud.add_vpn_connection(&elsewhere);
    let new = world.make(0, "198.51.100.2");
    world.good(0, &world.modify(&new));
    let beside = NewConnection { customer_gateway: world.old.clone(), ..elsewhere };
    let beside = world.cloud.add_vpn_connection(&beside);
    let form = format!("Action=ModifyVpnConnection&VpnConnectionId={beside}&CustomerGatewayId={new}");
    world.bad(2, &form, "InvalidCustomerGateway.DuplicateIpAddress");
}
