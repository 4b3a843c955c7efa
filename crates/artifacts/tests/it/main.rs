//! The proxy over real sockets: in front of a scripted upstream with virtual time, and in front of S3.

#![allow(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod entrance;
mod fast;
mod filling;
mod freshness;
mod group;
mod paths;
mod s3;
mod script;
mod serving;
mod sums;
mod trouble;
mod web;
mod world;
