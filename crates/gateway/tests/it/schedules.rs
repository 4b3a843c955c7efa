//! Ten thousand schedules: always there in the end, nothing leaked, nothing foreign touched, nothing made twice.
//!
//! In four parts, which run beside each other. A seed that fails is printed; `under` runs it again.

use bowline_gateway::plan;

use crate::schedule::wrongs;

#[track_caller]
fn under(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let wrongs = wrongs(seed, plan);
        assert!(wrongs.is_empty(), "seed {seed}: {wrongs:#?}");
    }
}

#[test]
fn the_first_quarter_converges() {
    under(0..2500);
}

#[test]
fn the_second_quarter_converges() {
    under(2500..5000);
}

#[test]
fn the_third_quarter_converges() {
    under(5000..7500);
}

#[test]
fn the_last_quarter_converges() {
    under(7500..10_000);
}
