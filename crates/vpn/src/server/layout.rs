//! Which name in the store means what, and how the predecessor's values become ours.
//!
//! What is to be written is a list of steps, in an order that may break off anywhere: whoever reads the store then finds
//! every key and every user in one of the two forms, and the next start does the rest. Steps are decided here from what was
//! read, and made by `migration::run`.

use std::{collections::BTreeSet, net::Ipv4Addr};

use bowline_base::{Fault, Kind, Secret, Timestamp, parse_timestamp};
use bowline_tunnel::{PublicKey, SecretKey};

use super::{
    ClientId, KeyHash, User,
    addresses::Subnet,
    store::{Value, Values},
    user::{UserLimits, WireGuard},
    wireguard_key,
};

/// The administrator's key, put there by Terraform; Parameter Store only.
pub(crate) const MASTER_KEY: &str = "master-api-key";
/// Its hash, where we made it.
pub(crate) const MASTER_KEY_HASH: &str = "master-api-key-sha256";
/// The one place of the server's private key.
pub(crate) const PRIVATE_KEY: &str = "wg/server-private-key";
/// What the server had before a regeneration.
pub(crate) const PREVIOUS_KEY: &str = "wg/server-private-key-previous";
/// For people and for Terraform.
pub(crate) const PUBLIC_KEY: &str = "wg/server-public-key";
/// When and by which configuration the key was made.
pub(crate) const KEY_METADATA: &str = "wg/server-key-metadata";
/// The API's own certificate and its key, where none was given.
pub(crate) const CERTIFICATE: &str = "api/certificate";
pub(crate) const CERTIFICATE_KEY: &str = "api/private-key";

/// Where a private key may lie while it moves, and the predecessor's second copy.
const MOVING_KEY: &str = "wg/server-private-key-moving";
const PRIVATE_KEY_B64: &str = "wg/server-private-key-b64";
const PUBLIC_KEY_B64: &str = "wg/server-public-key-b64";

/// `users/alice/record`
pub(crate) fn record(id: &ClientId) -> String {
    format!("users/{id}/record")
}

/// `users/alice/usage`
pub(crate) fn usage(id: &ClientId) -> String {
    format!("users/{id}/usage")
}

/// `invitations/` and the first half of its key's hash.
pub(crate) fn invitation(key: &KeyHash) -> String {
    format!("invitations/{}/record", &key.hex()[..32])
}

/// What a name holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// A user's record.
    User(&'a str),
    /// What a user has used.
    Usage(&'a str),
    /// An invitation.
    Invitation,
    /// None of what changes while the server runs.
    Other,
}

/// What `name` holds.
pub(crate) fn meaning(name: &str) -> Meaning<'_> {
    match name.split('/').collect::<Vec<_>>()[..] {
        ["users", id, "record"] => Meaning::User(id),
        ["users", id, "usage"] => Meaning::Usage(id),
        ["invitations", _, "record"] => Meaning::Invitation,
        _ => Meaning::Other,
    }
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Unless somebody else has.
    Create(String, Value),
    Replace(String, Value),
    Remove(String),
}

/// A source of keys: 32 random bytes each time.
pub(crate) type Random<'a> = &'a mut (dyn FnMut() -> Result<[u8; 32], Fault> + Send);

/// What makes users of the predecessor's three values each.
pub(crate) fn migrate_users(
    values: &Values,
    subnet: &Subnet,
    now: Timestamp,
    random: Random<'_>,
) -> Result<Vec<Step>, Fault> {
    let mut taken: BTreeSet<Ipv4Addr> = addresses(values);
    let mut steps = Vec::new();
    for (name, value) in values {
        let ["users", id, "api-key"] = name.split('/').collect::<Vec<_>>()[..] else { continue };
        let Ok(id) = id.parse::<ClientId>() else { continue };
        let old = |part: &str| values.get(&format!("users/{id}/{part}"));
        if old("record").is_none() && !value.text.is_blank() {
            let Some(address) = subnet.free_for(&id, &taken) else { return Err(full(subnet)) };
            taken.insert(address);
            let created_at = old("created-at").and_then(|text| parse_timestamp(text.text.expose()).ok());
            let user = User {
                id: id.clone(),
                created_at: created_at.unwrap_or(now),
                key: KeyHash::of(&value.text),
                disabled: old("status").is_some_and(|status| status.text.expose().trim() != "active"),
                expires_at: None,
                limits: UserLimits::default(),
                wireguard: new_wireguard(None, address, random)?,
            };
            steps.push(Step::Create(record(&id), Value::sealed(user.to_record())));
        }
        // The key last: as long as it is there, the next start looks at this user again.
        for part in ["status", "created-at", "api-key"] {
            if old(part).is_some() {
                steps.push(Step::Remove(format!("users/{id}/{part}")));
            }
        }
    }
    Ok(steps)
}

/// A user's side of the tunnel: its own public key, or a pair of ours.
pub(crate) fn new_wireguard(own: Option<PublicKey>, address: Ipv4Addr, random: Random<'_>) -> Result<WireGuard, Fault> {
    let preshared_key = Some(SecretKey::from_bytes(random()?).to_base64());
    if let Some(public_key) = own {
        return Ok(WireGuard { public_key, private_key: None, preshared_key, address });
    }
    let private_key = SecretKey::generate(random()?);
    let (public_key, private_key) = (private_key.public(), Some(private_key.to_base64()));
    Ok(WireGuard { public_key, private_key, preshared_key, address })
}

/// No address is left.
pub(crate) fn full(subnet: &Subnet) -> Fault {
    Fault::new(Kind::Config, "vpn", format!("`{subnet}` has no free address"))
        .hint("delete users, or start with a larger --subnet: addresses that are given out stay good inside it")
}

/// The server's private key, and what brings it to its one place. Without any key one is made.
///
/// # Errors
/// A `Config` fault: there are keys and none can be read, or two that differ and no public key says which is right.
pub(crate) fn server_key(values: &Values, random: Random<'_>) -> Result<(Secret, Vec<Step>), Fault> {
    let names = [PRIVATE_KEY, PRIVATE_KEY_B64, MOVING_KEY];
    let held: Vec<(&str, &Value)> = names.iter().filter_map(|name| Some((*name, values.get(*name)?))).collect();
    let key = match chosen(values, &held)? {
        Some(key) => key,
        None => SecretKey::generate(random()?).to_base64(),
    };
    let sealed = Value::sealed(key.clone());
    let mut steps = Vec::new();
    match values.get(PRIVATE_KEY) {
        Some(value) if *value == sealed => {}
        Some(value) if value.sealed => steps.push(Step::Replace(PRIVATE_KEY.to_owned(), sealed)),
        Some(_) => {
            // AWS does not change a parameter's type: it moves through another name.
            steps.push(Step::Create(MOVING_KEY.to_owned(), sealed.clone()));
            steps.push(Step::Remove(PRIVATE_KEY.to_owned()));
            steps.push(Step::Create(PRIVATE_KEY.to_owned(), sealed));
        }
        None => steps.push(Step::Create(PRIVATE_KEY.to_owned(), sealed)),
    }
    let moving = steps.iter().any(|step| matches!(step, Step::Create(name, _) if name == MOVING_KEY));
    for name in [PRIVATE_KEY_B64, MOVING_KEY, PUBLIC_KEY_B64] {
        if values.contains_key(name) || (moving && name == MOVING_KEY) {
            steps.push(Step::Remove(name.to_owned()));
        }
    }
    steps.extend(public_key(values, &key));
    Ok((key, steps))
}

/// The key that a regeneration has replaced by `current`, as long as the store has it; one that cannot be read is none.
pub(crate) fn former_key(values: &Values, current: &Secret) -> Option<Secret> {
    wireguard_key::read(&values.get(PREVIOUS_KEY)?.text).ok().filter(|former| former != current)
}

/// Shows the public half of `key` where it is not shown yet.
pub(crate) fn public_key(values: &Values, key: &Secret) -> Option<Step> {
    let text = SecretKey::parse(key).ok()?.public().to_string();
    match values.get(PUBLIC_KEY) {
        Some(value) if value.text.expose() == text => None,
        Some(value) => Some(Step::Replace(PUBLIC_KEY.to_owned(), Value { sealed: value.sealed, ..Value::plain(text) })),
        None => Some(Step::Create(PUBLIC_KEY.to_owned(), Value::plain(text))),
    }
}

fn chosen(values: &Values, held: &[(&str, &Value)]) -> Result<Option<Secret>, Fault> {
    let mut keys: Vec<Secret> = Vec::new();
    for (name, value) in held {
        let key = wireguard_key::read(&value.text).map_err(|cause| {
            Fault::new(Kind::Config, "vpn", format!("`{name}` in the store is no private key"))
                .hint("write base64 of 32 bytes there, as `wg genkey` prints it, or remove it")
                .cause(cause)
        })?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.len() < 2 {
        return Ok(keys.pop());
    }
    let shown = [PUBLIC_KEY, PUBLIC_KEY_B64].iter().find_map(|name| wireguard_key::read(&values.get(*name)?.text).ok());
    let fits = |key: &Secret| SecretKey::parse(key).is_ok_and(|key| Some(key.public().to_string().into()) == shown);
    keys.into_iter().find(fits).map(Some).ok_or_else(|| {
        Fault::new(Kind::Config, "vpn", "the store holds two different private keys of the server")
            .hint(format!("remove the wrong one of {PRIVATE_KEY} and {PRIVATE_KEY_B64}"))
    })
}

fn addresses(values: &Values) -> BTreeSet<Ipv4Addr> {
    let users = values.iter().filter(|(name, _)| matches!(meaning(name), Meaning::User(_)));
    users.filter_map(|(_, value)| User::from_record(&value.text).ok()).map(|user| user.wireguard.address).collect()
}

#[cfg(test)]
mod tests;
