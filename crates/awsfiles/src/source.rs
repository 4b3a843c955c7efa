//! What a profile's credentials are made of: a tree whose leaves need nothing else, as plain data.

use std::{path::PathBuf, time::Duration};

use base::{KeyId, Secret, Timestamp};
use bowline_base as base;

use crate::{Origin, SsoKey};

/// Where the credentials of a profile come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Keys that stand in a file.
    Static(StaticKeys),
    /// Keys that stand nowhere in plaintext.
    Sealed(SealedKeys),
    /// A command that prints credentials.
    Process(Process),
    /// A role of IAM Identity Center.
    Sso(SsoRole),
    /// A role assumed with other credentials.
    AssumeRole(AssumeRole),
    /// A role assumed with a token file.
    WebIdentity(WebIdentity),
    /// Keys of a file, traded for a session with an MFA code.
    SessionToken(SessionToken),
    /// What the surroundings give: variables, the container, the instance.
    Named(CredentialSource),
    /// A role of IAM Roles Anywhere.
    RolesAnywhere(RolesAnywhere),
}

impl Source {
    /// The sign-in at the root of the chain, if that is IAM Identity Center.
    #[must_use]
    pub fn sso_login(&self) -> Option<&SsoLogin> {
        match self {
            Self::Sso(role) => Some(&role.login),
            Self::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => source.sso_login(),
            Self::AssumeRole(_)
            | Self::Static(_)
            | Self::Sealed(_)
            | Self::Process(_)
            | Self::WebIdentity(_)
            | Self::SessionToken(_)
            | Self::RolesAnywhere(_)
            | Self::Named(_) => None,
        }
    }

    /// Whether somewhere in the chain is an MFA device whose code only a person can give.
    #[must_use]
    pub fn asks_a_person(&self) -> bool {
        let typed = |mfa: &Mfa| mfa.process.is_none();
        match self {
            Self::AssumeRole(role) => {
                let below = matches!(&role.from, RoleSource::Profile { source, .. } if source.asks_a_person());
                below || role.mfa.as_ref().is_some_and(typed)
            }
            Self::SessionToken(session) => typed(&session.mfa),
            Self::Static(_)
            | Self::Sealed(_)
            | Self::Process(_)
            | Self::Sso(_)
            | Self::WebIdentity(_)
            | Self::RolesAnywhere(_)
            | Self::Named(_) => false,
        }
    }
}

/// Keys that stand in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticKeys {
    /// `aws_access_key_id`.
    pub key_id: KeyId,
    /// `aws_secret_access_key`.
    pub secret_key: Secret,
    /// `aws_session_token`, or its old name `aws_security_token`.
    pub session_token: Option<Secret>,
    /// `aws_account_id`.
    pub account_id: Option<String>,
    /// `expiration`, as `bowline users refresh`, `bowline write` and iam-sorry note it beside a session token.
    pub expires_at: Option<Timestamp>,
    /// The line of the key id.
    pub origin: Origin,
}

/// Keys that stand nowhere in plaintext. What is sealed is opened by the caller; here it is only told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKeys {
    /// The profile whose keys they are.
    pub profile: String,
    /// Where they lie.
    pub place: SealedPlace,
    /// `aws_account_id`.
    pub account_id: Option<String>,
    /// The line that says so.
    pub origin: Origin,
}

/// Where sealed keys lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedPlace {
    /// In our own store: the profile's `credential_process` asks this program for the profile itself.
    Store,
    /// In the file, as values that begin with `__encrypted__:`. One of the two may be plaintext.
    Envelope {
        /// `aws_access_key_id`, as written.
        key_id: Secret,
        /// `aws_secret_access_key`, as written.
        secret_key: Secret,
    },
}

/// Long-lived keys, in plaintext or sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LongLivedKeys {
    /// They stand in a file.
    Plain(StaticKeys),
    /// They are sealed.
    Sealed(SealedKeys),
}

impl LongLivedKeys {
    /// The line that says so.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Plain(keys) => &keys.origin,
            Self::Sealed(keys) => &keys.origin,
        }
    }

    /// `aws_account_id`.
    #[must_use]
    pub fn account_id(&self) -> Option<&String> {
        match self {
            Self::Plain(keys) => keys.account_id.as_ref(),
            Self::Sealed(keys) => keys.account_id.as_ref(),
        }
    }
}

/// A command that prints credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Program and arguments; never empty, to be run without a shell.
    pub argv: Vec<String>,
    /// `aws_account_id`, for commands that do not tell it.
    pub account_id: Option<String>,
    /// The line of `credential_process`.
    pub origin: Origin,
}

/// A role of IAM Identity Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoRole {
    /// The session that the role is asked with.
    pub login: SsoLogin,
    /// `sso_account_id`: twelve digits.
    pub account_id: String,
    /// `sso_role_name`.
    pub role_name: String,
}

/// What a sign-in to IAM Identity Center needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoLogin {
    /// Names the token in the cache. [`SsoKey::Legacy`] tokens cannot be renewed.
    pub key: SsoKey,
    /// `sso_start_url`, as written.
    pub start_url: String,
    /// `sso_region`.
    pub region: String,
    /// `sso_registration_scopes`; empty when absent.
    pub scopes: Vec<String>,
}

/// A role assumed with other credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// The profile that says so.
    pub profile: String,
    /// `role_arn`.
    pub role_arn: String,
    /// Whose credentials sign the call.
    pub from: RoleSource,
    /// `role_session_name`; the caller makes one up when absent.
    pub session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
    /// `duration_seconds`.
    pub duration: Option<Duration>,
    /// `mfa_serial`: a code must be asked for.
    pub mfa: Option<Mfa>,
    /// What the session is to carry besides its name.
    pub terms: Terms,
    /// The region to call: that of the profile which was asked for, as botocore does, else this one's.
    pub region: Option<String>,
}

/// Whose credentials sign an `AssumeRole` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSource {
    /// Those of `source_profile`.
    Profile {
        /// Its name.
        name: String,
        /// What its credentials are made of.
        source: Box<Source>,
    },
    /// Those of `credential_source`.
    Named(CredentialSource),
}

/// The values of `credential_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// The container credential endpoint.
    EcsContainer,
    /// The instance metadata service.
    Ec2InstanceMetadata,
}

/// A role assumed with a token file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    /// The profile that says so.
    pub profile: String,
    /// `web_identity_token_file`, to be read anew for each call.
    pub token_file: PathBuf,
    /// `role_arn`.
    pub role_arn: String,
    /// `role_session_name`; the caller makes one up when absent.
    pub session_name: Option<String>,
    /// `duration_seconds`.
    pub duration: Option<Duration>,
    /// The region to call: that of the profile which was asked for, else this one's.
    pub region: Option<String>,
}

/// Keys of a file, traded for a session with an MFA code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionToken {
    /// The profile that says so.
    pub profile: String,
    /// Whose session it is.
    pub keys: LongLivedKeys,
    /// The device whose code is asked for.
    pub mfa: Mfa,
    /// `duration_seconds`.
    pub duration: Option<Duration>,
    /// The region to call.
    pub region: Option<String>,
}

/// An MFA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mfa {
    /// `mfa_serial`: an ARN, or the serial number of a device.
    pub serial: String,
    /// `mfa_process`: a command that prints the code, to be run without a shell.
    pub process: Option<Vec<String>>,
}

/// What a role session carries besides its name, and what narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// `session_tags = team=build,stage=test`.
    pub tags: Vec<(String, String)>,
    /// `transitive_session_tags = team`: keys of tags that the next role of a chain keeps.
    pub transitive_tags: Vec<String>,
    /// `source_identity`.
    pub source_identity: Option<String>,
    /// `session_policy`: JSON in one line.
    pub policy: Option<String>,
    /// `session_policy_arns`, a comma list.
    pub policy_arns: Vec<String>,
}

/// A role of IAM Roles Anywhere, entered with a certificate. No AWS file can say this: [`crate::Config::with_identities`]
/// puts such identities beside the profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesAnywhere {
    /// What it is asked for by, like a profile.
    pub name: String,
    /// The file with the certificate: PEM, alone or with its chain in any order, DER, or PKCS#12.
    pub certificate: PathBuf,
    /// A file with the certificates between it and the trust anchor, where they stand apart.
    pub intermediates: Option<PathBuf>,
    /// The file with the private key, where that is not the certificate's.
    pub private_key: Option<PathBuf>,
    /// What opens the private key.
    pub password: Option<Password>,
    /// ARN of the trust anchor; its region is called where no other is named.
    pub trust_anchor: String,
    /// ARN of the Roles Anywhere profile.
    pub profile: String,
    /// ARN of the role.
    pub role: String,
    /// The name of the session, which the Roles Anywhere profile must allow.
    pub session_name: Option<String>,
    /// How long a session is asked for; an hour where absent.
    pub duration: Option<Duration>,
    /// The region to call, where that is not the trust anchor's.
    pub region: Option<String>,
    /// What tells its sessions from those that other contents of the same files gave: a fingerprint.
    pub edition: Option<String>,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The first line of this file.
    File(PathBuf),
    /// This variable of the environment.
    Variable(String),
    /// The password itself, from callers of other programs' command lines.
    Given(Secret),
}
