//! Why EC2 says no to a call about VPNs, and what helps.

use crate::Error;

/// What a refusal comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No such customer gateway: deleted, or too new to be seen.
    NoGateway,
    /// No such VPN connection in this account and region.
    NoConnection,
    /// A connection points at the gateway.
    InUse,
    /// The connection is being changed, made or deleted.
    Changing,
    /// The gateway is not ready yet, or not any more.
    GatewayNotReady,
    /// Another gateway with this address is used towards the same AWS side.
    SameAddress,
    /// As many gateways as the region may have.
    QuotaReached,
    /// The keys are good and may not do this.
    NotAllowed,
    /// Too many calls, or EC2 is not well.
    Busy,
    /// EC2 does not take a value.
    BadValue,
}

impl Why {
    /// What `error` comes down to; `None` where it is no refusal, or one of another kind.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let deleting = error.operation() == "DeleteCustomerGateway";
        Some(match error.code()? {
            "InvalidCustomerGatewayID.NotFound" => Self::NoGateway,
            "InvalidVpnConnectionID.NotFound" => Self::NoConnection,
            "IncorrectState" | "DependencyViolation" if deleting => Self::InUse,
            "IncorrectState" | "InvalidVpnConnection.InvalidState" => Self::Changing,
            "InvalidCustomerGatewayState" => Self::GatewayNotReady,
            "InvalidCustomerGateway.DuplicateIpAddress" => Self::SameAddress,
            "CustomerGatewayLimitExceeded" => Self::QuotaReached,
            "UnauthorizedOperation" => Self::NotAllowed,
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "InternalError"
            | "Unavailable"
            | "ServiceUnavailable"
            | "EC2ThrottledException" => Self::Busy,
            "InvalidParameterValue" | "InvalidParameterCombination" | "MissingParameter" | "InvalidParameter" => {
                Self::BadValue
            }
            _ => return None,
        })
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::NoGateway => "if it was made a moment ago, try again in a minute; else it is gone",
            Self::NoConnection => "check the id, the region and the account: `aws ec2 describe-vpn-connections`",
            Self::InUse => "wait until no VPN connection points at it",
            Self::Changing => "wait until the connection is `available`; a change takes three to six minutes",
            Self::GatewayNotReady => "wait until the gateway is `available`, or take another",
            Self::SameAddress => "use the gateway that has this address already",
            Self::QuotaReached => "delete gateways that are no longer used, or ask AWS for a higher quota",
            Self::NotAllowed => "ask whoever administers the account for this right",
            Self::Busy => "try again in a minute",
            Self::BadValue => "look at the value that EC2 names",
        }
    }
}
