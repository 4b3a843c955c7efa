//! What is done with bytes that anybody may have written: one function for each kind, which panics when a promise is
//! broken. The fuzzer calls them with what it invents, and the tests of `vault`, `awsfiles` and `tunnel`, which include
//! these files, with everything in `corpus`.

pub mod age_file;
pub mod aws_file;
pub mod dns;
pub mod envelope;
pub mod fragments;
pub mod key_file;
pub mod packet;
pub mod wg_conf;
