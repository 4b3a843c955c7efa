//! `once`, `plan` and `adopt`: what they print, what they end with, and that a plan changes nothing.

use super::site::{A, B, OWNER, Site, quick};

#[test]
fn once_moves_everything_and_ends_with_nothing_left_to_do() {
    let site = Site::new("gateway-once", quick());
    let flags = ["--owner", OWNER, "--settle-poll", "100ms"];
    let idle = site.run("once", &flags);
    assert_eq!((idle.code, site.changes()), (Some(0), [0, 0, 0]), "{}", idle.stderr);
    assert!(site.calls("") <= 6, "an idle look costs {} calls", site.calls(""));
    site.moves_to(B);
    let moved = site.run("once", &flags);
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    assert!(moved.stdout.contains("address: 198.51.100.2"), "{}", moved.stdout);
    assert_eq!((site.address(), site.gateways(), site.changes()), (Some(B), 1, [1, 1, 1]));
    let made = site.world.cloud().customer_gateways().remove(0);
    assert_eq!((made.device.as_deref(), made.asn), (Some("bowline/site-1"), 65_000));
    assert!(made.tags.contains(&("Name".to_owned(), "Office".to_owned())), "{:?}", made.tags);
}

#[test]
fn the_only_connection_needs_no_flag_and_a_hand_made_gateway_is_kept() {
    let site = Site::new("gateway-only", quick());
    let [gateway] = &site.world.cloud().customer_gateways()[..] else { panic!("there is one gateway") };
    let other = Site::new("gateway-only-hand-made", quick());
    assert_eq!(site.run("plan", &[]).code, Some(0), "{gateway:?}");
    let hand_made = other.world.cloud();
    let gateway = other.gateway(Some(A), "");
    let second = other.connect(&gateway, "");
    other.moves_to(B);
    let ended = other.run("once", &["--vpn-connection", &second, "--settle-poll", "100ms"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!((other.address_of(&second), other.address()), (Some(B), Some(A)), "the other connection is untouched");
    assert!(hand_made.customer_gateways().iter().any(|one| one.id == gateway), "it is not ours to delete");
    assert!(ended.stderr.contains(&format!("{gateway} was not made by bowline")), "{}", ended.stderr);
    let several = other.run("once", &[]);
    assert_eq!(several.code, Some(2), "{}", several.stderr);
    assert!(several.stderr.contains("2 VPN connections, and none is named"), "{}", several.stderr);
}

#[test]
fn a_plan_says_everything_and_changes_nothing() {
    let site = Site::new("gateway-plan", quick());
    assert_eq!(site.run("plan", &["--exit-code"]).code, Some(0));
    site.moves_to(B);
    let plan = site.run("plan", &["--exit-code"]);
    assert_eq!(plan.code, Some(3), "{}", plan.stderr);
    for words in
        ["create a customer gateway for 198.51.100.2 (ASN 65000)", "at the new gateway", "when nothing uses it"]
    {
        assert!(plan.stdout.contains(words), "{words}: {}", plan.stdout);
    }
    let json = site.run("plan", &["--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, document["steps"].as_array().unwrap().len()), (Some(0), 3));
    assert_eq!((site.changes(), site.calls("Describe"), site.calls("")), ([0, 0, 0], 6, 6));
}

#[test]
fn exit_codes_say_whose_move_it_is() {
    let site = Site::new("gateway-codes", quick());
    for command in ["once", "plan"] {
        let unknown = site.run(command, &["--vpn-connection", "vpn-00000000000000000"]);
        assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
        assert!(unknown.stderr.contains("no VPN connection vpn-00000000000000000"), "{}", unknown.stderr);
    }
    site.said([0, 1, 2], "100.64.0.9");
    for command in ["once", "plan"] {
        let silent = site.run(command, &["--interval", "1s"]);
        assert_eq!(silent.code, Some(4), "{}", silent.stderr);
        assert!(silent.stderr.contains("CGNAT"), "{}", silent.stderr);
    }
    site.moves_to(B);
    site.world.cloud().disturb_connection(bowline_host::clock::now(), &site.connection, "modifying", HOUR);
    let late = site.run("once", &["--settle-poll", "100ms", "--wait", "1s"]);
    assert_eq!(late.code, Some(1), "{}", late.stderr);
    assert!(late.stderr.contains("not everything is in its place after 1s"), "{}", late.stderr);
    assert_eq!(site.changes(), [0, 0, 0]);
    let wrong = site.run("once", &["--window", "2-5"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

#[test]
fn adopt_prints_the_one_call_and_makes_it_on_demand() {
    let site = Site::new("gateway-adopt", quick());
    let gateway = site.gateway(Some(A), "");
    let connection = site.connect(&gateway, "");
    let flags = ["--vpn-connection", &connection, "--owner", "berlin"];
    let printed = site.run("adopt", &flags);
    let expected = format!(
        "aws ec2 create-tags --region us-east-1 --resources {connection} {gateway} --tags 'Key=bowline:owner,Value=berlin'\n"
    );
    assert_eq!((printed.code, printed.stdout), (Some(0), expected));
    assert_eq!(site.calls("CreateTags"), 0);
    let made = site.run("adopt", &[&flags[..], &["--run"]].concat());
    assert_eq!((made.code, site.calls("CreateTags.ok")), (Some(0), 1), "{}", made.stderr);
    let again = site.run("adopt", &flags);
    assert!(again.stderr.contains("nothing to adopt"), "{}", again.stderr);
    site.moves_to(B);
    let moved = site.run("once", &[&flags[..], &["--settle-poll", "100ms"]].concat());
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    assert!(!site.world.cloud().customer_gateways().iter().any(|one| one.id == gateway), "it is ours now");
}
