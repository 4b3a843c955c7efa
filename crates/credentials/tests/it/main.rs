//! The crate against the fake AWS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "tests write the broken files of other tools, and wait beside them")]
#![expect(clippy::print_stderr, reason = "what is skipped is skipped visibly")]

mod alarm;
mod broker;
mod login;
#[path = "../../src/x509/openssl.rs"]
mod openssl;
mod process;
mod roles_anywhere;
mod sso;
mod store;
mod surroundings;
mod world;
