//! Which address a user has inside the tunnel: free, and found again by the same rule on every server.
//!
//! The search begins at a place that the name gives, so that two servers that add users at the same moment take different
//! addresses. Where they did not, the elder keeps it (see `directory`).

use std::{collections::BTreeSet, net::Ipv4Addr, str::FromStr};

use sha2::{Digest as _, Sha256};

use super::ClientId;

/// The range of users' addresses; the first one is the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    bits: u8,
}

/// The text is no subnet that users fit into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subnet for users: write it like 10.77.0.0/16, between /8 and /29, with no bit behind the mask")]
pub struct SubnetError(String);

impl Default for Subnet {
    /// `10.77.0.0/16`
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 77, 0, 0).to_bits(), bits: 16 }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let wrong = || SubnetError(text.to_owned());
        let (address, bits) = text.trim().split_once('/').ok_or_else(wrong)?;
        let (base, bits) = (address.parse::<Ipv4Addr>().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?);
        let subnet = Self { base: base.to_bits(), bits };
        let fits = (8..=29).contains(&bits) && subnet.base & (subnet.size() - 1) == 0;
        if fits { Ok(subnet) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}

impl Subnet {
    /// The server's own address.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        (self.base + 1).into()
    }

    /// How many leading bits it has.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether a user may have `address`.
    #[must_use]
    pub fn is_for_users(&self, address: Ipv4Addr) -> bool {
        (2..self.size() - 1).contains(&address.to_bits().wrapping_sub(self.base))
    }

    /// An address for `id` that is not in `taken`; `None` when all are.
    #[must_use]
    pub fn free_for(&self, id: &ClientId, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let places = self.size() - 3;
        let digest = Sha256::digest(id.as_str());
        let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % places;
        (0..places).map(|step| Ipv4Addr::from(self.base + 2 + (start + step) % places)).find(|one| !taken.contains(one))
    }

    fn size(&self) -> u32 {
        1 << (32 - u32::from(self.bits))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_user_gets_another_address_until_there_is_none(names in proptest::collection::btree_set("[a-z]{1,8}", 1..40)) {
            let subnet: Subnet = "192.168.5.0/27".parse().unwrap();
            let mut taken = BTreeSet::new();
            for name in &names {
                let address = subnet.free_for(&name.parse().unwrap(), &taken);
                prop_assert_eq!(address.is_some(), taken.len() < 29);
                if let Some(address) = address {
                    prop_assert!(subnet.is_for_users(address) && taken.insert(address));
                }
            }
        }
    }

    #[test]
    fn the_server_and_the_ends_of_the_range_are_nobodys() {
        let subnet = Subnet::default();
        assert_eq!((subnet.server().to_string(), subnet.to_string()), ("10.77.0.1".into(), "10.77.0.0/16".into()));
        for (address, is) in [
            ("10.77.0.0", false),
            ("10.77.0.1", false),
            ("10.77.0.2", true),
            ("10.77.255.255", false),
            ("10.78.0.2", false),
        ] {
            assert_eq!(subnet.is_for_users(address.parse().unwrap()), is, "{address}");
        }
        for bad in ["10.77.0.0", "10.77.0.1/16", "10.77.0.0/30", "::/64", "10.0.0.0/7", "x/16"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
