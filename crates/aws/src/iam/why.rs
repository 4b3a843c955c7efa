//! Why IAM says no, and what helps.

use crate::Error;

/// What a refusal of IAM, or of STS about keys of IAM, comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No such user, key or policy, or one that is too new to be seen.
    Missing,
    /// The name is taken.
    Exists,
    /// A quota: two keys a user, fifty tags, the length of a policy.
    LimitReached,
    /// The keys are good and may not do this.
    NotAllowed,
    /// Something hangs on it.
    InUse,
    /// The keys are unknown: deleted, inactive, too new, or a session that IAM does not take.
    UnknownKey,
    /// The keys are somebody's and IAM wants a user's.
    NoUser,
    /// The policy is none, or has something in it that IAM does not know.
    BadPolicy,
    /// Too many calls, or somebody else changes the same thing.
    Busy,
}

impl Why {
    /// What `error` comes down to; `None` where it is no refusal, or one of another kind.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        Some(match error.code()? {
            "NoSuchEntity" | "NoSuchEntityException" => Self::Missing,
            "EntityAlreadyExists" => Self::Exists,
            "LimitExceeded" => Self::LimitReached,
            "AccessDenied" | "AccessDeniedException" => Self::NotAllowed,
            "DeleteConflict" => Self::InUse,
            "InvalidClientTokenId" => Self::UnknownKey,
            "MalformedPolicyDocument" => Self::BadPolicy,
            "ValidationError" if error.message().is_some_and(|text| text.contains("non-User")) => Self::NoUser,
            "Throttling" | "ThrottlingException" | "ConcurrentModification" | "EntityTemporarilyUnmodifiable" => {
                Self::Busy
            }
            _ => return None,
        })
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::Missing => "check the name; if it was made a moment ago, try again in ten seconds",
            Self::Exists => "take the one that is there, or another name (IAM does not look at the case of names)",
            Self::LimitReached => "remove what is no longer needed; a user may have two access keys",
            Self::NotAllowed => "ask whoever administers the account for this right, or keep to your own namespace",
            Self::InUse => "delete the access keys and policies of the user first",
            Self::UnknownKey => {
                "if the key is new, try again in ten seconds; IAM takes long-lived keys, and sessions of \
                 `GetSessionToken` with MFA only"
            }
            Self::NoUser => "use the long-lived keys of an IAM user: this is a role, a federated user or root",
            Self::BadPolicy => "look at the document: IAM does not take it",
            Self::Busy => "try again in a minute",
        }
    }
}
