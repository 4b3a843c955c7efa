//! The least-privilege policy, evaluated: it is enough for everything that is done, and for nothing else.

use bowline_aws::{
    Aws, Endpoints, Region,
    ec2::{Asn, CreateCustomerGateway, Rehearsal, Why, rehearse},
};
use bowline_base::{Credentials, FixedIdentity};
use bowline_host::{HttpWire, client::Outside};
use serde_json::Value;

use super::site::{A, B, OWNER, Site, quick};

/// A user that may do what `bowline policy gateway` prints for `owner`.
fn limited(site: &Site, owner: &str) -> Credentials {
    let printed =
        site.world.run(&["policy", "gateway", "--owner", owner, "--region", "us-east-1", "--account", "111122223333"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stderr.contains("bowline policy trust roles-anywhere"), "{}", printed.stderr);
    let document: Value = serde_json::from_str(&printed.stdout).unwrap();
    site.world.cloud().add_limited_user("limited", &[document]).unwrap()
}

#[test]
fn the_printed_policy_is_enough_for_a_whole_change() {
    let mut site = Site::new("gateway-policy", quick());
    let keys = limited(&site, OWNER);
    site.sign_as(&keys);
    site.moves_to(B);
    let moved = site.run("once", &["--owner", OWNER, "--settle-poll", "100ms"]);
    assert_eq!((moved.code, site.changes()), (Some(0), [1, 1, 1]), "{}", moved.stderr);
}

#[test]
fn it_allows_nothing_with_what_belongs_to_others() {
    let site = Site::new("gateway-policy-others", quick());
    let me = FixedIdentity::new(limited(&site, OWNER));
    let foreign = site.gateway(Some(B), "site-2");
    let untagged = site.gateway(Some(A), "");
    let theirs = site.connect(&foreign, "site-2");
    let wire = std::sync::Arc::new(HttpWire::new(&Outside::default()).unwrap());
    let aws = Aws::new(wire, Endpoints::everything_at(site.world.endpoint()).unwrap());
    let region = Region::parse("us-east-1").unwrap();
    let create = |owner: &str| CreateCustomerGateway {
        address: B.into(),
        asn: Asn(65_000),
        kind: "ipsec.1".to_owned(),
        device: None,
        tags: vec![("bowline:owner".to_owned(), owner.to_owned())],
    };
    let (as_others, as_nobody) = (create("site-2"), CreateCustomerGateway { tags: Vec::new(), ..create("") });
    let resources = [theirs.clone(), untagged.clone()];
    let tags = [("bowline:owner".to_owned(), OWNER.to_owned())];
    let refused = [
        Rehearsal::Create(&as_others),
        Rehearsal::Create(&as_nobody),
        Rehearsal::Modify { connection: &theirs, gateway: &foreign },
        Rehearsal::Delete(&foreign),
        Rehearsal::Delete(&untagged),
        Rehearsal::Tag { resources: &resources, tags: &tags },
    ];
    for rehearsal in refused {
        let answer = site.world.runtime().block_on(rehearse(&aws, &region, &me, rehearsal));
        assert_eq!(answer.as_ref().err().and_then(Why::of), Some(Why::NotAllowed), "{rehearsal:?}: {answer:?}");
    }
}

#[test]
fn the_doctor_rehearses_every_call_and_names_the_policy() {
    let mut site = Site::new("gateway-doctor", quick());
    let config = site.configured("");
    let doctor = |site: &Site| {
        let mut command = site.world.bowline(&["doctor", "gateway", "--config", &config, "--output", "json"]);
        site.sign(&mut command);
        let finished = site.world.run_foreign("doctor", &mut command);
        let document: Value = serde_json::from_str(&finished.stdout).unwrap();
        let verdict = |id: &str| {
            let checks = document["checks"].as_array().unwrap().clone();
            checks.into_iter().find(|check| check["id"] == id).unwrap_or_default()
        };
        ["gateway.permissions", "gateway.providers", "gateway.cgnat", "gateway.startup"].map(verdict)
    };
    let [permissions, providers, _, startup] = doctor(&site);
    assert_eq!(
        (&permissions["verdict"], &providers["verdict"]),
        (&Value::from("ok"), &Value::from("ok")),
        "{permissions}"
    );
    assert!(startup["why"].as_str().unwrap().contains("startup action `add`"), "{startup}");
    site.said([0], "100.64.0.1");
    let keys = limited(&site, "site-9");
    site.sign_as(&keys);
    let [permissions, providers, cgnat, _] = doctor(&site);
    assert_eq!((&permissions["verdict"], &providers["verdict"]), (&Value::from("failed"), &Value::from("degraded")));
    assert!(permissions["fix"].as_str().unwrap().starts_with("bowline policy gateway --owner site-1"), "{permissions}");
    assert!(cgnat["why"].as_str().unwrap().contains("CGNAT"), "{cgnat}");
    assert_eq!(site.changes(), [0, 0, 0]);
}
