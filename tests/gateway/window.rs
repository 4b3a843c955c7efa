//! `--window` by the real clock: a change that takes down a tunnel which is up waits for the hours that it may be made in.

use std::time::Duration;

use bowline_host::clock;
use rustix::process::Signal;

use super::site::{A, B, C, OWNER, Site, quick};
use crate::harness::until;

const LONG: Duration = Duration::from_secs(15);

/// The two hours that begin so many minutes from now, in the program's local time.
fn two_hours_from(minutes: u16) -> String {
    let day = 24 * 60;
    let start = (clock::minute_of_day(clock::now().wall) + minutes) % day;
    let end = (start + 120) % day;
    format!("{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)
}

#[test]
fn outside_of_the_window_a_change_waits_and_inside_it_is_made() {
    let site = Site::new("gateway-window", quick());
    let (later, now) = (two_hours_from(180), two_hours_from(23 * 60));
    let process = site.start(&["--owner", OWNER, "--window", &later]);
    site.looks(2);
    site.moves_to(B);
    until(LONG, "it says what waits", || process.stderr().contains("waits for the window"));
    site.looks(6);
    assert_eq!((site.changes(), site.address()), ([0, 0, 0], Some(A)), "{}", process.stderr());
    process.signal(Signal::TERM);
    assert_eq!(process.finish(Duration::from_secs(5)).code, Some(0));
    // Nobody waits for `once`: it says that not everything is in its place.
    let waiting = site.run("once", &["--owner", OWNER, "--window", &later, "--settle-poll", "100ms", "--wait", "1s"]);
    assert_eq!((waiting.code, site.changes()), (Some(1), [0, 0, 0]), "{}", waiting.stderr);
    let _process = site.start(&["--owner", OWNER, "--window", &now]);
    site.settles(B, 0);
    assert_eq!(site.changes(), [1, 1, 1]);
}

#[test]
fn a_connection_whose_tunnels_are_down_is_changed_at_any_hour() {
    let site = Site::new("gateway-window-down", quick());
    let _process = site.start(&["--owner", OWNER, "--window", &two_hours_from(180)]);
    site.looks(2);
    site.world.cloud().set(|settings| settings.vpn.tunnels_up = false);
    site.moves_to(C);
    site.settles(C, 0);
    site.looks(6);
    assert_eq!(site.changes(), [1, 1, 1], "tunnels that stay down are no reason to change anything again");
}
