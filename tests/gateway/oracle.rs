//! botocore's model of EC2 between the program and the fake: it knows every request that we emit, would have written the
//! same itself, and reads every answer, refusals included.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use bowline_fakeaws::{Effect, Fault};
use serde_json::Value;

use super::site::{A, B, OWNER, Site, quick};
use crate::harness::{Finished, python, skip, until};

/// Every call of EC2 that the gateway makes.
const CALLS: [&str; 6] = [
    "DescribeCustomerGateways",
    "DescribeVpnConnections",
    "CreateCustomerGateway",
    "ModifyVpnConnection",
    "DeleteCustomerGateway",
    "CreateTags",
];

/// Errors that EC2 has for it, each of which comes once.
const REFUSALS: [(&str, u16, &str); 7] = [
    ("DescribeCustomerGateways", 503, "RequestLimitExceeded"),
    ("DescribeVpnConnections", 500, "InternalError"),
    ("CreateCustomerGateway", 400, "CustomerGatewayLimitExceeded"),
    ("ModifyVpnConnection", 400, "InvalidCustomerGatewayID.NotFound"),
    ("ModifyVpnConnection", 400, "IncorrectState"),
    ("DeleteCustomerGateway", 400, "IncorrectState"),
    ("CreateTags", 403, "UnauthorizedOperation"),
];

/// Runs `command` with EC2 where the oracle stands.
#[track_caller]
fn run(site: &Site, oracle: &str, name: &str, mut command: Command) -> Finished {
    command.env("AWS_ENDPOINT_URL_EC2", oracle);
    site.world.run_foreign(name, &mut command)
}

#[test]
fn botocores_model_knows_every_request_of_the_gateway_and_every_answer() {
    let Some(python) = python() else { skip!("botocore's model of EC2 between gateway and fake: no target/py") };
    let site = Site::new("gateway-oracle", quick());
    let log = site.world.path("exchanges");
    let mut between = python.script(&site.world, "ec2_between.py");
    let between = site.world.start("between", between.arg(site.world.endpoint()).arg(&log));
    until(Duration::from_secs(15), "the oracle listens", || between.stdout().ends_with('\n'));
    let oracle = format!("http://127.0.0.1:{}", between.stdout().trim());
    let cloud = site.world.cloud();

    // Rehearsals, with DryRun in each.
    let mut doctor = site.world.bowline(&["doctor", "gateway", "--config", &site.configured("")]);
    site.sign(&mut doctor);
    assert_ne!(run(&site, &oracle, "doctor", doctor).code, Some(2));
    // A change with an AS number of four bytes beside it, and every refusal in its way once.
    for (call, status, code) in REFUSALS {
        let effect = Effect::Error { status, code: code.to_owned() };
        cloud.fault(Fault::new(&format!("ec2.{call}"), effect).times(1));
    }
    let quickly = ["--owner", OWNER, "--settle-poll", "100ms", "--min-change-interval", "0s"];
    site.moves_to(B);
    let moved = run(&site, &oracle, "once", site.command("once", &quickly));
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    let long = bowline_fakeaws::NewGateway { address: Some(A.into()), asn: 4_200_000_000, ..Default::default() };
    let wide = site.connect(&cloud.add_customer_gateway(&long), "");
    let named = ["--vpn-connection", &wide, "--owner", OWNER];
    let adopt = || site.command("adopt", &[&named[..], &["--run"]].concat());
    let (refused, adopted) = (run(&site, &oracle, "adopt", adopt()), run(&site, &oracle, "adopt", adopt()));
    assert_eq!((refused.code, adopted.code), (Some(1), Some(0)), "{}{}", refused.stderr, adopted.stderr);
    let moved = run(&site, &oracle, "once", site.command("once", &[&named[..], &quickly[2..]].concat()));
    assert_eq!((moved.code, site.address_of(&wide)), (Some(0), Some(B)), "{}", moved.stderr);
    let device = run(&site, &oracle, "device-config", site.bare("device-config"));
    assert_ne!(device.code, Some(4), "{}", device.stderr);

    let text = fs::read_to_string(&log).unwrap();
    let exchanges: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wrong: Vec<&Value> = exchanges.iter().filter(|one| one["faults"] != serde_json::json!([])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let seen = |wanted: &dyn Fn(&Value) -> bool| -> BTreeSet<&str> {
        exchanges.iter().filter(|one| wanted(one)).filter_map(|one| one["operation"].as_str()).collect()
    };
    assert_eq!(seen(&|one| one["code"].is_null()), CALLS.into(), "every call was answered");
    let changing: BTreeSet<&str> = CALLS[2..5].iter().copied().collect();
    assert!(seen(&|one| one["code"] == "DryRunOperation").is_superset(&changing), "and rehearsed");
    for (call, _, code) in REFUSALS {
        let came = exchanges.iter().any(|one| one["operation"] == call && one["code"] == code);
        assert!(came, "{call} was not refused with {code}");
    }
}
