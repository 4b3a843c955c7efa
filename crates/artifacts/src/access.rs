//! Who may read: everybody on this machine, everybody who has a key, or, when somebody says so, everybody.
//!
//! Pure: it is handed the request's header, the peer's address and the time. Wrong keys are counted by address, so that
//! guessing is slow; a request without any key is no guess, because clients ask so first.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use base64::Engine as _;
use bowline_base::Secret;
use ring::digest;
use subtle::{Choice, ConstantTimeEq as _};

/// Wrong keys from one address before it has to wait.
const GUESSES: u32 = 10;
/// For how long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const MOST: usize = 10_000;

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Who reaches a loopback address or a Unix socket; other addresses are not served at all.
    Local,
    /// Whoever reaches the address.
    Open,
    /// Whoever has one of these keys.
    Keys(Vec<Key>),
}

/// What opens the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// For logs; with Basic, the user's name.
    pub name: String,
    /// How it is sent.
    pub scheme: Scheme,
    /// The token or the password.
    pub secret: Secret,
    /// The file that it was read from: what is written there later counts from then on.
    pub file: Option<PathBuf>,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer TOKEN`, or `Basic` with the key's name or any as user and the token as password, because
    /// Maven knows nothing else.
    Token,
    /// `Authorization: Basic`, with this user's name.
    Basic,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Welcome {
    Come,
    /// 401.
    NeedsKey,
    /// 429.
    TooManyGuesses(Duration),
}

/// [`Access`] with the memory of wrong keys.
pub(crate) struct Guard {
    access: RwLock<Access>,
    guesses: Mutex<HashMap<IpAddr, Guesses>>,
}

#[derive(Clone, Copy)]
struct Guesses {
    count: u32,
    since: Duration,
}

impl Guard {
    pub(crate) fn new(access: Access) -> Self {
        Self { access: RwLock::new(access), guesses: Mutex::default() }
    }

    /// Whether keys are asked for at all.
    pub(crate) fn asks(&self) -> bool {
        matches!(*self.access.read().unwrap_or_else(PoisonError::into_inner), Access::Keys(_))
    }

    /// The keys that are asked for.
    pub(crate) fn keys(&self) -> Vec<Key> {
        match &*self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Keys(keys) => keys.clone(),
            Access::Local | Access::Open => Vec::new(),
        }
    }

    /// Asks for these from now on. Wrong keys that came before still count.
    pub(crate) fn ask_for(&self, keys: Vec<Key>) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Access::Keys(keys);
    }

    /// `header`: `Authorization`, as it came; `from`: where from; `now`: boot time.
    pub(crate) fn welcome(&self, header: Option<&[u8]>, from: IpAddr, now: Duration) -> Welcome {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        let Access::Keys(keys) = &*access else { return Welcome::Come };
        let from = network(from);
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |guesses: &Guesses| (guesses.since + WINDOW).saturating_sub(now);
        if let Some(known) = guesses.get(&from)
            && known.count >= GUESSES
            && !left(known).is_zero()
        {
            return Welcome::TooManyGuesses(left(known));
        }
        let Some(header) = header else { return Welcome::NeedsKey };
        if opens(keys, header) {
            return Welcome::Come;
        }
        if guesses.len() >= MOST {
            guesses.retain(|_, known| !left(known).is_zero());
            if guesses.len() >= MOST {
                guesses.clear();
            }
        }
        let known = guesses.entry(from).or_insert(Guesses { count: 0, since: now });
        if left(known).is_zero() {
            *known = Guesses { count: 0, since: now };
        }
        known.count += 1;
        Welcome::NeedsKey
    }
}

/// Every key is compared, whichever is right, and by digests, so that not even a length shows in the time it takes.
fn opens(keys: &[Key], header: &[u8]) -> bool {
    let Some((scheme, rest)) = std::str::from_utf8(header).ok().and_then(|text| text.trim().split_once(' ')) else {
        return false;
    };
    let (user, secret) = if scheme.eq_ignore_ascii_case("bearer") {
        (None, rest.trim().to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok();
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else { return false };
        (Some(user.to_owned()), secret.to_owned())
    } else {
        return false;
    };
    let fits = |key: &Key| match (key.scheme, &user) {
        (Scheme::Token, _) => same(key.secret.expose(), &secret),
        (Scheme::Basic, Some(user)) => same(key.secret.expose(), &secret) & same(&key.name, user),
        (Scheme::Basic, None) => Choice::from(0),
    };
    bool::from(keys.iter().fold(Choice::from(0), |any, key| any | fits(key)))
}

fn same(known: &str, given: &str) -> Choice {
    let sum = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    sum(known).as_ref().ct_eq(sum(given).as_ref())
}

/// One host has as many IPv6 addresses as it likes: its network counts.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn guard() -> Guard {
        let key = |name: &str, scheme, secret: &str| Key {
            name: name.to_owned(),
            scheme,
            secret: Secret::new(secret),
            file: None,
        };
        Guard::new(Access::Keys(vec![key("ci", Scheme::Token, "token-1"), key("ann", Scheme::Basic, "pass:word")]))
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    fn come(header: &str) -> bool {
        guard().welcome(Some(header.as_bytes()), HERE, Duration::ZERO) == Welcome::Come
    }

    #[test]
    fn a_token_opens_as_bearer_and_as_password_a_user_s_password_only_with_the_name() {
        for good in
            ["Bearer token-1".to_owned(), "bearer  token-1 ".to_owned(), basic("any:token-1"), basic("ann:pass:word")]
        {
            assert!(come(&good), "{good}");
        }
        let bad = [
            "Bearer token-2",
            "Bearer token",
            "Bearer ",
            "Bearer",
            "",
            "Bearer pass:word",
            "Digest token-1",
            "Basic !",
        ];
        for bad in bad.map(str::to_owned).into_iter().chain([basic("bob:pass:word"), basic("ann:"), basic("ann")]) {
            assert!(!come(&bad), "{bad}");
        }
    }

    #[test]
    fn ten_wrong_keys_close_the_door_to_their_address_for_a_minute() {
        let guard = guard();
        let at = |seconds: u64| Duration::from_secs(1000 + seconds);
        for _ in 0..100 {
            assert_eq!(guard.welcome(None, HERE, at(0)), Welcome::NeedsKey, "no key is no guess");
        }
        for _ in 0..10 {
            assert_eq!(guard.welcome(Some(b"Bearer x"), HERE, at(0)), Welcome::NeedsKey);
        }
        let wait = Welcome::TooManyGuesses(Duration::from_secs(50));
        assert_eq!(guard.welcome(Some(b"Bearer token-1"), HERE, at(10)), wait);
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(guard.welcome(Some(b"Bearer token-1"), other, at(10)), Welcome::Come);
        assert_eq!(guard.welcome(Some(b"Bearer token-1"), HERE, at(60)), Welcome::Come);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), HERE);
    }

    #[test]
    fn without_keys_everybody_comes() {
        assert_eq!(Guard::new(Access::Open).welcome(None, HERE, Duration::ZERO), Welcome::Come);
        assert!(!Guard::new(Access::Local).asks());
    }
}
