//! End to end: the real binary against real clients, and against the fake AWS misbehaving.
//!
//! Each module is one story of TESTING.md. Nothing here looks inside the program: it starts it, talks to it as its
//! users do, and believes only what the clients and the fake's own counters say.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "in a test a panic with its place is the best message")]

mod audit;
mod bazel;
mod clients;
mod commands;
mod completion;
mod console;
mod crashes;
mod curl;
mod demo;
mod doctor;
mod doctor_certificates;
mod doctor_notify;
mod endpoint;
mod env_file;
mod everything;
mod exposure;
mod fargate;
mod foreground;
mod gateway;
mod grants;
mod harness;
mod iam_sorry;
mod idle;
mod init;
mod javascript;
mod key_rotation;
mod load;
mod maven;
mod metrics;
mod notify;
mod operations;
mod oracle;
mod packaging;
mod parallel;
mod peers;
mod policies;
mod predecessors;
mod protection;
mod recording;
mod reference;
mod reload;
mod repositories;
mod rotation;
mod signing_helper;
mod soak;
mod sources;
mod status;
mod stories;
mod support_bundle;
mod surroundings;
mod terraform;
mod tunnel;
mod upstream;
mod users;
mod vault;
mod vault_text;
mod vpn;
mod vpn_client;
mod week;
