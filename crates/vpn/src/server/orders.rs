//! What an operator or a user may order, decided: which steps in the store, and what is handed out. Nothing is done here.

use std::time::Duration;

use bowline_base::{Fault, Secret, Timestamp};
use bowline_tunnel::PublicKey;

use super::{
    ClientId, KeyHash, User,
    addresses::Subnet,
    api_key::{Purpose, new_key},
    directory::Directory,
    invitation::Invitation,
    layout::{self, Random, Step},
    store::Value,
    usage::Usage,
    user::UserLimits,
};

/// What a new user is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its own key, of which we never see the private half.
    pub public_key: Option<PublicKey>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// What it may use.
    pub limits: UserLimits,
}

/// What is ordered.
#[derive(Clone, Debug)]
pub enum Order {
    /// A new user.
    Create(ClientId, Wanted),
    /// Its end.
    Delete(ClientId),
    /// Turned off, or on again.
    Disable(ClientId, bool),
    /// Other limits or another end; `None` leaves it as it is, `Some(None)` takes it away.
    Change(ClientId, Change),
    /// Other keys.
    Rotate(ClientId, Option<PublicKey>),
    /// A link for somebody who is no user yet.
    Invite(ClientId, Wanted, Duration),
    /// The link of an invitation is used.
    Accept(Secret, Option<PublicKey>),
    /// An invitation is taken back.
    Uninvite(ClientId),
}

/// What is changed of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Its end.
    pub expires_at: Option<Option<Timestamp>>,
    /// Bytes in both directions together.
    pub quota: Option<Option<u64>>,
    /// Bytes a second to it.
    pub download: Option<Option<u64>>,
    /// Bytes a second from it.
    pub upload: Option<Option<u64>>,
    /// Count its usage from nothing.
    pub reset_usage: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The user as it is now, and its new API key.
    Keyed(Box<User>, Secret),
    /// The user as it is now.
    User(Box<User>),
    /// The invitation, and the key of its link.
    Invited(Invitation, Secret),
    /// There is nothing more to say.
    Gone,
}

/// Why it is not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No such user, or no such invitation.
    #[error("there is no {0}")]
    Missing(String),
    /// It is there already.
    #[error("{0}")]
    Taken(String),
    /// It cannot be done with these values.
    #[error("{0}")]
    Unusable(String),
    /// The invitation was used, has expired, or never was.
    #[error("this invitation is used, expired or unknown")]
    NoInvitation,
    /// The store or the tunnel does not do it now.
    #[error("{}", .0.chain())]
    Away(std::sync::Arc<Fault>),
}

/// A plan: steps in the store, and what comes of them.
pub(crate) type Plan = (Vec<Step>, Done);

/// The longest that an invitation can be open.
pub const LONGEST_INVITATION: Duration = Duration::from_secs(30 * 86400);

/// Everything that a decision looks at.
pub(crate) struct Desk<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) subnet: &'a Subnet,
    pub(crate) now: Timestamp,
    pub(crate) random: Random<'a>,
}

impl Desk<'_> {
    /// What `order` takes.
    pub(crate) fn decide(&mut self, order: Order) -> Result<Plan, Refusal> {
        match order {
            Order::Create(id, wanted) => self.create(id, &wanted),
            Order::Delete(id) => self.delete(&id),
            Order::Disable(id, disabled) => {
                let user = self.user(&id)?;
                Ok(replaced(User { disabled, ..user }))
            }
            Order::Change(id, change) => self.change(&id, &change),
            Order::Rotate(id, own) => self.rotate(&id, own),
            Order::Invite(id, wanted, open) => self.invite(id, &wanted, open),
            Order::Accept(key, own) => self.accept(&key, own),
            Order::Uninvite(id) => self.uninvite(&id),
        }
    }

    /// What makes it good that nobody has heard the key that `order` gives: users and links are again as they are before it.
    /// Links first: where this breaks off, one of them gives the user that is there other keys.
    pub(crate) fn unheard(&self, order: &Order) -> Vec<Step> {
        let (id, links): (&ClientId, Vec<&Invitation>) = match order {
            Order::Create(id, _) => (id, self.links(id).map(|(_, link)| link).collect()),
            Order::Rotate(id, _) => (id, Vec::new()),
            Order::Accept(key, _) => match self.invitation(&KeyHash::of(key)) {
                Some(link) => (&link.id, vec![link]),
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let open = |link: &Invitation| Step::Create(layout::invitation(&link.key), Value::sealed(link.to_record()));
        let record = layout::record(id);
        let user = match self.directory.user(id) {
            Some(user) => Step::Replace(record, Value::sealed(user.to_record())),
            None => Step::Remove(record),
        };
        links.into_iter().map(open).chain([user]).collect()
    }

    fn user(&self, id: &ClientId) -> Result<User, Refusal> {
        let user = self.directory.user(id).ok_or_else(|| Refusal::Missing(format!("user `{id}`")))?;
        Ok(User::clone(user))
    }

    /// A link for the name ends first: it would give the new user other keys.
    fn create(&mut self, id: ClientId, wanted: &Wanted) -> Result<Plan, Refusal> {
        if self.directory.user(&id).is_some() {
            return Err(Refusal::Taken(format!("user `{id}` is there already")));
        }
        let mut steps = self.withdrawn(&id);
        let (more, done) = self.made(id, wanted)?;
        steps.extend(more);
        Ok((steps, done))
    }

    fn made(&mut self, id: ClientId, wanted: &Wanted) -> Result<Plan, Refusal> {
        self.check(wanted)?;
        let address = self.directory.addresses();
        let address = self.subnet.free_for(&id, &address).ok_or_else(|| away(layout::full(self.subnet)))?;
        let key = new_key(Purpose::User, &self.random()?);
        let wireguard = layout::new_wireguard(wanted.public_key, address, self.random).map_err(away)?;
        let user = User {
            created_at: whole_seconds(self.now),
            key: KeyHash::of(&key),
            disabled: false,
            expires_at: wanted.expires_at,
            limits: wanted.limits,
            wireguard,
            id,
        };
        let mut steps = vec![Step::Create(layout::record(&user.id), Value::sealed(user.to_record()))];
        if self.directory.usage(&user.id) != Usage::default() {
            // Of somebody who had the name before.
            steps.push(Step::Remove(layout::usage(&user.id)));
        }
        Ok((steps, Done::Keyed(Box::new(user), key)))
    }

    /// A link that a crash has left goes first, for it would bring the user back; then the record, without which the rest is
    /// nobody's.
    fn delete(&self, id: &ClientId) -> Result<Plan, Refusal> {
        self.user(id)?;
        let mut steps = self.withdrawn(id);
        steps.push(Step::Remove(layout::record(id)));
        if self.directory.usage(id) != Usage::default() {
            steps.push(Step::Remove(layout::usage(id)));
        }
        Ok((steps, Done::Gone))
    }

    fn change(&self, id: &ClientId, change: &Change) -> Result<Plan, Refusal> {
        let mut user = self.user(id)?;
        user.expires_at = change.expires_at.unwrap_or(user.expires_at);
        user.limits = UserLimits {
            quota: change.quota.unwrap_or(user.limits.quota),
            download: change.download.unwrap_or(user.limits.download),
            upload: change.upload.unwrap_or(user.limits.upload),
        };
        let (mut steps, done) = replaced(user);
        if change.reset_usage {
            steps.push(Step::Replace(layout::usage(id), Value::sealed(Usage::default().to_record())));
        }
        Ok((steps, done))
    }

    fn rotate(&mut self, id: &ClientId, own: Option<PublicKey>) -> Result<Plan, Refusal> {
        let mut user = self.user(id)?;
        let keeps_its_own = user.wireguard.private_key.is_none() && own.is_none();
        let own = if keeps_its_own { Some(user.wireguard.public_key) } else { own };
        if own != Some(user.wireguard.public_key) {
            self.check(&Wanted { public_key: own, ..Wanted::default() })?;
        }
        let shared = self.directory.users().filter(|other| other.wireguard.address == user.wireguard.address).count();
        let address = if shared > 1 || !self.subnet.is_for_users(user.wireguard.address) {
            let taken = self.directory.addresses();
            self.subnet.free_for(id, &taken).ok_or_else(|| away(layout::full(self.subnet)))?
        } else {
            user.wireguard.address
        };
        let key = new_key(Purpose::User, &self.random()?);
        user.key = KeyHash::of(&key);
        user.wireguard = layout::new_wireguard(own, address, self.random).map_err(away)?;
        let (steps, _) = replaced(user.clone());
        Ok((steps, Done::Keyed(Box::new(user), key)))
    }

    fn invite(&mut self, id: ClientId, wanted: &Wanted, open: Duration) -> Result<Plan, Refusal> {
        if self.directory.user(&id).is_some() {
            return Err(Refusal::Taken(format!("user `{id}` is there already")));
        }
        if open.is_zero() || open > LONGEST_INVITATION {
            return Err(Refusal::Unusable("an invitation is open for 1 second to 30 days".to_owned()));
        }
        self.check(wanted)?;
        let key = new_key(Purpose::Invitation, &self.random()?);
        let now = whole_seconds(self.now);
        let invitation = Invitation {
            id,
            key: KeyHash::of(&key),
            created_at: now,
            expires_at: now + open,
            user_expires_at: wanted.expires_at,
            limits: wanted.limits,
        };
        // Who is invited twice accepts once: the earlier link ends.
        let mut steps = self.withdrawn(&invitation.id);
        steps.push(Step::Create(layout::invitation(&invitation.key), Value::sealed(invitation.to_record())));
        Ok((steps, Done::Invited(invitation, key)))
    }

    /// The user is made before the invitation goes: of two who use one link, one makes it. Where the work broke off between
    /// the two, the link is good still, and gives the user that is there other keys.
    fn accept(&mut self, key: &Secret, own: Option<PublicKey>) -> Result<Plan, Refusal> {
        let hash = KeyHash::of(key);
        let invitation = self.invitation(&hash).ok_or(Refusal::NoInvitation)?;
        let wanted = Wanted { public_key: own, expires_at: invitation.user_expires_at, limits: invitation.limits };
        let id = invitation.id.clone();
        let (mut steps, done) = match self.directory.user(&id) {
            Some(_) => self.rotate(&id, own)?,
            None => self.made(id, &wanted)?,
        };
        steps.push(Step::Remove(layout::invitation(&hash)));
        Ok((steps, done))
    }

    /// The open one whose key this is.
    fn invitation(&self, hash: &KeyHash) -> Option<&Invitation> {
        let name = layout::invitation(hash);
        let found = self.directory.invitations(self.now).find(|(known, _)| **known == name);
        found.map(|(_, invitation)| invitation).filter(|invitation| invitation.key.matches(hash))
    }

    fn uninvite(&self, id: &ClientId) -> Result<Plan, Refusal> {
        let steps = self.withdrawn(id);
        if steps.is_empty() {
            return Err(Refusal::Missing(format!("invitation for `{id}`")));
        }
        Ok((steps, Done::Gone))
    }

    fn withdrawn(&self, id: &ClientId) -> Vec<Step> {
        self.links(id).map(|(name, _)| Step::Remove(name.clone())).collect()
    }

    /// Open invitations for the name.
    fn links(&self, id: &ClientId) -> impl Iterator<Item = (&String, &Invitation)> {
        self.directory.invitations(self.now).filter(move |(_, invitation)| invitation.id == *id)
    }

    fn check(&self, wanted: &Wanted) -> Result<(), Refusal> {
        if wanted.expires_at.is_some_and(|end| end <= self.now) {
            return Err(Refusal::Unusable("`expires_at` is in the past".to_owned()));
        }
        let owner = wanted.public_key.and_then(|key| self.directory.of_peer(&key));
        owner.map_or(Ok(()), |_| Err(Refusal::Taken("this public key is another user's".to_owned())))
    }

    fn random(&mut self) -> Result<[u8; 32], Refusal> {
        (self.random)().map_err(away)
    }
}

fn away(fault: Fault) -> Refusal {
    Refusal::Away(std::sync::Arc::new(fault))
}

fn replaced(user: User) -> Plan {
    let step = Step::Replace(layout::record(&user.id), Value::sealed(user.to_record()));
    (vec![step], Done::User(Box::new(user)))
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
