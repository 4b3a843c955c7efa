//! EC2's VPN calls: a site moves to another address, and what is in the way.

use std::time::Duration;

use bowline_aws::ec2::{
    Asn, CreateCustomerGateway, Rehearsal, Why, create_customer_gateway, create_tags, customer_gateways,
    delete_customer_gateway, modify_vpn_connection, rehearse, tag, vpn_connections,
};
use bowline_fakeaws::{Effect, Fault, NewConnection, NewGateway, Settings, VpnManners};

use crate::World;

fn settings(vpn: VpnManners) -> Settings {
    Settings { vpn, ..Settings::default() }
}

fn wanted(address: &str) -> CreateCustomerGateway {
    CreateCustomerGateway {
        address: address.parse().unwrap(),
        asn: Asn(65_000),
        kind: "ipsec.1".to_owned(),
        device: Some("bowline/site-1".to_owned()),
        tags: vec![("bowline:owner".to_owned(), "site-1".to_owned())],
    }
}

/// An old gateway and a connection that points at it.
fn furnish(world: &World) -> (String, String) {
    let address = Some("198.51.100.1".parse().unwrap());
    let old = world.cloud().add_customer_gateway(&NewGateway { address, ..NewGateway::default() });
    let connection = NewConnection { customer_gateway: old.clone(), ..NewConnection::default() };
    (old, world.cloud().add_vpn_connection(&connection))
}

#[tokio::test]
async fn a_site_moves_to_another_address() {
    let manners = VpnManners { modify_time: Duration::from_millis(300), page: Some(1), ..VpnManners::default() };
    let world = World::new(settings(manners)).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    let (old, vpn) = furnish(&world);
    create_tags(aws, region, me, &[vpn.clone(), old.clone()], &wanted("198.51.100.2").tags).await.unwrap();
    let made = create_customer_gateway(aws, region, me, &wanted("198.51.100.2")).await.unwrap();
    let again = create_customer_gateway(aws, region, me, &wanted("198.51.100.2")).await.unwrap();
    assert_eq!(made, again);
    let changed = modify_vpn_connection(aws, region, me, (&vpn, &made.id)).await.unwrap();
    assert_eq!((changed.state.as_str(), changed.configuration.is_none()), ("modifying", true));
    let busy = modify_vpn_connection(aws, region, me, (&vpn, &old)).await.unwrap_err();
    assert_eq!(Why::of(&busy), Some(Why::Changing));
    let used = delete_customer_gateway(aws, region, me, &old).await.unwrap_err();
    assert_eq!(Why::of(&used), Some(Why::InUse));
    let mut looks = 0;
    let seen = loop {
        let seen = vpn_connections(aws, region, me, std::slice::from_ref(&vpn)).await.unwrap().remove(0);
        if seen.state == "available" {
            break seen;
        }
        looks += 1;
        assert!(looks < 1000, "it never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&seen.customer_gateway, tag(&seen.tags, "bowline:owner")), (&made.id, Some("site-1")));
    assert!(seen.telemetry.iter().all(bowline_aws::ec2::Telemetry::is_up) && seen.tunnels.len() == 2);
    assert!(seen.configuration.unwrap().expose().contains("<pre_shared_key>"));
    delete_customer_gateway(aws, region, me, &old).await.unwrap();
    let gone = delete_customer_gateway(aws, region, me, &old).await.unwrap_err();
    assert_eq!(Why::of(&gone), Some(Why::NoGateway));
    let listed = customer_gateways(aws, region, me).await.unwrap();
    let states: Vec<(&str, &str)> = listed.iter().map(|one| (one.id.as_str(), one.state.as_str())).collect();
    assert_eq!(states, [(old.as_str(), "deleted"), (made.id.as_str(), "available")], "two pages of one");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_gateway_and_is_owned_up_to() {
    let world = World::new(settings(VpnManners::default())).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    for effect in [Effect::Reset, Effect::Truncate(20), Effect::Html(502), Effect::Hang] {
        world.cloud().fault(Fault::new("ec2.CreateCustomerGateway", effect).times(1).after_work());
        let lost = create_customer_gateway(aws, region, me, &wanted("198.51.100.2")).await.unwrap_err();
        assert!(lost.is_ambiguous(), "{lost}");
    }
    assert_eq!(world.calls("ec2.CreateCustomerGateway"), 4);
    assert_eq!(world.cloud().customer_gateways().len(), 1, "asked for four times, made once");
    world.cloud().fault(Fault::new("ec2.*", Effect::Throttle).times(2));
    create_customer_gateway(aws, region, me, &wanted("198.51.100.3")).await.unwrap();
    assert_eq!(world.calls("ec2.CreateCustomerGateway"), 7, "throttled calls were not done, and are repeated");
}

#[tokio::test]
async fn rehearsals_do_nothing() {
    let world = World::new(settings(VpnManners::default())).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    let (old, vpn) = furnish(&world);
    let (ids, new) = ([vpn.clone()], wanted("198.51.100.2"));
    let all = [
        Rehearsal::VpnConnections,
        Rehearsal::CustomerGateways,
        Rehearsal::Create(&new),
        Rehearsal::Modify { connection: &vpn, gateway: &old },
        Rehearsal::Delete(&old),
        Rehearsal::Tag { resources: &ids, tags: &new.tags },
    ];
    for rehearsal in all {
        rehearse(aws, region, me, rehearsal).await.unwrap();
    }
    assert_eq!(world.calls("ec2."), 6);
    assert_eq!(world.cloud().customer_gateways().len(), 1);
    let seen = vpn_connections(aws, region, me, &[]).await.unwrap().remove(0);
    assert_eq!((seen.state.as_str(), seen.tags.len()), ("available", 0));
}

#[tokio::test]
async fn a_session_that_ended_is_renewed_once() {
    let world = World::new(settings(VpnManners::default())).await;
    let session = world.session();
    world.expire_keys();
    customer_gateways(&world.aws, &world.region, &session).await.unwrap();
    assert_eq!(world.calls("ec2.DescribeCustomerGateways.RequestExpired"), 1);
    assert_eq!(world.calls("ec2.DescribeCustomerGateways.ok"), 1);
}
