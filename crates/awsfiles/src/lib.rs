//! `~/.aws/config`, `~/.aws/credentials` and the SSO cache: read as botocore reads them, resolved, edited without loss.
//!
//! The way in: [`Locations::from_environment`] says where the files are, [`Config::load`] reads them,
//! [`Config::resolve`] says what a profile's credentials are made of, [`rewrite()`] changes a file, [`SsoCache`] keeps
//! SSO tokens. This crate makes no AWS call, reads no clock and no environment: both come in as arguments.

mod block;
mod config;
mod document;
mod edit;
mod error;
mod locations;
mod lock;
mod resolve;
mod rewrite;
mod scan;
mod sections;
mod source;
mod sso_cache;
mod sso_token;
mod terms;
mod words;

pub use block::BlockError;
pub use config::{Config, Profile, SsoSession, Warning};
pub use document::Document;
pub use edit::{EditError, SectionName};
pub use error::{ConfigError, ConfigFile, Mistake, Problem};
pub use locations::{DefaultProfile, Locations};
pub use lock::FileLock;
pub use rewrite::{Outcome, RewriteError, Rule, rewrite};
pub use sections::{Content, Origin, Section, Setting};
pub use source::{
    AssumeRole, CredentialSource, LongLivedKeys, Mfa, Password, Process, RoleSource, RolesAnywhere, SealedKeys,
    SealedPlace, SessionToken, Source, SsoLogin, SsoRole, StaticKeys, Terms, WebIdentity,
};
pub use sso_cache::{RegistrationKey, SsoCache, SsoKey, Unreadable, UnreadableReason};
pub use sso_token::{Extra, Registration, SsoToken};
pub use words::{Unclosed, words};
