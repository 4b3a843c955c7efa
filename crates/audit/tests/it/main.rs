//! The log on a real disk, and on its way to the fake AWS.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod archived;
mod disk;
mod following;
mod retention;
mod shipping;
mod world;
mod writers;
