//! A user as the store keeps it: one small JSON record, with a hash in the key's place, and what may be done with it now.

use std::net::Ipv4Addr;

use bowline_base::{Secret, Timestamp, parse_timestamp, utc};
use bowline_tunnel::PublicKey;
use serde_json::{Map, Value, json};

use super::{ClientId, KeyHash};

/// What a user may use. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Bytes in both directions together, until an operator gives more.
    pub quota: Option<u64>,
    /// Bytes a second to the user.
    pub download: Option<u64>,
    /// Bytes a second from the user.
    pub upload: Option<u64>,
}

/// Who a user is towards WireGuard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireGuard {
    /// The peer's key.
    pub public_key: PublicKey,
    /// Ours only where we made it; whoever brings a key keeps it.
    pub private_key: Option<Secret>,
    /// A second, symmetric key.
    pub preshared_key: Option<Secret>,
    /// Inside the tunnel.
    pub address: Ipv4Addr,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub id: ClientId,
    /// When it was made, in whole seconds.
    pub created_at: Timestamp,
    /// Of its API key.
    pub key: KeyHash,
    /// Turned off by an operator.
    pub disabled: bool,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// What it may use.
    pub limits: UserLimits,
    /// Its place in the tunnel.
    pub wireguard: WireGuard,
}

/// Why a user is not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// An operator turned it off.
    Disabled,
    /// Its time is over.
    Expired,
    /// It has used what it may.
    QuotaUsed,
    /// An elder user has its address, after two servers gave it out at one moment.
    AddressTaken,
}

impl Idle {
    /// For people and programs.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::QuotaUsed => "quota used",
            Self::AddressTaken => "address taken: rotate this user",
        }
    }
}

/// The record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version of Bowline.
    #[error("it is of version {0}, this program knows up to {VERSION}: update Bowline")]
    Newer(u64),
    /// Not what we write.
    #[error("`{0}` is missing or wrong")]
    Field(&'static str),
}

const KIND: &str = "bowline-vpn-user";
const VERSION: u64 = 1;

impl User {
    /// Why it is not let in at `now`, having used so many bytes; `None` when it is active.
    #[must_use]
    pub fn idle(&self, now: Timestamp, used: u64) -> Option<Idle> {
        if self.disabled {
            Some(Idle::Disabled)
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Some(Idle::Expired)
        } else {
            self.limits.quota.is_some_and(|quota| used >= quota).then_some(Idle::QuotaUsed)
        }
    }

    /// The record: kind and version first.
    #[must_use]
    pub fn to_record(&self) -> Secret {
        let mut record = json!({
            "kind": KIND, "version": VERSION, "client_id": self.id.as_str(), "created_at": utc(self.created_at),
            "key_sha256": self.key.hex(), "disabled": self.disabled,
            "public_key": self.wireguard.public_key.to_string(), "address": self.wireguard.address.to_string(),
        });
        let secret = |key: &Option<Secret>| key.as_ref().map(|key| Value::from(key.expose()));
        let optional = [
            ("expires_at", self.expires_at.map(|end| utc(end).into())),
            ("quota_bytes", self.limits.quota.map(Value::from)),
            ("download_bytes_per_second", self.limits.download.map(Value::from)),
            ("upload_bytes_per_second", self.limits.upload.map(Value::from)),
            ("private_key", secret(&self.wireguard.private_key)),
            ("preshared_key", secret(&self.wireguard.preshared_key)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                record[name] = value;
            }
        }
        Secret::new(record.to_string())
    }

    /// Reads [`User::to_record`].
    ///
    /// # Errors
    /// [`RecordError`], which repeats nothing of the record.
    pub fn from_record(record: &Secret) -> Result<Self, RecordError> {
        let map: Map<String, Value> =
            serde_json::from_str(record.expose()).map_err(|_| RecordError::Field("the record"))?;
        let fields = Fields(&map);
        match (map.get("kind").and_then(Value::as_str), map.get("version").and_then(Value::as_u64)) {
            (Some(KIND), Some(VERSION)) => {}
            (Some(KIND), Some(later)) if later > VERSION => return Err(RecordError::Newer(later)),
            _ => return Err(RecordError::Field("kind")),
        }
        let limits = UserLimits {
            quota: fields.number("quota_bytes")?,
            download: fields.number("download_bytes_per_second")?,
            upload: fields.number("upload_bytes_per_second")?,
        };
        let wireguard = WireGuard {
            public_key: fields.parsed("public_key", |text| text.parse().ok())?,
            private_key: fields.optional("private_key")?.map(Secret::new),
            preshared_key: fields.optional("preshared_key")?.map(Secret::new),
            address: fields.parsed("address", |text| text.parse().ok())?,
        };
        let time = |name, text: &str| parse_timestamp(text).map_err(|_| RecordError::Field(name));
        Ok(Self {
            id: fields.parsed("client_id", |text| text.parse().ok())?,
            created_at: fields.parsed("created_at", |text| parse_timestamp(text).ok())?,
            key: fields.parsed("key_sha256", KeyHash::from_hex)?,
            disabled: map.get("disabled").and_then(Value::as_bool).ok_or(RecordError::Field("disabled"))?,
            expires_at: fields.optional("expires_at")?.map(|text| time("expires_at", text)).transpose()?,
            limits,
            wireguard,
        })
    }
}

/// A record's fields by name and type.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn optional(&self, name: &'static str) -> Result<Option<&'a str>, RecordError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(RecordError::Field(name)),
        }
    }

    fn parsed<T>(&self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, RecordError> {
        self.optional(name)?.and_then(read).ok_or(RecordError::Field(name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, RecordError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(RecordError::Field(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::samples::{at, user};

    #[test]
    fn a_record_comes_back_as_it_was_and_fits_into_a_parameter() {
        let mut user = user(&"n".repeat(64), 5);
        user.expires_at = Some(at(3600));
        user.limits = UserLimits { quota: Some(u64::MAX), download: Some(1), upload: Some(2) };
        let record = user.to_record();
        assert!(record.expose().len() < 1024, "{}", record.expose().len());
        assert!(record.expose().starts_with(r#"{"kind":"bowline-vpn-user","version":1"#));
        assert_eq!(User::from_record(&record), Ok(user));
    }

    #[test]
    fn what_we_did_not_write_is_refused_without_repeating_it() {
        let record = user("alice", 5).to_record();
        let changed = |from: &str, to: &str| Secret::new(record.expose().replace(from, to));
        assert_eq!(User::from_record(&changed(r#""version":1"#, r#""version":2"#)), Err(RecordError::Newer(2)));
        assert_eq!(User::from_record(&changed("10.77.0.5", "home")), Err(RecordError::Field("address")));
        assert_eq!(User::from_record(&Secret::new("{")), Err(RecordError::Field("the record")));
        assert_eq!(User::from_record(&Secret::new("{}")), Err(RecordError::Field("kind")));
    }

    #[test]
    fn a_user_is_active_until_one_of_its_ends() {
        let mut user = user("alice", 5);
        assert_eq!(user.idle(at(0), u64::MAX), None);
        user.limits.quota = Some(100);
        assert_eq!((user.idle(at(0), 99), user.idle(at(0), 100)), (None, Some(Idle::QuotaUsed)));
        user.expires_at = Some(at(0) + Duration::from_secs(60));
        assert_eq!((user.idle(at(59), 0), user.idle(at(60), 0)), (None, Some(Idle::Expired)));
        user.disabled = true;
        assert_eq!(user.idle(at(0), 0), Some(Idle::Disabled));
    }
}
