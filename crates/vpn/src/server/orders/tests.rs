//! What is ordered, against a directory that takes the steps as the store would.

use super::*;
use crate::server::samples::at;

struct Office {
    directory: Directory,
    subnet: Subnet,
    next: u8,
}

impl Office {
    fn new() -> Self {
        Self { directory: Directory::default(), subnet: Subnet::default(), next: 0 }
    }

    fn desk<T>(&mut self, seconds: i64, work: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let next = &mut self.next;
        let mut random = || {
            *next += 1;
            Ok([*next; 32])
        };
        let (directory, subnet) = (&self.directory, &self.subnet);
        work(&mut Desk { directory, subnet, now: at(seconds), random: &mut random })
    }

    fn order(&mut self, seconds: i64, order: Order) -> Result<Done, Refusal> {
        let (steps, done) = self.desk(seconds, |desk| desk.decide(order))?;
        self.make(steps);
        Ok(done)
    }

    fn make(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Create(name, value) | Step::Replace(name, value) => self.directory.apply(&name, Some(&value)),
                Step::Remove(name) => self.directory.apply(&name, None),
            }
        }
    }

    /// The key that `order` gives, and nobody hears.
    fn unheard(&mut self, seconds: i64, order: Order) -> (User, Secret) {
        let way_back = self.desk(seconds, |desk| desk.unheard(&order));
        let keyed = self.keyed(seconds, order);
        self.make(way_back);
        keyed
    }

    fn keyed(&mut self, seconds: i64, order: Order) -> (User, Secret) {
        match self.order(seconds, order).unwrap() {
            Done::Keyed(user, key) => (*user, key),
            other => panic!("{other:?}"),
        }
    }
}

fn id(name: &str) -> ClientId {
    name.parse().unwrap()
}

#[test]
fn a_user_is_made_once_rotated_changed_and_ended() {
    let mut office = Office::new();
    let (made, first) = office.keyed(0, Order::Create(id("alice"), Wanted::default()));
    assert!(matches!(office.order(0, Order::Create(id("alice"), Wanted::default())), Err(Refusal::Taken(_))));
    let (rotated, second) = office.keyed(1, Order::Rotate(id("alice"), None));
    assert_eq!((rotated.created_at, rotated.wireguard.address), (made.created_at, made.wireguard.address));
    assert!(first != second && rotated.wireguard.public_key != made.wireguard.public_key);
    let change = Change { quota: Some(Some(5)), reset_usage: true, ..Change::default() };
    office.order(2, Order::Change(id("alice"), change)).unwrap();
    office.order(2, Order::Disable(id("alice"), true)).unwrap();
    let user = office.directory.user(&id("alice")).unwrap();
    assert!(user.disabled && user.limits.quota == Some(5) && user.key.matches(&KeyHash::of(&second)));
    assert_eq!(office.order(3, Order::Delete(id("alice"))).unwrap(), Done::Gone);
    for order in [Order::Delete(id("alice")), Order::Rotate(id("alice"), None), Order::Disable(id("alice"), false)] {
        assert!(matches!(office.order(4, order), Err(Refusal::Missing(_))));
    }
}

#[test]
fn who_brings_a_key_keeps_it() {
    let mut office = Office::new();
    let own = Wanted { public_key: Some(PublicKey([9; 32])), ..Wanted::default() };
    let (made, _) = office.keyed(0, Order::Create(id("alice"), own.clone()));
    assert_eq!((made.wireguard.public_key, made.wireguard.private_key), (PublicKey([9; 32]), None));
    assert!(matches!(office.order(0, Order::Create(id("bob"), own)), Err(Refusal::Taken(_))));
    let (rotated, _) = office.keyed(1, Order::Rotate(id("alice"), None));
    assert_eq!(rotated.wireguard.public_key, PublicKey([9; 32]));
    assert_ne!(rotated.wireguard.preshared_key, made.wireguard.preshared_key);
    let (moved, _) = office.keyed(2, Order::Rotate(id("alice"), Some(PublicKey([8; 32]))));
    assert_eq!(moved.wireguard.public_key, PublicKey([8; 32]));
}

#[test]
fn an_invitation_is_good_once_and_until_its_end() {
    let mut office = Office::new();
    let wanted = Wanted { limits: UserLimits { quota: Some(7), ..UserLimits::default() }, ..Wanted::default() };
    let invite = |office: &mut Office, name: &str| {
        let order = Order::Invite(id(name), wanted.clone(), Duration::from_secs(60));
        match office.order(0, order).unwrap() {
            Done::Invited(_, key) => key,
            other => panic!("{other:?}"),
        }
    };
    let (first, second) = (invite(&mut office, "alice"), invite(&mut office, "alice"));
    let late = invite(&mut office, "late");
    assert!(matches!(office.order(1, Order::Accept(first, None)), Err(Refusal::NoInvitation)), "the newer link holds");
    let (user, _) = office.keyed(59, Order::Accept(second.clone(), None));
    assert_eq!((user.id, user.limits.quota), (id("alice"), Some(7)));
    assert!(matches!(office.order(59, Order::Accept(second, None)), Err(Refusal::NoInvitation)));
    assert!(matches!(office.order(60, Order::Accept(late, None)), Err(Refusal::NoInvitation)));
    assert!(matches!(office.order(0, Order::Accept(Secret::new("bvi_x"), None)), Err(Refusal::NoInvitation)));
    let long = Order::Invite(id("bob"), Wanted::default(), LONGEST_INVITATION + Duration::from_secs(1));
    assert!(matches!(office.order(0, long), Err(Refusal::Unusable(_))));
}

#[test]
fn an_invitation_survives_a_crash_behind_the_user_and_ends_where_the_user_is_made_otherwise() {
    let mut office = Office::new();
    let invite = |office: &mut Office, name: &str| {
        let order = Order::Invite(id(name), Wanted::default(), Duration::from_secs(60));
        let Done::Invited(invitation, key) = office.order(0, order).unwrap() else { panic!("no invitation") };
        (invitation, key)
    };
    let (invitation, link) = invite(&mut office, "alice");
    let (_, lost) = office.keyed(1, Order::Accept(link.clone(), None));
    // The last step was not made.
    let left = Value::sealed(invitation.to_record());
    office.directory.apply(&layout::invitation(&KeyHash::of(&link)), Some(&left));
    let (user, key) = office.keyed(2, Order::Accept(link.clone(), None));
    assert!(key != lost && user.key.matches(&KeyHash::of(&key)));
    assert!(matches!(office.order(3, Order::Accept(link.clone(), None)), Err(Refusal::NoInvitation)));
    office.directory.apply(&layout::invitation(&KeyHash::of(&link)), Some(&left));
    let (steps, _) = office.desk(4, |desk| desk.decide(Order::Delete(id("alice")))).unwrap();
    assert!(
        matches!(&steps[0], Step::Remove(name) if *name == layout::invitation(&KeyHash::of(&link))),
        "it goes first"
    );
    office.make(steps);
    assert!(
        matches!(office.order(5, Order::Accept(link, None)), Err(Refusal::NoInvitation)),
        "who is deleted stays away"
    );

    let (_, link) = invite(&mut office, "bob");
    office.order(1, Order::Create(id("bob"), Wanted::default())).unwrap();
    assert!(matches!(office.order(2, Order::Accept(link, None)), Err(Refusal::NoInvitation)));
}

#[test]
fn a_key_that_nobody_has_heard_takes_nothing_from_anybody() {
    let mut office = Office::new();
    office.unheard(0, Order::Create(id("alice"), Wanted::default()));
    let (_, key) = office.keyed(1, Order::Create(id("alice"), Wanted::default()));
    office.unheard(2, Order::Rotate(id("alice"), None));
    assert!(office.directory.user(&id("alice")).unwrap().key.matches(&KeyHash::of(&key)), "the former key is the key");

    let order = Order::Invite(id("bob"), Wanted::default(), Duration::from_secs(60));
    let Done::Invited(_, link) = office.order(3, order).unwrap() else { panic!("no invitation") };
    office.unheard(4, Order::Create(id("bob"), Wanted::default()));
    let (_, lost) = office.unheard(4, Order::Accept(link.clone(), None));
    assert!(office.directory.user(&id("bob")).is_none(), "nobody has that user's key");
    let (user, key) = office.keyed(5, Order::Accept(link.clone(), None));
    assert!(key != lost && user.key.matches(&KeyHash::of(&key)), "the link is good still");
    assert!(matches!(office.order(6, Order::Accept(link.clone(), None)), Err(Refusal::NoInvitation)), "once");

    // A crash has left the link beside the user.
    let key = KeyHash::of(&link);
    office.directory.apply(&layout::invitation(&key), Some(&Value::sealed(invitation(&key).to_record())));
    office.unheard(7, Order::Accept(link.clone(), None));
    assert_eq!(office.directory.user(&id("bob")).map(|bob| &bob.key), Some(&user.key), "who was there is there");
    office.keyed(8, Order::Accept(link, None));
}

fn invitation(key: &KeyHash) -> Invitation {
    Invitation {
        id: id("bob"),
        key: *key,
        created_at: at(0),
        expires_at: at(60),
        user_expires_at: None,
        limits: UserLimits::default(),
    }
}

#[test]
fn a_user_whose_end_is_past_is_not_made_and_a_full_subnet_says_so() {
    let mut office = Office::new();
    let past = Wanted { expires_at: Some(at(-1)), ..Wanted::default() };
    assert!(matches!(office.order(0, Order::Create(id("alice"), past)), Err(Refusal::Unusable(_))));
    office.subnet = "10.0.0.0/29".parse().unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        office.order(0, Order::Create(id(name), Wanted::default())).unwrap();
    }
    let full = office.order(0, Order::Create(id("f"), Wanted::default())).unwrap_err();
    assert!(full.to_string().contains("no free address"), "{full}");
}
