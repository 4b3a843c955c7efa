//! A second opinion on the wire: moto's EC2 takes what we send, and we read what it answers. It has no
//! ModifyVpnConnection, so what is changed here is gateways and tags.

use std::sync::Arc;

use bowline_aws::{
    Aws, Endpoints, Region,
    ec2::{self, Asn, CreateCustomerGateway, tag},
};
use bowline_base::{Credentials, FixedIdentity, KeyId, Secret};
use bowline_host::{HttpWire, client::Outside};
use serde_json::Value;

use crate::{
    harness::{World, python, skip},
    peers::moto,
};

#[test]
fn moto_takes_our_gateways_and_tags_and_a_plan_and_an_adoption() {
    let Some(python) = python() else { skip!("moto: no target/py") };
    let mut world = World::new("gateway-moto", |_| {});
    let (_server, made) = moto(&mut world, &python);
    let (id, secret) = (made["key_id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let mut furnish = python.script(&world, "moto_vpn.py");
    let furnished = world.run_foreign("moto-vpn", furnish.args([world.endpoint(), id, secret]));
    assert_eq!(furnished.code, Some(0), "{}", furnished.stderr);
    let vpn: Value = serde_json::from_str(&furnished.stdout).unwrap();
    let (vpn, gateway) = (vpn["vpn"].as_str().unwrap(), vpn["gateway"].as_str().unwrap());

    let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
    let aws = Aws::new(wire, Endpoints::everything_at(world.endpoint()).unwrap());
    let region = Region::parse("eu-central-1").unwrap();
    let me = FixedIdentity::new(Credentials {
        key_id: KeyId::new(id),
        secret_key: Secret::new(secret),
        session_token: None,
        expires_at: None,
        obtained_at: jiff::Timestamp::UNIX_EPOCH,
        account_id: None,
    });
    let request = CreateCustomerGateway {
        address: "198.51.100.2".parse().unwrap(),
        asn: Asn(65_000),
        kind: "ipsec.1".to_owned(),
        device: Some("bowline/site-1".to_owned()),
        tags: vec![("bowline:owner".to_owned(), "site-1".to_owned()), ("Name".to_owned(), "Office".to_owned())],
    };
    world.runtime().block_on(async {
        let made = ec2::create_customer_gateway(&aws, &region, &me, &request).await.unwrap();
        let listed = ec2::customer_gateways(&aws, &region, &me).await.unwrap();
        let found = listed.iter().find(|one| one.id == made.id).unwrap();
        assert_eq!((found.address, found.asn), (Some(request.address), Some(request.asn)));
        assert_eq!((tag(&found.tags, "bowline:owner"), tag(&found.tags, "Name")), (Some("site-1"), Some("Office")));
        ec2::delete_customer_gateway(&aws, &region, &me, &made.id).await.unwrap();
        let left = ec2::customer_gateways(&aws, &region, &me).await.unwrap();
        assert!(left.iter().all(|one| one.id != made.id || one.state == "deleted"), "{left:?}");
    });

    world.write("address", "198.51.100.1\n");
    let provider = format!("file:{}", world.path("address").display());
    let run = |command: &str, more: &[&str]| {
        let flags =
            ["gateway", command, "--allow-test-addresses", "--ip-provider", &provider, "--region", "eu-central-1"];
        let mut line = world.bowline(&flags);
        line.args(more).env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        world.run_foreign(command, &mut line)
    };
    let plan = run("plan", &["--exit-code"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
    assert!(plan.stdout.contains(&format!("{vpn} points at the site's address")), "{}", plan.stdout);
    let adopted = run("adopt", &["--owner", "site-1", "--run"]);
    assert_eq!(adopted.stdout, format!("adopted by `site-1`: {vpn} {gateway}\n"), "{}", adopted.stderr);
    assert!(run("adopt", &["--owner", "site-1"]).stderr.contains("nothing to adopt"));
}
