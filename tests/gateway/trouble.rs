//! Providers that lie, an EC2 that refuses, and others in the same region: nothing is done that must not be done, and the
//! program lives.

use std::{net::Ipv4Addr, time::Duration};

use bowline_fakeaws::{Effect, Fault, NewConnection, NewGateway, VpnManners};
use bowline_host::clock;
use rustix::process::Signal;

use super::site::{A, B, C, OWNER, Site, quick};
use crate::harness::{elapsed, until};

const LONG: Duration = Duration::from_secs(15);
const OWNED: [&str; 2] = ["--owner", OWNER];

#[test]
fn one_liar_changes_nothing_one_silent_one_stops_nothing_and_three_opinions_are_none() {
    let site = Site::new("gateway-liars", quick());
    let mut process = site.start(&OWNED);
    site.looks(2);
    site.said([1], "198.51.100.66");
    site.looks(6);
    site.said([0], &C.to_string());
    site.looks(6);
    assert_eq!((site.changes(), site.address()), ([0, 0, 0], Some(A)));
    site.said([0, 1], &B.to_string());
    site.answered([2], "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
    site.settles(B, 0);
    assert!(process.runs());
}

#[test]
fn what_is_no_address_of_a_site_is_refused_by_name_and_nothing_is_done() {
    let site = Site::new("gateway-nonsense", quick());
    let mut process = site.start(&OWNED);
    site.looks(2);
    let page = format!("<html>{}</html>", "x".repeat(3 << 20));
    let bodies = [
        ("<html>198.51.100.2</html>", "is no address"),
        ("", "is empty"),
        ("999.1.1.1", "is no address"),
        ("2001:db8::2", "IPv6"),
        ("10.0.0.7", "private"),
        ("100.64.0.1", "CGNAT"),
        ("192.168.1.1", "private"),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("0.0.0.0", "reserved"),
        ("224.0.0.1", "multicast"),
        ("::ffff:10.0.0.1", "private"),
        (&page, "longer than"),
    ];
    for (body, words) in bodies {
        site.said([0, 1, 2], body);
        until(LONG, words, || process.stderr().contains(words));
    }
    for answer in [
        "HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n198",
    ] {
        site.answered([0, 1, 2], answer);
        site.looks(2);
    }
    assert!(process.runs());
    assert_eq!((site.changes(), site.address()), ([0, 0, 0], Some(A)));
}

#[test]
fn providers_that_hang_do_not_hold_up_the_end() {
    let site = Site::new("gateway-hang", quick());
    site.answered([0, 1, 2], "");
    let process = site.start(&OWNED);
    // The providers are being asked, and do not answer.
    until(LONG, "it runs", || process.stderr().contains("the gateway is looked after"));
    let begun = elapsed();
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(10)).code, Some(0));
    assert!(elapsed() - begun < Duration::from_secs(5));
}

#[test]
fn a_refused_change_leaves_one_new_gateway_and_is_made_when_it_is_allowed() {
    let site = Site::new("gateway-denied", quick());
    let denied = Effect::Error { status: 403, code: "UnauthorizedOperation".to_owned() };
    site.world.cloud().fault(Fault::new("ec2.ModifyVpnConnection", denied.clone()));
    let process = site.start(&OWNED);
    site.looks(2);
    site.moves_to(B);
    until(LONG, "it was refused three times", || site.calls("ModifyVpnConnection") >= 3);
    assert_eq!((site.gateways(), site.address(), site.changes()), (2, Some(A), [1, 0, 0]));
    assert!(process.stderr().contains("cannot point vpn-"), "{}", process.stderr());
    site.world.cloud().clear_faults();
    site.world.cloud().fault(Fault::new("ec2.DeleteCustomerGateway", denied.clone()));
    until(LONG, "the VPN has moved all the same", || site.address() == Some(B));
    until(LONG, "deleting was tried", || site.calls("DeleteCustomerGateway") >= 1);
    site.world.cloud().clear_faults();
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
    // Nothing is done blind.
    site.world.cloud().fault(Fault::new("ec2.Describe*", denied));
    site.moves_to(C);
    let before = site.calls("");
    until(LONG, "looking was tried", || site.calls("") >= before + 3);
    assert_eq!(site.changes(), [1, 1, 1]);
}

#[test]
fn a_full_region_keeps_the_vpn_until_there_is_room() {
    let site = Site::new("gateway-quota", VpnManners { gateway_quota: 1, ..quick() });
    let mut process = site.start(&OWNED);
    site.looks(2);
    site.moves_to(B);
    until(LONG, "it was refused", || site.calls("CreateCustomerGateway") >= 2);
    assert!(process.runs() && site.address() == Some(A));
    site.world.cloud().set(|settings| settings.vpn.gateway_quota = 50);
    site.settles(B, 0);
}

/// This call fails once in this way, before or after its effect. A lost answer is waited for: what was asked for may show
/// itself some seconds later.
fn survives(call: &str, effect: &Effect, after: bool) {
    let site = Site::new(&format!("gateway-fault-{}-{after}", call.to_lowercase()), quick());
    let (_process, cloud) = (site.start(&OWNED), site.world.cloud());
    site.looks(2);
    let fault = Fault::new(&format!("ec2.{call}"), effect.clone()).times(1);
    cloud.fault(if after { fault.after_work() } else { fault });
    site.moves_to(B);
    site.settles(B, 0);
    // What took effect and was never answered is not counted as good.
    let answered = |name: &str| u64::from(!(after && name == call));
    let once = ["CreateCustomerGateway", "ModifyVpnConnection", "DeleteCustomerGateway"].map(answered);
    assert_eq!(site.changes(), once, "{call}, {effect:?}, after the effect: {after}");
}

#[test]
fn a_create_that_is_cut_off_is_made_once() {
    survives("CreateCustomerGateway", &Effect::Reset, false);
}

#[test]
fn a_create_whose_answer_is_lost_is_not_made_again() {
    survives("CreateCustomerGateway", &Effect::Error { status: 500, code: "InternalError".to_owned() }, true);
}

#[test]
fn a_change_that_is_cut_off_is_made_once() {
    survives("ModifyVpnConnection", &Effect::Error { status: 500, code: "InternalError".to_owned() }, false);
}

#[test]
fn a_change_whose_answer_is_lost_is_not_made_again() {
    survives("ModifyVpnConnection", &Effect::Reset, true);
}

#[test]
fn a_delete_that_is_cut_off_is_made_in_the_end() {
    survives("DeleteCustomerGateway", &Effect::Reset, false);
    survives("DeleteCustomerGateway", &Effect::Reset, true);
}

#[test]
fn looks_that_are_cut_off_are_looked_again() {
    survives("Describe*", &Effect::Reset, false);
    survives("Describe*", &Effect::Error { status: 503, code: "Unavailable".to_owned() }, true);
}

#[test]
fn a_throttled_site_gets_there() {
    let site = Site::new("gateway-throttled", quick());
    site.world.cloud().fault(Fault::new("ec2.*", Effect::Throttle).times(8));
    let _process = site.start(&OWNED);
    site.moves_to(B);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
}

#[test]
fn credentials_that_end_are_asked_for_anew_and_the_change_is_made() {
    let site = Site::new("gateway-expired", quick());
    let session = site.world.cloud().add_session(clock::now(), "build", Duration::from_secs(3600));
    let script = "#!/bin/sh\necho asked >> $HOME/asked\ncat $HOME/keys.json\n";
    site.world.write("keys", script);
    std::fs::set_permissions(site.world.path("keys"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let write = |session: &bowline_base::Credentials| {
        let document = serde_json::json!({
            "Version": 1, "AccessKeyId": session.key_id.as_str(), "SecretAccessKey": session.secret_key.expose(),
            "SessionToken": session.session_token.as_ref().map(|token| token.expose().to_owned()),
        });
        site.world.write("keys.json", &document.to_string());
    };
    write(&session);
    site.world.configure(&format!("[profile revoked]\ncredential_process = {}\n", site.world.path("keys").display()));
    let _process = site.start(&[&OWNED[..], &["--profile", "revoked"]].concat());
    site.looks(2);
    site.world.cloud().expire_keys(clock::now());
    write(&site.world.cloud().add_session(clock::now(), "build", Duration::from_secs(3600)));
    site.moves_to(B);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
    assert!(std::fs::read_to_string(site.world.path("asked")).unwrap().lines().count() >= 2);
}

#[test]
fn several_connections_share_a_gateway_and_each_number_has_its_own() {
    let site = Site::new("gateway-several", quick());
    let cloud = site.world.cloud();
    let shared = cloud.vpn_connections(clock::now())[0].customer_gateway.clone();
    let second = site.connect(&shared, OWNER);
    let tags = vec![("bowline:owner".to_owned(), OWNER.to_owned())];
    let long = NewGateway { address: Some(A.into()), asn: 4_200_000_000, tags: tags.clone(), ..NewGateway::default() };
    let long = cloud.add_customer_gateway(&long);
    let third = NewConnection { customer_gateway: long, target: "tgw-1".to_owned(), static_routes: true, tags };
    let third = cloud.add_vpn_connection(&third);
    let _process = site.start(&[&OWNED[..], &["--tag", "bowline:owner=site-1"]].concat());
    site.looks(2);
    site.moves_to(B);
    until(LONG, "all three have moved", || {
        [&site.connection, &second, &third].iter().all(|id| site.address_of(id) == Some(B)) && site.gateways() == 2
    });
    assert_eq!(site.changes(), [2, 3, 2]);
    let numbers: Vec<u32> = cloud.customer_gateways().iter().map(|one| one.asn).collect();
    assert!(numbers.contains(&65_000) && numbers.contains(&4_200_000_000), "{numbers:?}");
}

#[test]
fn what_belongs_to_others_is_not_touched() {
    let site = Site::new("gateway-others", quick());
    let cloud = site.world.cloud();
    let shared = cloud.vpn_connections(clock::now())[0].customer_gateway.clone();
    let unmanaged = site.connect(&shared, "");
    let foreign = site.gateway(Some(C), "site-2");
    let foreign_orphan = site.gateway(Some(B), "site-2");
    let certificate = NewGateway { certificate_arn: Some("arn:aws:acm:x".to_owned()), ..NewGateway::default() };
    let certificate = cloud.add_customer_gateway(&certificate);
    let by_certificate = site.connect(&certificate, OWNER);
    let theirs = site.connect(&foreign, "site-2");
    let own_orphan = site.gateway(Some(Ipv4Addr::new(198, 51, 100, 99)), OWNER);
    let process = site.start(&[&OWNED[..], &["--tag", "bowline:owner=site-1"]].concat());
    let there = |id: &str| cloud.customer_gateways().iter().any(|one| one.id == id);
    until(LONG, "our own orphan is gone", || !there(&own_orphan));
    site.moves_to(B);
    until(LONG, "ours has moved", || site.address() == Some(B));
    site.looks(6);
    assert!(there(&shared) && there(&foreign) && there(&foreign_orphan) && there(&certificate));
    assert_eq!((site.address_of(&unmanaged), site.address_of(&theirs)), (Some(A), Some(C)));
    let at = |id: &str| cloud.vpn_connections(clock::now()).into_iter().find(|one| one.id == id).unwrap();
    assert_eq!(at(&by_certificate).customer_gateway, certificate, "a certificate needs no address");
    assert_eq!(
        (site.calls("CreateCustomerGateway"), site.calls("DeleteCustomerGateway")),
        (0, 1),
        "the foreign one is used"
    );
    assert!(process.stderr().contains("has a gateway with a certificate"), "{}", process.stderr());
}

#[test]
fn a_connection_that_others_change_is_waited_for() {
    let site = Site::new("gateway-busy", quick());
    site.world.cloud().disturb_connection(clock::now(), &site.connection, "frobnicating", Duration::from_secs(2));
    let process = site.start(&OWNED);
    site.moves_to(B);
    until(LONG, "it is waited for", || process.stderr().contains("is `frobnicating`: waiting"));
    assert_eq!(site.calls("ModifyVpnConnection"), 0);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
}

#[test]
fn two_instances_make_one_gateway_and_leave_one() {
    let site = Site::new("gateway-two", VpnManners { describe_lag: Duration::from_millis(100), ..quick() });
    let (_one, _other) = (site.start(&OWNED), site.start(&OWNED));
    site.looks(4);
    site.moves_to(B);
    site.settles(B, 0);
    site.looks(8);
    let [created, modified, _] = site.changes();
    assert!(created <= 2 && modified <= 2, "{:?}", site.changes());
    assert_eq!((site.address(), site.gateways()), (Some(B), 1));
}
