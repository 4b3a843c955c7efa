//! Why an address is refused: a label for counters and a sentence for people.

/// The rule that an address met. Names are stable: they are the `reason` label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// Metadata, task and pod credentials, and Amazon's time and DNS beside them.
    #[error("the address hands out this machine's credentials: no allowed range opens it")]
    CredentialAddress,
    /// `0.0.0.0/8`, `::`.
    #[error("the address means no host")]
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    #[error("the address is this machine's loopback")]
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`.
    #[error("the address is link-local")]
    LinkLocal,
    /// RFC 1918, `fc00::/7`.
    #[error("the address is private: an allowed range that holds it opens it")]
    Private,
    /// `100.64.0.0/10`.
    #[error("the address is shared space of carriers (100.64.0.0/10): an allowed range that holds it opens it")]
    SharedAddress,
    /// Protocol assignments and benchmarking.
    #[error("the address is reserved")]
    Reserved,
    /// `224.0.0.0/4`, `ff00::/8`.
    #[error("the address is multicast")]
    Multicast,
    /// `255.255.255.255`.
    #[error("the address is broadcast")]
    Broadcast,
    /// NAT64, 6to4, Teredo and IPv4-compatible addresses.
    #[error("the address wraps another one")]
    Wrapped,
    /// An address of this machine.
    #[error("the address is this machine's own: only an allowed entry that is exactly this address opens it")]
    OwnAddress,
    /// A port of this program on this machine.
    #[error("the port is one that this program listens on")]
    OwnPort,
    /// Another user.
    #[error("users of the tunnel do not reach each other here")]
    ClientToClient,
    /// Port 25.
    #[error("mail to port 25 is off")]
    Smtp,
}

impl Reason {
    /// Every reason, in the order of `as usize`: a counter for each.
    pub const ALL: [Self; 14] = [
        Self::CredentialAddress,
        Self::Unspecified,
        Self::Loopback,
        Self::LinkLocal,
        Self::Private,
        Self::SharedAddress,
        Self::Reserved,
        Self::Multicast,
        Self::Broadcast,
        Self::Wrapped,
        Self::OwnAddress,
        Self::OwnPort,
        Self::ClientToClient,
        Self::Smtp,
    ];

    /// The value of the metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::CredentialAddress => "credential_address",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Private => "private",
            Self::SharedAddress => "shared_address",
            Self::Reserved => "reserved",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Wrapped => "wrapped",
            Self::OwnAddress => "own_address",
            Self::OwnPort => "own_port",
            Self::ClientToClient => "client_to_client",
            Self::Smtp => "smtp",
        }
    }

    /// Whether the refused address is this machine, so that the ports it listens on matter.
    pub(super) fn is_this_machine(self) -> bool {
        matches!(self, Self::Loopback | Self::Unspecified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place_and_a_label_of_its_own() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            assert_eq!(Reason::ALL.iter().filter(|other| other.label() == reason.label()).count(), 1);
        }
    }
}
