//! What every story needs: a world of its own, the program started in it, clients, and patience without sleeping.

mod http;
mod processes;
mod python;
mod s3s;
mod secrets;
mod serving;
mod supervisor;
mod tools;
mod wait;
mod world;

pub(crate) use http::{Client, fetch};
pub(crate) use processes::{Finished, Running, run, start};
pub(crate) use python::{Python, python};
pub(crate) use s3s::S3sFs;
pub(crate) use secrets::made_below;
pub(crate) use serving::{Serving, ask, ask_unix, document};
pub(crate) use supervisor::Supervisor;
pub(crate) use tools::{aws_cli_2, node, terraform};
pub(crate) use wait::{Raise, elapsed, free_address, pause, until};
pub(crate) use world::{Daemon, World, copy_tree, is_private};

/// Ends the test early, visibly: `cargo xtask test` counts these lines.
macro_rules! skip {
    ($($why:tt)*) => {{
        eprintln!("skipped: {}", format_args!($($why)*));
        return;
    }};
}
pub(crate) use skip;
