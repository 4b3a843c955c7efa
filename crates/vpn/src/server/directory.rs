//! Everybody who is known, as the store has it: pure, rebuilt name by name from what the store says.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use bowline_base::Timestamp;
use bowline_tunnel::PublicKey;

use super::{
    ClientId, KeyHash, User,
    invitation::Invitation,
    layout::{Meaning, meaning},
    store::{Value, Values},
    usage::Usage,
    user::Idle,
};

/// Users, invitations and what was used.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: BTreeMap<ClientId, Arc<User>>,
    keys: BTreeMap<KeyHash, ClientId>,
    peers: BTreeMap<PublicKey, ClientId>,
    usage: BTreeMap<ClientId, Usage>,
    invitations: BTreeMap<String, Invitation>,
    /// Records that cannot be used, and why.
    troubles: BTreeMap<String, String>,
}

impl Directory {
    /// What `values` say.
    #[must_use]
    pub fn read(values: &Values) -> Self {
        let mut directory = Self::default();
        for (name, value) in values {
            directory.apply(name, Some(value));
        }
        directory
    }

    /// Takes what the store has under `name` now; nothing, when it has been removed.
    pub fn apply(&mut self, name: &str, value: Option<&Value>) {
        self.troubles.remove(name);
        match meaning(name) {
            Meaning::User(id) => self.apply_user(name, id, value),
            Meaning::Usage(id) => {
                let Ok(id) = id.parse() else { return };
                match value.and_then(|value| Usage::from_record(&value.text)) {
                    Some(usage) => drop(self.usage.insert(id, usage)),
                    None => drop(self.usage.remove(&id)),
                }
            }
            Meaning::Invitation => match value.and_then(|value| Invitation::from_record(&value.text)) {
                Some(invitation) => drop(self.invitations.insert(name.to_owned(), invitation)),
                None => drop(self.invitations.remove(name)),
            },
            Meaning::Other => {}
        }
    }

    fn apply_user(&mut self, name: &str, id: &str, value: Option<&Value>) {
        let Ok(id) = id.parse::<ClientId>() else { return };
        if let Some(old) = self.users.remove(&id) {
            self.keys.remove(&old.key);
            self.peers.remove(&old.wireguard.public_key);
        }
        let Some(value) = value else { return };
        match User::from_record(&value.text) {
            Ok(user) if user.id == id => {
                self.keys.insert(user.key, id.clone());
                self.peers.insert(user.wireguard.public_key, id.clone());
                self.users.insert(id, Arc::new(user));
            }
            Ok(user) => drop(self.troubles.insert(name.to_owned(), format!("it is the record of `{}`", user.id))),
            Err(error) => drop(self.troubles.insert(name.to_owned(), error.to_string())),
        }
    }

    /// The user of this name.
    #[must_use]
    pub fn user(&self, id: &ClientId) -> Option<&Arc<User>> {
        self.users.get(id)
    }

    /// Every user, in the order of their names.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// Whose API key it is.
    #[must_use]
    pub fn of_key(&self, key: &KeyHash) -> Option<&Arc<User>> {
        let user = self.users.get(self.keys.get(key)?)?;
        user.key.matches(key).then_some(user)
    }

    /// Whose peer it is.
    #[must_use]
    pub fn of_peer(&self, peer: &PublicKey) -> Option<&ClientId> {
        self.peers.get(peer)
    }

    /// What the store says that a user has used.
    #[must_use]
    pub fn usage(&self, id: &ClientId) -> Usage {
        self.usage.get(id).copied().unwrap_or_default()
    }

    /// Invitations that can still be accepted, by their names in the store.
    pub fn invitations(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Invitation)> {
        self.invitations.iter().filter(move |(_, invitation)| invitation.is_open(now))
    }

    /// Names of invitations that are over.
    pub fn stale_invitations(&self, now: Timestamp) -> Vec<String> {
        let stale = self.invitations.iter().filter(|(_, invitation)| !invitation.is_open(now));
        stale.map(|(name, _)| name.clone()).collect()
    }

    /// Records that cannot be used, and why; they are never removed.
    #[must_use]
    pub fn troubles(&self) -> &BTreeMap<String, String> {
        &self.troubles
    }

    /// Addresses that are somebody's.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.users().map(|user| user.wireguard.address).collect()
    }

    /// Why each user who is not let in at `now` is not; `used` knows how much each has used.
    #[must_use]
    pub fn idle(&self, now: Timestamp, used: impl Fn(&ClientId) -> u64) -> BTreeMap<ClientId, Idle> {
        let mut elders: BTreeMap<Ipv4Addr, (Timestamp, &ClientId)> = BTreeMap::new();
        for user in self.users() {
            let me = (user.created_at, &user.id);
            let elder = elders.entry(user.wireguard.address).or_insert(me);
            *elder = (*elder).min(me);
        }
        let why = |user: &Arc<User>| {
            let younger = elders.get(&user.wireguard.address).is_some_and(|(_, elder)| **elder != user.id);
            let why = user.idle(now, used(&user.id)).or(younger.then_some(Idle::AddressTaken))?;
            Some((user.id.clone(), why))
        };
        self.users().filter_map(why).collect()
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::Secret;

    use super::*;
    use crate::server::{
        layout,
        samples::{at, user},
    };

    fn put(directory: &mut Directory, user: &User) {
        directory.apply(&layout::record(&user.id), Some(&Value::sealed(user.to_record())));
    }

    #[test]
    fn a_key_finds_its_user_until_it_is_rotated_or_removed() {
        let (mut directory, mut alice) = (Directory::default(), user("alice", 2));
        put(&mut directory, &alice);
        let old = alice.key;
        assert_eq!(directory.of_key(&old).unwrap().id, alice.id);
        alice.key = user("x", 9).key;
        put(&mut directory, &alice);
        assert!(directory.of_key(&old).is_none() && directory.of_key(&alice.key).is_some());
        directory.apply("users/alice/record", None);
        assert!(directory.of_key(&alice.key).is_none() && directory.users().count() == 0);
        assert!(directory.of_peer(&alice.wireguard.public_key).is_none());
    }

    #[test]
    fn of_two_with_one_address_the_elder_keeps_it() {
        let mut directory = Directory::default();
        let (elder, mut younger) = (user("zoe", 2), user("alice", 3));
        younger.created_at = at(1);
        younger.wireguard.address = elder.wireguard.address;
        put(&mut directory, &elder);
        put(&mut directory, &younger);
        assert_eq!(directory.idle(at(5), |_| 0), [(younger.id, Idle::AddressTaken)].into());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_does_not_hide_the_rest() {
        let mut directory = Directory::default();
        put(&mut directory, &user("alice", 2));
        directory.apply("users/bob/record", Some(&Value::sealed(Secret::new("{}"))));
        directory.apply("users/eve/record", Some(&Value::sealed(user("alice", 2).to_record())));
        assert_eq!((directory.users().count(), directory.troubles().len()), (1, 2));
        directory.apply("users/bob/record", None);
        assert_eq!(directory.troubles().keys().collect::<Vec<_>>(), ["users/eve/record"]);
    }
}
