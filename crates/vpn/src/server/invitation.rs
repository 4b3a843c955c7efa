//! An invitation: a link that makes one user, once, until its end. Only a hash of the link's key is kept.

use bowline_base::{Secret, Timestamp, parse_timestamp, utc};
use serde_json::{Value, json};

use super::{ClientId, KeyHash, user::UserLimits};

/// An invitation that nobody has accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Who it is for.
    pub id: ClientId,
    /// Of the key in the link.
    pub key: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is nothing.
    pub expires_at: Timestamp,
    /// When the user that it makes ends by itself.
    pub user_expires_at: Option<Timestamp>,
    /// What the user may use.
    pub limits: UserLimits,
}

const KIND: &str = "bowline-vpn-invitation";

impl Invitation {
    /// Whether it can still be accepted.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// The record: kind and version first.
    #[must_use]
    pub fn to_record(&self) -> Secret {
        let text = json!({
            "kind": KIND, "version": 1, "client_id": self.id.as_str(), "key_sha256": self.key.hex(),
            "created_at": utc(self.created_at), "expires_at": utc(self.expires_at),
            "user_expires_at": self.user_expires_at.map(utc), "quota_bytes": self.limits.quota,
            "download_bytes_per_second": self.limits.download, "upload_bytes_per_second": self.limits.upload,
        });
        Secret::new(text.to_string())
    }

    /// Reads [`Invitation::to_record`]; `None` for what is not ours or of a later version.
    #[must_use]
    pub fn from_record(record: &Secret) -> Option<Self> {
        let value: Value = serde_json::from_str(record.expose()).ok()?;
        if value["kind"] != KIND || value["version"] != 1 {
            return None;
        }
        let time = |name: &str| parse_timestamp(value[name].as_str()?).ok();
        let number = |name: &str| value[name].as_u64();
        Some(Self {
            id: value["client_id"].as_str()?.parse().ok()?,
            key: KeyHash::from_hex(value["key_sha256"].as_str()?)?,
            created_at: time("created_at")?,
            expires_at: time("expires_at")?,
            user_expires_at: time("user_expires_at"),
            limits: UserLimits {
                quota: number("quota_bytes"),
                download: number("download_bytes_per_second"),
                upload: number("upload_bytes_per_second"),
            },
        })
    }
}
