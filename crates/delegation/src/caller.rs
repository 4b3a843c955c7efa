//! Who a manager is towards AWS: the user behind its keys, or why keys of another kind cannot manage users.

use base::{Fault, Kind};
use bowline_base as base;

/// An IAM user, as `GetCallerIdentity` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'static str,
    /// Twelve digits.
    pub account: String,
    /// Without its path.
    pub user: String,
}

/// Keys that are not a user's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongKind {
    /// A role's session.
    #[error("these are the keys of a role session (`{0}`), and a manager is an IAM user")]
    AssumedRole(String),
    /// `GetFederationToken`.
    #[error("these are the keys of a federated user (`{0}`), whom IAM does not let in")]
    Federated(String),
    /// The account itself.
    #[error("these are the root keys of account {0}, which nothing should use")]
    Root(String),
    /// Something else.
    #[error("`{0}` is no IAM user")]
    Other(String),
}

impl Caller {
    /// Reads `arn:aws:iam::111122223333:user/path/NAME`.
    ///
    /// # Errors
    /// [`WrongKind`] of identity.
    pub fn of(arn: &str) -> Result<Self, WrongKind> {
        let other = || WrongKind::Other(arn.to_owned());
        let ["arn", partition, service, _, account, resource] = arn.splitn(6, ':').collect::<Vec<_>>()[..] else {
            return Err(other());
        };
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        match (service, kind) {
            ("iam", "user") => {}
            ("iam", "root") => return Err(WrongKind::Root(account.to_owned())),
            ("sts", "assumed-role") => return Err(WrongKind::AssumedRole(arn.to_owned())),
            ("sts", "federated-user") => return Err(WrongKind::Federated(arn.to_owned())),
            _ => return Err(other()),
        }
        let user = rest.rsplit('/').next().filter(|name| !name.is_empty()).ok_or_else(other)?;
        let known = ["aws", "aws-cn", "aws-us-gov"].into_iter().find(|known| *known == partition);
        Ok(Self { partition: known.ok_or_else(other)?, account: account.to_owned(), user: user.to_owned() })
    }
}

impl From<WrongKind> for Fault {
    fn from(error: WrongKind) -> Self {
        let hint = match &error {
            WrongKind::AssumedRole(_) => {
                "name the profile that holds the manager's own long-lived key: --profile NAME; unset AWS_PROFILE and \
                 AWS_ACCESS_KEY_ID if they stand in the way"
            }
            WrongKind::Federated(_) => "use the long-lived key of the manager: --profile NAME",
            WrongKind::Root(_) => {
                "make an IAM user for the manager (`bowline policy admin PREFIX` prints how), and delete the root keys"
            }
            WrongKind::Other(_) => "look with `aws sts get-caller-identity` whose keys these are",
        };
        Self::new(Kind::Refused, "iam", error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_from_what_is_none() {
        let user = Caller::of("arn:aws-cn:iam::111122223333:user/team/a/dirk-mgr").unwrap();
        assert_eq!((user.partition, user.account.as_str(), user.user.as_str()), ("aws-cn", "111122223333", "dirk-mgr"));
        for (arn, word) in [
            ("arn:aws:sts::111122223333:assumed-role/build/s", "role session"),
            ("arn:aws:sts::111122223333:federated-user/x", "federated"),
            ("arn:aws:iam::111122223333:root", "root keys"),
            ("arn:aws:iam::111122223333:user/", "no IAM user"),
            ("nonsense", "no IAM user"),
        ] {
            let fault = Fault::from(Caller::of(arn).unwrap_err());
            assert!(fault.message.contains(word) && fault.hint.is_some(), "{arn}: {}", fault.message);
        }
    }
}
