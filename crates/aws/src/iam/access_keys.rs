//! Access keys of users: at most two each, active or inactive.

use std::fmt;

use bowline_base::{Credentials, Identity, KeyId, Secret, Timestamp, parse_timestamp};

use super::{Ask, done, nonsense, pages, result, text};
use crate::{Aws, Error, Region, xml::Element};

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It signs.
    Active,
    /// It is kept, and refused everywhere.
    Inactive,
}

impl Status {
    /// As IAM writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: KeyId,
    /// Whether it may be used; what is neither word of IAM's (`Expired`) may not.
    pub status: Status,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whose key it is, and when it was used last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUsed {
    /// The name of the owner.
    pub user: String,
    /// Some minutes late, at AWS; `None` when it never was.
    pub at: Option<Timestamp>,
    /// `sts`; `None` when it was never used.
    pub service: Option<String>,
    /// `us-east-1`; `None` when it was never used.
    pub region: Option<String>,
}

/// The keys of `user`, or of the one whose keys these are.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when there is no such user.
pub async fn list_access_keys(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    user: Option<&str>,
) -> Result<Vec<AccessKey>, Error> {
    let ask = Ask::new("ListAccessKeys", &[("UserName", user)]);
    pages(aws, region, identity, &ask, ("AccessKeyMetadata", read)).await
}

/// Makes a key. The secret is in this answer and nowhere else; STS takes the key some seconds later. Repeated by itself
/// only where nothing was made.
///
/// # Errors
/// [`Error`]; [`super::Why::LimitReached`] when there are two already; ambiguous when the answer was lost: there may be a
/// key then whose secret nobody has, and [`list_access_keys`] tells.
pub async fn create_access_key(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    user: Option<&str>,
) -> Result<Credentials, Error> {
    let ask = Ask::new("CreateAccessKey", &[("UserName", user)]).makes();
    let answer = result(aws, region, identity, &ask).await?;
    let part = |name| text(&answer, &["AccessKey", name]).ok_or_else(|| nonsense(ask.operation).ambiguous());
    Ok(Credentials {
        key_id: KeyId::new(part("AccessKeyId")?),
        secret_key: Secret::new(part("SecretAccessKey")?),
        session_token: None,
        expires_at: None,
        obtained_at: aws.wall(),
        account_id: None,
    })
}

/// Makes a key active or inactive; may be done twice.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when the user has no such key.
pub async fn update_access_key(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    user: Option<&str>,
    (key, status): (&KeyId, Status),
) -> Result<(), Error> {
    let fields = [("UserName", user), ("AccessKeyId", Some(key.as_str())), ("Status", Some(status.as_str()))];
    done(aws, region, identity, &Ask::new("UpdateAccessKey", &fields)).await
}

/// Deletes a key for good. A key that was made a moment ago may be missing still and come into being after this.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when the user has no such key, which a repetition after a lost answer also meets.
pub async fn delete_access_key(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    user: Option<&str>,
    key: &KeyId,
) -> Result<(), Error> {
    let fields = [("UserName", user), ("AccessKeyId", Some(key.as_str()))];
    done(aws, region, identity, &Ask::new("DeleteAccessKey", &fields)).await
}

/// Names the owner of a key in one call.
///
/// # Errors
/// [`Error`]; for a key of no user here AWS says [`super::Why::NotAllowed`], and others [`super::Why::Missing`].
pub async fn access_key_last_used(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    key: &KeyId,
) -> Result<LastUsed, Error> {
    let ask = Ask::new("GetAccessKeyLastUsed", &[("AccessKeyId", Some(key.as_str()))]);
    let answer = result(aws, region, identity, &ask).await?;
    let told = |name| text(&answer, &["AccessKeyLastUsed", name]).filter(|text| text != "N/A");
    let at = told("LastUsedDate").map(|text| parse_timestamp(&text)).transpose();
    Ok(LastUsed {
        user: text(&answer, &["UserName"]).ok_or_else(|| nonsense(ask.operation))?,
        at: at.map_err(|_| nonsense(ask.operation))?,
        service: told("ServiceName"),
        region: told("Region"),
    })
}

fn read(element: &Element) -> Option<AccessKey> {
    let active = element.text_at(&["Status"])? == Status::Active.as_str();
    Some(AccessKey {
        id: KeyId::new(text(element, &["AccessKeyId"])?),
        status: if active { Status::Active } else { Status::Inactive },
        created_at: parse_timestamp(element.text_at(&["CreateDate"])?).ok()?,
    })
}
