//! `bowline gateway run` while the address moves, providers lie and the program is killed.

use std::{fs, time::Duration};

use bowline_fakeaws::{Effect, Fault, Flip, VpnManners};
use rustix::process::Signal;

use super::site::{A, B, C, OWNER, Site, quick};
use crate::harness::{elapsed, until};

const LONG: Duration = Duration::from_secs(15);
const OWNED: [&str; 2] = ["--owner", OWNER];

#[test]
fn an_idle_site_costs_two_calls_a_look_and_a_move_one_of_each() {
    let site = Site::new("gateway-run", quick());
    let process = site.start(&OWNED);
    site.looks(4);
    assert_eq!((site.changes(), site.calls("Describe")), ([0, 0, 0], site.calls("")));
    site.moves_to(B);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
    site.looks(4);
    assert_eq!(site.changes(), [1, 1, 1], "then quiet");
    let begun = elapsed();
    process.signal(Signal::TERM);
    let ended = process.finish(Duration::from_secs(5));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(elapsed() - begun < Duration::from_secs(5));
    for words in ["create a customer gateway for 198.51.100.2 (ASN 65000)", "point vpn-", "delete cgw-"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn a_change_is_made_within_two_intervals() {
    let site = Site::new("gateway-soon", quick());
    let process = site.world.start("run", &mut site.command("run", &["--interval", "3s", "--owner", OWNER]));
    until(LONG, "the address is known", || process.stderr().contains("the site's address"));
    site.moves_to(B);
    let moved = elapsed();
    until(LONG, "the connection is pointed elsewhere", || site.changes()[1] == 1);
    assert!(elapsed() - moved < Duration::from_secs(6), "{:?}", elapsed() - moved);
}

#[test]
fn every_step_is_told_to_a_command_that_gets_no_key() {
    let site = Site::new("gateway-hook", quick());
    let told = site.world.path("told");
    let script = site.world.path("hook");
    site.world.write(
        "hook",
        &format!(
            "#!/bin/sh\nenv | grep -E '^(BOWLINE|AWS)_' | sort | tr '\\n' ' ' >> {0}\necho >> {0}\n",
            told.display()
        ),
    );
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let _process = site.start(&[&OWNED[..], &["--on-change", &format!("{} x", script.display())]].concat());
    site.looks(2);
    site.moves_to(B);
    let lines = || fs::read_to_string(&told).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    until(LONG, "three steps are told", || lines().len() >= 3);
    for (line, phase) in lines().iter().zip(["detected", "modifying", "done"]) {
        for words in [
            &format!("BOWLINE_PHASE={phase}"),
            "BOWLINE_NEW_ADDRESS=198.51.100.2",
            "BOWLINE_OLD_ADDRESS=198.51.100.1",
            &site.connection,
        ] {
            assert!(line.contains(words), "{words}: {line}");
        }
        assert!(!line.contains("SECRET"), "{line}");
    }
    assert_eq!(lines().len(), 3);
}

/// Kills the program while `call` is under way, before or after its effect, and starts it again.
fn survives_kills_at(call: &str) {
    for after in [false, true] {
        let name = format!("gateway-kill-{}-{after}", call.to_lowercase());
        let site = Site::new(&name, VpnManners { flip: Flip::Late, ..quick() });
        let mut process = site.start(&OWNED);
        site.looks(2);
        let fault = Fault::new(&format!("ec2.{call}"), Effect::Hang).times(1);
        let before = site.calls(call);
        site.world.cloud().fault(if after { fault.after_work() } else { fault });
        site.moves_to(B);
        until(LONG, "the call is under way", || site.calls(call) > before);
        process.signal(Signal::KILL);
        until(LONG, "it is dead", || !process.runs());
        let _again = site.start(&OWNED);
        site.settles(B, 0);
        // A call that took effect and was never answered is not counted as good.
        let answered = |name: &str| u64::from(!(after && name == call));
        let once = ["CreateCustomerGateway", "ModifyVpnConnection", "DeleteCustomerGateway"].map(answered);
        assert_eq!(site.changes(), once, "{call}, after its effect: {after}");
    }
}

#[test]
fn killed_while_it_makes_a_gateway_it_makes_no_second_one() {
    survives_kills_at("CreateCustomerGateway");
}

#[test]
fn killed_while_it_moves_a_connection_it_moves_it_once() {
    survives_kills_at("ModifyVpnConnection");
}

#[test]
fn killed_while_it_deletes_a_gateway_it_leaks_none() {
    survives_kills_at("DeleteCustomerGateway");
}

#[test]
fn killed_while_it_looks_it_looks_again() {
    survives_kills_at("DescribeVpnConnections");
    survives_kills_at("DescribeCustomerGateways");
}

/// The way to B is asked for, and nobody lives to hear the answer.
fn is_killed_in_the_midst(site: &Site) {
    let mut process = site.start(&OWNED);
    site.looks(2);
    site.world.cloud().fault(Fault::new("ec2.ModifyVpnConnection", Effect::Hang).times(1));
    site.moves_to(B);
    until(LONG, "the change is asked for", || site.calls("ModifyVpnConnection") == 1);
    process.signal(Signal::KILL);
    until(LONG, "it is dead", || !process.runs());
}

#[test]
fn killed_in_the_midst_and_back_at_the_first_address_the_connection_is_not_touched() {
    let site = Site::new("gateway-kill-back", quick());
    is_killed_in_the_midst(&site);
    site.moves_to(A);
    let process = site.start(&OWNED);
    site.settles(A, 0);
    assert_eq!(site.changes(), [1, 0, 1], "the orphan is gone, the connection untouched");
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(5)).code, Some(0));
}

#[test]
fn killed_in_the_midst_and_elsewhere_afterwards_the_gateway_of_the_address_between_is_gone() {
    let site = Site::new("gateway-kill-on", quick());
    is_killed_in_the_midst(&site);
    site.moves_to(C);
    let _again = site.start(&OWNED);
    site.settles(C, 0);
    assert_eq!(site.changes(), [2, 1, 2]);
}

#[test]
fn an_address_that_moves_on_during_a_change_is_followed_when_it_has_ended() {
    let site = Site::new("gateway-moves-on", VpnManners { modify_time: Duration::from_secs(1), ..quick() });
    let _process = site.start(&OWNED);
    site.looks(2);
    site.moves_to(B);
    until(LONG, "the change is under way", || site.changes()[1] == 1);
    site.moves_to(C);
    site.settles(C, 0);
    assert_eq!(site.changes(), [2, 2, 2]);
}

#[test]
fn what_ec2_shows_late_is_waited_for_and_asked_for_once() {
    let second = Duration::from_secs(1);
    let slow = VpnManners {
        describe_lag: second,
        gateway_delay: second,
        gateway_pending: second,
        flip: Flip::Late,
        ..quick()
    };
    let site = Site::new("gateway-late", slow);
    let _process = site.start(&OWNED);
    site.looks(2);
    site.moves_to(B);
    site.settles(B, 0);
    site.looks(6);
    assert_eq!((site.changes(), site.calls("ModifyVpnConnection")), ([1, 1, 1], 1));
}

#[test]
fn ended_in_the_midst_of_a_change_it_goes_on_without_a_second_one() {
    let site = Site::new("gateway-term", VpnManners { modify_time: Duration::from_secs(2), ..quick() });
    let told = site.world.path("told");
    let hook = format!("sh -c 'echo $BOWLINE_PHASE $BOWLINE_OLD_ADDRESS $BOWLINE_NEW_ADDRESS >> {}'", told.display());
    let flags = [&OWNED[..], &["--on-change", &hook]].concat();
    let process = site.start(&flags);
    site.looks(2);
    site.moves_to(B);
    until(LONG, "the change is under way", || site.changes()[1] == 1);
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(5)).code, Some(0));
    let _again = site.start(&flags);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
    // The end is told by the run that saw it, although it did not see the beginning.
    let words = || fs::read_to_string(&told).unwrap_or_default();
    until(LONG, "its end is told", || words().contains("done 198.51.100.1 198.51.100.2"));
    site.looks(3);
    assert_eq!(words().matches("done").count(), 1, "{}", words());
}
