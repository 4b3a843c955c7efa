//! The plan against a model of EC2, through thousands of random schedules; and seeded mistakes that must be found.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod chance;
mod model;
mod mutants;
mod schedule;
mod schedules;
mod wire;
