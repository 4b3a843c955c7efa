//! The same over a real wire, to the fake AWS: lost answers and restarts at every call, and what an idle look costs.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bowline_aws::{Aws, Endpoints, Patience, Region};
use bowline_base::{FixedIdentity, wire::Limits};
use bowline_fakeaws::{Effect, FakeAws, Fault, Flip, NewConnection, NewGateway, Settings, VpnManners};
use bowline_gateway::{Account, Managed, Memory, OWNER_TAG, Pace, Site};
use bowline_host::{HttpWire, client::Outside};

const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

struct World {
    fake: FakeAws,
    aws: Aws,
    region: Region,
    me: FixedIdentity,
    site: Site,
    foreign: String,
}

fn tags(owner: &str) -> Vec<(String, String)> {
    vec![(OWNER_TAG.to_owned(), owner.to_owned()), ("Name".to_owned(), "Office".to_owned())]
}

impl World {
    /// A site at A with two connections, and a foreign one that is listed first.
    async fn new(manners: VpnManners) -> Self {
        let settings = Settings { vpn: manners, ..Settings::default() };
        let fake = FakeAws::start(settings).await.unwrap();
        let cloud = fake.cloud();
        let gateway = |address: Ipv4Addr, owner: &str| {
            let new = NewGateway { address: Some(address.into()), tags: tags(owner), ..NewGateway::default() };
            cloud.add_customer_gateway(&new)
        };
        let (foreign, own) = (gateway(Ipv4Addr::new(198, 51, 100, 9), "site-2"), gateway(A, "site-1"));
        for (gateway, owner) in [(&foreign, "site-2"), (&own, "site-1"), (&own, "site-1")] {
            let new =
                NewConnection { customer_gateway: gateway.clone(), tags: tags(owner), ..NewConnection::default() };
            cloud.add_vpn_connection(&new);
        }
        let short = Limits { head: Duration::from_millis(500), idle: Duration::from_millis(500) };
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let aws = Aws::new(wire, Endpoints::everything_at(&fake.endpoint()).unwrap());
        let aws = aws.patience(Patience { limits: short, total: Duration::from_secs(4) });
        let me = FixedIdentity::new(cloud.add_user("site-1"));
        let second = Duration::from_millis;
        let pace = Pace {
            lag: second(600),
            create_grace: second(900),
            rollback: Duration::from_secs(60),
            between_changes: second(600),
        };
        let site = Site { owner: "site-1".to_owned(), name: None, pace };
        Self { aws, region: Region::parse("us-east-1").unwrap(), me, site, foreign, fake }
    }

    /// A pass that may fail, as they do.
    async fn pass(&self, address: Ipv4Addr, memory: &mut Memory) {
        let account = Account { aws: &self.aws, region: &self.region, identity: &self.me };
        let pass = account.pass(&self.site, &Managed::of_site(&self.site), Some(address), memory).await;
        drop(pass);
    }

    /// Where our connections point, if all are available.
    fn addresses(&self) -> Option<Vec<Ipv4Addr>> {
        let cloud = self.fake.cloud();
        let gateways = cloud.customer_gateways();
        let address = |id: &str| {
            gateways
                .iter()
                .find(|one| one.id == id)
                .and_then(|one| one.address)
                .and_then(|address| if let std::net::IpAddr::V4(address) = address { Some(address) } else { None })
        };
        let ours = cloud.vpn_connections(self.aws.now()).into_iter().skip(1);
        ours.map(|one| if one.state == "available" { address(&one.customer_gateway) } else { None }).collect()
    }

    /// Passes until all is settled at B, and what is remembered then; `restart` forgets everything after each.
    async fn settle(&self, restart: bool) -> Memory {
        let mut memory = Memory::default();
        for passes in 1..400 {
            self.pass(B, &mut memory).await;
            if self.addresses() == Some(vec![B, B]) && self.fake.cloud().customer_gateways().len() == 2 {
                return memory;
            }
            // A restart that forgets how often a gateway was unused would never delete it.
            if restart && passes % 3 == 0 {
                memory = Memory::default();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not settled: {:?}, {:?}", self.addresses(), self.fake.cloud().customer_gateways());
    }

    fn calls(&self, name: &str) -> u64 {
        self.fake.cloud().counts().sum(name)
    }
}

fn quick(flip: Flip) -> VpnManners {
    VpnManners { modify_time: Duration::from_millis(200), flip, ..VpnManners::default() }
}

#[tokio::test]
async fn an_idle_look_is_two_calls_and_changes_nothing() {
    let world = World::new(quick(Flip::Early)).await;
    let mut memory = Memory::default();
    for _ in 0..5 {
        world.pass(A, &mut memory).await;
    }
    assert_eq!((world.calls("ec2.Describe"), world.calls("ec2.")), (10, 10));
}

#[tokio::test]
async fn a_move_is_one_create_a_change_for_each_connection_and_one_delete() {
    for flip in [Flip::Early, Flip::Late] {
        let lag = Duration::from_millis(50);
        let world = World::new(VpnManners { describe_lag: lag, gateway_delay: lag, ..quick(flip) }).await;
        let mut memory = world.settle(false).await;
        let calls = ["Create", "Modify", "Delete"].map(|name| world.calls(&format!("ec2.{name}")));
        assert_eq!(calls, [1, 2, 1], "{flip:?}");
        let made = world.fake.cloud().customer_gateways().into_iter().find(|one| one.id != world.foreign).unwrap();
        assert_eq!((made.device.as_deref(), made.tags), (Some("bowline/site-1"), tags("site-1")));
        for _ in 0..4 {
            world.pass(B, &mut memory).await;
        }
        assert_eq!(world.calls("ec2.Create") + world.calls("ec2.Modify") + world.calls("ec2.Delete"), 4, "then quiet");
    }
}

/// Each call breaks twice, before or after its effect, and the program starts anew all the time.
async fn survives(call: &str, effect: Effect) {
    for after in [false, true] {
        let world = World::new(quick(Flip::Early)).await;
        let fault = Fault::new(call, effect.clone()).times(2);
        world.fake.cloud().fault(if after { fault.after_work() } else { fault });
        world.settle(true).await;
        let left = world.fake.cloud().customer_gateways();
        assert!(left.iter().any(|one| one.id == world.foreign), "{call} {effect:?}: the foreign one is gone");
        assert!(world.calls("ec2.ModifyVpnConnection.ok") <= 2, "{call} {effect:?}: moved twice");
    }
}

#[tokio::test]
async fn a_create_that_breaks_off_leaks_nothing() {
    survives("ec2.CreateCustomerGateway", Effect::Reset).await;
    survives("ec2.CreateCustomerGateway", Effect::Error { status: 500, code: "InternalError".to_owned() }).await;
}

#[tokio::test]
async fn a_change_that_breaks_off_is_made_once() {
    survives("ec2.ModifyVpnConnection", Effect::Reset).await;
    survives("ec2.ModifyVpnConnection", Effect::Truncate(30)).await;
}

#[tokio::test]
async fn a_delete_that_breaks_off_is_done_in_the_end() {
    survives("ec2.DeleteCustomerGateway", Effect::Reset).await;
    survives("ec2.DeleteCustomerGateway", Effect::Html(502)).await;
}

#[tokio::test]
async fn looks_that_fail_do_nothing_blind() {
    survives("ec2.DescribeVpnConnections", Effect::Throttle).await;
    survives("ec2.DescribeCustomerGateways", Effect::Html(200)).await;
}

#[tokio::test]
async fn a_full_region_keeps_its_vpn_until_there_is_room() {
    let world = World::new(VpnManners { gateway_quota: 2, ..quick(Flip::Early) }).await;
    let mut memory = Memory::default();
    for _ in 0..3 {
        world.pass(B, &mut memory).await;
    }
    assert_eq!(world.addresses(), Some(vec![A, A]));
    world.fake.cloud().set(|settings| settings.vpn.gateway_quota = 50);
    world.settle(false).await;
}

#[tokio::test]
async fn the_only_connection_needs_no_name_and_one_of_many_is_not_guessed() {
    let world = World::new(quick(Flip::Early)).await;
    let account = Account { aws: &world.aws, region: &world.region, identity: &world.me };
    let managed = |look: bowline_gateway::Look| look.observed.connections.iter().filter(|one| one.managed).count();
    assert_eq!(managed(account.look(&Managed::Unsaid, None).await.unwrap()), 0);
    let first = world.fake.cloud().vpn_connections(world.aws.now()).remove(0).id;
    assert_eq!(managed(account.look(&Managed::Ids(vec![first]), None).await.unwrap()), 1);
    assert_eq!(managed(account.look(&Managed::of_site(&world.site), None).await.unwrap()), 2);
}
