//! A sample of random schedules through the real program: the address moves, calls break, the program is killed or has a
//! second instance; then quiet. What must hold at the end is what `crates/gateway/tests/it/schedules.rs` proves ten
//! thousand times against its model.

use std::{net::Ipv4Addr, time::Duration};

use bowline_fakeaws::{Effect, Fault, Flip, VpnManners};
use bowline_host::clock;
use rustix::process::Signal;

use super::site::{C, OWNER, Site, quick};
use crate::harness::{Running, pause, until};

const CALLS: [&str; 5] = [
    "CreateCustomerGateway",
    "ModifyVpnConnection",
    "DeleteCustomerGateway",
    "DescribeVpnConnections",
    "DescribeCustomerGateways",
];

/// A small generator: the same seed is the same schedule, as far as a real clock allows.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // Steele, Lea and Flood's SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, u8::try_from(number + 1).unwrap())
}

/// A change that EC2 ends where it began is asked for again after some seconds: only the long run has some.
fn manners(chance: &mut Chance, may_roll_back: bool) -> VpnManners {
    let millis = |chance: &mut Chance, most| Duration::from_millis(chance.below(most));
    VpnManners {
        flip: chance.one_of(&[Flip::Early, Flip::Late]),
        modify_time: Duration::from_millis(200 + chance.below(600)),
        describe_lag: millis(chance, 150),
        gateway_delay: millis(chance, 300),
        gateway_pending: millis(chance, 300),
        rollbacks: if may_roll_back { chance.below(2) } else { 0 },
        ..quick()
    }
}

/// What breaks calls. A lost answer is waited for longer than a story of the gate may take, so only the long run has some.
fn strike(site: &Site, chance: &mut Chance, may_lose: bool) {
    let unwell = Effect::Error { status: 500, code: "InternalError".to_owned() };
    let effect = if may_lose { chance.below(3) } else { 0 };
    let effect = [Effect::Throttle, Effect::Reset, unwell].into_iter().nth(usize::try_from(effect).unwrap()).unwrap();
    let after = effect != Effect::Throttle && chance.below(2) == 0;
    let fault = Fault::new(&format!("ec2.{}", chance.one_of(&CALLS)), effect).times(1);
    site.world.cloud().fault(if after { fault.after_work() } else { fault });
}

fn restart(process: &mut Running, site: &Site) {
    process.signal(Signal::KILL);
    until(Duration::from_secs(10), "it is dead", || !process.runs());
    *process = site.start(&["--owner", OWNER]);
}

fn run(seed: u64, may_lose: bool) {
    eprintln!("seed {seed}");
    let mut chance = Chance(seed);
    let site = Site::new(&format!("gateway-schedule-{seed}"), manners(&mut chance, may_lose));
    let foreign = site.gateway(Some(C), "site-2");
    let theirs = site.connect(&foreign, "site-2");
    let mut process = site.start(&["--owner", OWNER, "--tag", "bowline:owner=site-1"]);
    let second = (chance.below(3) == 0).then(|| site.start(&["--owner", OWNER, "--tag", "bowline:owner=site-1"]));
    let mut last = 0;
    for _ in 0..12 {
        match chance.below(4) {
            0 | 1 => {
                last = chance.below(4);
                site.moves_to(address(last));
            }
            2 => strike(&site, &mut chance, may_lose),
            _ => restart(&mut process, &site),
        }
        pause(Duration::from_millis(chance.below(400)));
    }
    drop(second);
    site.world.cloud().clear_faults();
    let limit = Duration::from_secs(if may_lose { 120 } else { 18 });
    until(limit, "all is settled", || {
        let cloud = site.world.cloud();
        let connections = cloud.vpn_connections(clock::now());
        let is_ours =
            |tags: &[(String, String)]| tags.iter().any(|(key, value)| key == "bowline:owner" && value == OWNER);
        let used = |id: &str| connections.iter().any(|one| one.customer_gateway == id);
        let leaked = cloud.customer_gateways().iter().any(|one| is_ours(&one.tags) && !used(&one.id));
        site.address() == Some(address(last)) && !leaked
    });
    assert!(site.world.cloud().customer_gateways().iter().any(|one| one.id == foreign), "the foreign gateway is gone");
    let at = site.world.cloud().vpn_connections(clock::now()).into_iter().find(|one| one.id == theirs).unwrap();
    assert_eq!(at.customer_gateway, foreign, "the foreign connection was moved");
}

#[test]
fn the_first_sample_converges() {
    run(1, false);
}

#[test]
fn the_second_sample_converges() {
    run(2, false);
}

#[test]
fn the_third_sample_converges() {
    run(3, false);
}

#[test]
fn the_fourth_sample_converges() {
    run(4, false);
}

/// With lost answers too; `--full` only.
#[test]
fn a_larger_sample_with_lost_answers_converges() {
    for seed in 10..22 {
        run(seed, true);
    }
}
