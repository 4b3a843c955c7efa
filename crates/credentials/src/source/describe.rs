//! What a source is, in words for people and in a form that names its lease. No secret is in either.

use std::collections::BTreeMap;

use bowline_awsfiles::{
    AssumeRole, CredentialSource, LongLivedKeys, RoleSource, RolesAnywhere, SealedKeys, SealedPlace, SessionToken,
    Source,
};
use serde_json::json;

use super::{container, instance};
use crate::lease_store::fingerprint;

/// The next link of a chain.
pub(super) fn below(source: &Source) -> Option<&Source> {
    match source {
        Source::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => Some(source),
        Source::AssumeRole(_)
        | Source::Static(_)
        | Source::Sealed(_)
        | Source::Process(_)
        | Source::Sso(_)
        | Source::WebIdentity(_)
        | Source::SessionToken(_)
        | Source::RolesAnywhere(_)
        | Source::Named(_) => None,
    }
}

/// The source in a few words, for people.
pub(super) fn describe(source: &Source) -> String {
    match source {
        Source::Static(keys) => format!("keys in {}", keys.origin),
        Source::Sealed(keys) => sealed(keys),
        Source::Process(command) => format!("command `{}`", command.argv.first().map_or("", String::as_str)),
        Source::Sso(role) => format!("sso {}/{}", role.account_id, role.role_name),
        Source::AssumeRole(role) => format!("role `{}`", role.role_arn),
        Source::WebIdentity(role) => format!("role `{}` by token file", role.role_arn),
        Source::SessionToken(session) => format!("{} with MFA", long_lived(&session.keys)),
        Source::RolesAnywhere(identity) => format!("role `{}` by certificate", identity.role),
        Source::Named(CredentialSource::Environment) => "keys in the environment".to_owned(),
        Source::Named(CredentialSource::EcsContainer) => "the container's endpoint".to_owned(),
        Source::Named(CredentialSource::Ec2InstanceMetadata) => "the instance metadata service".to_owned(),
    }
}

fn long_lived(keys: &LongLivedKeys) -> String {
    match keys {
        LongLivedKeys::Plain(keys) => format!("keys in {}", keys.origin),
        LongLivedKeys::Sealed(keys) => sealed(keys),
    }
}

fn sealed(keys: &SealedKeys) -> String {
    match keys.place {
        SealedPlace::Store => "sealed key in the store".to_owned(),
        SealedPlace::Envelope { .. } => format!("iam-sorry envelope in {}", keys.origin),
    }
}

/// What of the environment decides what the chain begins with; tokens as hashes only.
pub(super) fn surroundings(source: &Source, environment: &BTreeMap<String, String>) -> serde_json::Value {
    match source {
        Source::AssumeRole(AssumeRole { from: RoleSource::Profile { source, .. }, .. }) => {
            surroundings(source, environment)
        }
        Source::AssumeRole(AssumeRole { from: RoleSource::Named(named), .. }) | Source::Named(named) => match named {
            CredentialSource::Environment => json!(environment.get("AWS_ACCESS_KEY_ID")),
            CredentialSource::EcsContainer => {
                let token = container::token(environment).map(|token| fingerprint(token.expose()));
                json!({ "place": container::place(environment), "token": token })
            }
            CredentialSource::Ec2InstanceMetadata => json!(instance::place(environment)),
        },
        Source::Static(_)
        | Source::Sealed(_)
        | Source::Process(_)
        | Source::Sso(_)
        | Source::WebIdentity(_)
        | Source::SessionToken(_)
        | Source::RolesAnywhere(_) => serde_json::Value::Null,
    }
}

/// Everything that decides what a source gives, and no secret.
pub(super) fn identify(source: &Source) -> serde_json::Value {
    match source {
        Source::Static(keys) => json!({ "key": keys.key_id.as_str() }),
        Source::Sealed(keys) => identify_sealed(keys),
        Source::Process(command) => json!({ "argv": command.argv, "account": command.account_id }),
        Source::Sso(role) => json!({
            "session": role.login.key.hash(),
            "start_url": role.login.start_url,
            "region": role.login.region,
            "account": role.account_id,
            "role": role.role_name,
        }),
        Source::AssumeRole(role) => identify_role(role),
        Source::WebIdentity(role) => json!({
            "role": role.role_arn,
            "token_file": role.token_file,
            "session_name": role.session_name,
            "duration": role.duration.map(|time| time.as_secs()),
        }),
        Source::SessionToken(session) => identify_session(session),
        Source::RolesAnywhere(identity) => identify_certificate(identity),
        Source::Named(named) => json!(format!("{named:?}")),
    }
}

fn identify_role(role: &AssumeRole) -> serde_json::Value {
    json!({
        "role": role.role_arn,
        "session_name": role.session_name,
        "external_id": role.external_id,
        "duration": role.duration.map(|time| time.as_secs()),
        "region": role.region,
        "mfa": role.mfa.as_ref().map(|mfa| &mfa.serial),
        "terms": format!("{:?}", role.terms),
        "from": match &role.from {
            RoleSource::Profile { source, .. } => identify(source),
            RoleSource::Named(named) => json!(format!("{named:?}")),
        },
    })
}

fn identify_session(session: &SessionToken) -> serde_json::Value {
    json!({
        "key": match &session.keys {
            LongLivedKeys::Plain(keys) => json!(keys.key_id.as_str()),
            LongLivedKeys::Sealed(keys) => identify_sealed(keys),
        },
        "mfa": session.mfa.serial,
        "duration": session.duration.map(|time| time.as_secs()),
    })
}

fn identify_certificate(identity: &RolesAnywhere) -> serde_json::Value {
    json!({
        "certificate": identity.certificate,
        "private_key": identity.private_key,
        "edition": identity.edition,
        "region": identity.region,
        "trust_anchor": identity.trust_anchor,
        "profile": identity.profile,
        "role": identity.role,
        "session_name": identity.session_name,
        "duration": identity.duration.map(|time| time.as_secs()),
    })
}

/// The key is another one when the sealed text is; which one it is stays sealed.
fn identify_sealed(keys: &SealedKeys) -> serde_json::Value {
    match &keys.place {
        SealedPlace::Store => json!({ "sealed": keys.profile }),
        SealedPlace::Envelope { key_id, .. } => json!({ "sealed": keys.profile, "as": fingerprint(key_id.expose()) }),
    }
}
