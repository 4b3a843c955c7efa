//! The parts that only `cargo xtask test --full` runs, in one table.

/// A test that is too long for the gate.
pub(crate) struct Slow {
    /// Its name below `tests/`, as the runner prints it.
    pub(crate) test: &'static str,
    /// What it shows that the gate does not.
    pub(crate) shows: &'static str,
}

/// All of them.
pub(crate) const SLOW: [Slow; 3] = [
    Slow {
        test: "load::no_request_fails_in_a_minute_of_rotations",
        shows: "64 connections for 60 s, one rotation a second",
    },
    Slow {
        test: "rotation::no_way_out_has_a_gap_in_a_ten_minute_run_of_twenty_second_sessions",
        shows: "every way out for 10 minutes, a rotation every ten seconds",
    },
    Slow { test: "demo::a_minute_of_demo_has_no_failure", shows: "`demo --for 60s` rotates at least ten times" },
];

/// The nextest filter that leaves them out.
pub(crate) fn gate_filter() -> String {
    let names: Vec<String> = SLOW.iter().map(|slow| format!("test(={})", slow.test)).collect();
    format!("not ({})", names.join(" or "))
}
