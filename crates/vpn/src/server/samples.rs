//! Users for tests.

use std::net::Ipv4Addr;

use bowline_base::Timestamp;
use bowline_tunnel::SecretKey;

use super::{
    KeyHash, User,
    api_key::{self, Purpose},
    user::{UserLimits, WireGuard},
};

/// So many seconds after an arbitrary moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A user whose keys and address are made of `number`.
pub(crate) fn user(name: &str, number: u8) -> User {
    let private = SecretKey::generate([number; 32]);
    User {
        id: name.parse().unwrap(),
        created_at: at(0),
        key: KeyHash::of(&api_key::new_key(Purpose::User, &[number; 32])),
        disabled: false,
        expires_at: None,
        limits: UserLimits::default(),
        wireguard: WireGuard {
            public_key: private.public(),
            private_key: Some(private.to_base64()),
            preshared_key: Some(SecretKey::from_bytes([number; 32]).to_base64()),
            address: Ipv4Addr::new(10, 77, 0, number),
        },
    }
}
