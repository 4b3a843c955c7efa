//! An AWS that fits in a test and in `bowline demo`: SSO-OIDC, the SSO portal, STS, IAM, EC2's VPN calls, S3,
//! Parameter Store, CloudWatch Logs and the console's sign-in on one loopback port, and beside them what a container and an instance ask
//! (`/v2/credentials/…`, `/latest/…`).
//!
//! [`Cloud`] is the whole of it, decided without a socket or a clock: [`Cloud::handle`] takes the time and a request
//! and gives a [`Reply`]. [`FakeAws`] puts a listener in front. Credentials that it issues really expire and are
//! refused from that moment; refresh tokens rotate; every call is counted; faults are injected from the program or
//! over `/_fake/…` on the same port. See `admin.rs` for that interface. What a user may do at IAM and STS is decided by
//! its policies, really evaluated ([`policy`]), and at EC2 too; roles carry none here, and S3 asks none.
//!
//! It shares no codec with `bowline-aws`: requests are parsed, signatures verified and answers written here, so that
//! a mistake in one is not hidden by the same mistake in the other. It knows nothing of the rest of Bowline.

mod accounts;
mod admin;
mod buckets;
mod call;
mod chunked;
mod cloud;
mod container;
mod counters;
mod ec2;
mod faults;
mod iam;
mod instance;
mod json;
mod keys;
mod ledger;
mod logs;
mod mfa;
mod mint;
mod oidc_state;
mod operation;
mod pages;
pub mod policy;
mod query;
mod reply;
mod roles_anywhere;
mod s3;
mod s3_error;
mod s3_list;
mod s3_object;
mod scenario;
mod serve;
mod settings;
mod signin;
mod sigv4;
mod slow;
mod ssm;
mod sso_oidc;
mod sso_portal;
mod sts;
mod x509;
mod xml;

pub use accounts::Account;
pub use buckets::{Bucket, WrongRegion};
pub use cloud::{Cloud, SsoTokens};
pub use counters::Counts;
pub use ec2::{CustomerGateway, Flip, NewConnection, NewGateway, VpnConnection, VpnManners};
pub use faults::{Effect, Fault, FaultError};
pub use reply::{Ending, Pass, Reply};
pub use scenario::Scenario;
pub use serve::FakeAws;
pub use settings::{OmitRefresh, Settings, SettingsError};
