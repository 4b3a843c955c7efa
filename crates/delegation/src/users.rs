//! Users of a namespace at IAM: made, listed, given away. The rule comes before the first call.

use std::time::Duration;

use aws::iam::{self, CreateUser, Status, Why};
use base::{Fault, KeyId, Kind, Timestamp};
use bowline_aws as aws;
use bowline_base as base;
use bowline_host::clock;

use crate::{
    manager::Manager,
    ownership::{self, Chown},
    refusal::{refused, told},
};

/// A user of the namespace, as a table shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whom its tags name; `None` when nobody, or when they may not be read.
    pub owner: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its access keys; `None` when they may not be listed.
    pub keys: Option<Vec<EntryKey>>,
}

/// A key of such a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// Its id.
    pub id: KeyId,
    /// Whether it may be used.
    pub active: bool,
    /// How long it has been there.
    pub age: Duration,
}

/// Whether a user was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Just now: others may not see it for some seconds.
    Now,
    /// Before.
    Before,
}

/// What the tags of a user say to somebody who may hand it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no such user.
    Absent,
    /// It is the manager's.
    Owned,
    /// It is nobody's yet: AWS may refuse what the owner alone may do.
    Unowned,
}

/// How a user is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// Who may hand it out; the manager where nobody is named.
    pub owner: Option<String>,
    /// ARN of a managed policy that bounds it.
    pub boundary: Option<String>,
}

/// Makes the user `name` with its tags and boundary in one call; one that is there and is the manager's is left as it is.
///
/// # Errors
/// The rule, or AWS, says no; or there is one of that name that belongs to somebody else.
pub async fn create(manager: &Manager, name: &str, birth: &Birth) -> Result<Made, Fault> {
    manager.namespace().admit(name)?;
    let me = manager.namespace().manager();
    let owner = birth.owner.as_deref().unwrap_or(me);
    let tags = ownership::birth_tags(owner, me);
    let request = CreateUser { tags, boundary: birth.boundary.clone(), ..CreateUser::new(name) };
    let (aws, region, identity) = manager.way();
    let Err(error) = iam::create_user(aws, region, identity, &request).await else { return Ok(Made::Now) };
    if Why::of(&error) != Some(Why::Exists) && !error.is_ambiguous() {
        return Err(told(error));
    }
    let Ok(tags) = iam::user_tags(aws, region, identity, name).await else { return Err(told(error)) };
    if ownership::owner(&tags).is_some_and(|found| found == owner) {
        return Ok(Made::Before);
    }
    ownership::may_hand_out(name, &tags, me)?;
    Err(refused(format!("`{name}` is there already and has another owner than `{owner}`"))
        .hint(format!("bowline users chown {name} {owner}")))
}

/// Decides, before any credential exists, whether credentials of `name` may be handed out. `given` is for a user outside
/// of the namespace that was given to the manager: then its tags alone decide.
///
/// # Errors
/// The rule says no, or its tags do.
pub async fn may_hand_out(manager: &Manager, name: &str, given: bool) -> Result<Standing, Fault> {
    let inside = manager.namespace().admit(name);
    if !given {
        inside?;
    }
    let (aws, region, identity) = manager.way();
    let tags = match iam::user_tags(aws, region, identity, name).await {
        Err(error) if Why::of(&error) == Some(Why::Missing) => return Ok(Standing::Absent),
        other => other.map_err(told)?,
    };
    let me = manager.namespace().manager();
    if given && ownership::owner(&tags) != Some(me) {
        return Err(
            refused(format!("`{name}` was not given to `{me}`")).hint("its owner gives it with `bowline users chown`")
        );
    }
    ownership::may_hand_out(name, &tags, me)?;
    Ok(if ownership::owner(&tags).is_some() { Standing::Owned } else { Standing::Unowned })
}

/// Makes `owner` the owner of `name`. Its tags are read anew before each of three tries.
///
/// # Errors
/// It is somebody else's, or there is no such owner: then nothing was changed.
pub async fn chown(manager: &Manager, name: &str, owner: &str) -> Result<Chown, Fault> {
    manager.namespace().admit(name)?;
    if owner.trim().is_empty() {
        return Err(Fault::new(Kind::Config, "users", "the name of the owner is blank"));
    }
    require_owner(manager, owner).await?;
    let (aws, region, identity) = manager.way();
    let me = manager.namespace().manager();
    let mut wait = FIRST_WAIT;
    let mut tries = 1;
    loop {
        let tags = iam::user_tags(aws, region, identity, name).await.map_err(told)?;
        let plan = ownership::chown(name, &tags, me, owner)?;
        let Chown::Tag(tags) = &plan else { return Ok(plan) };
        match iam::tag_user(aws, region, identity, name, tags).await {
            Ok(()) => return Ok(plan),
            Err(error) if tries == TRIES || error.kind() != Kind::Unreachable => return Err(told(error)),
            Err(_) => clock::sleep_until(clock::now().boot + wait).await,
        }
        (tries, wait) = (tries + 1, wait * 2);
    }
}

const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Refuses an owner who is not there.
///
/// # Errors
/// There is no such user, or IAM cannot be asked.
pub async fn require_owner(manager: &Manager, owner: &str) -> Result<(), Fault> {
    if is_there(manager, owner).await? {
        return Ok(());
    }
    Err(refused(format!("there is no user `{owner}`")).hint("check the name of the owner; nothing was changed"))
}

/// Whether there is such a user. A manager may look at users of its namespace and list the others; one that it may not
/// even list counts as there.
///
/// # Errors
/// IAM cannot be asked.
pub async fn is_there(manager: &Manager, name: &str) -> Result<bool, Fault> {
    let (aws, region, identity) = manager.way();
    match iam::user(aws, region, identity, Some(name)).await {
        Err(error) if Why::of(&error) == Some(Why::Missing) => return Ok(false),
        Err(error) if Why::of(&error) == Some(Why::NotAllowed) => {}
        answer => return answer.map(|_| true).map_err(told),
    }
    match iam::list_users(aws, region, identity, None).await {
        Err(error) if Why::of(&error) == Some(Why::NotAllowed) => Ok(true),
        listed => Ok(listed.map_err(told)?.iter().any(|user| user.name == name)),
    }
}

/// Every user of the namespace, all pages, by name; the manager is not among them.
///
/// # Errors
/// The users cannot be listed.
pub async fn list(manager: &Manager) -> Result<Vec<Entry>, Fault> {
    let (aws, region, identity) = manager.way();
    let users = iam::list_users(aws, region, identity, None).await.map_err(told)?;
    let mut entries = Vec::new();
    for user in users.into_iter().filter(|user| manager.namespace().admit(&user.name).is_ok()) {
        let tags = allowed(iam::user_tags(aws, region, identity, &user.name).await)?;
        let keys = allowed(iam::list_access_keys(aws, region, identity, Some(&user.name)).await)?;
        let key = |key: iam::AccessKey| EntryKey {
            age: Duration::try_from(manager.wall().duration_since(key.created_at)).unwrap_or_default(),
            active: key.status == Status::Active,
            id: key.id,
        };
        entries.push(Entry {
            owner: tags.as_deref().and_then(ownership::owner).map(ToOwned::to_owned),
            keys: keys.map(|keys| keys.into_iter().map(key).collect()),
            name: user.name,
            created_at: user.created_at,
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The name of the user whose key `key` is, by one call.
///
/// # Errors
/// It is no key of this account, or may not be asked for.
pub async fn owner_of_key(manager: &Manager, key: &KeyId) -> Result<String, Fault> {
    let (aws, region, identity) = manager.way();
    Ok(iam::access_key_last_used(aws, region, identity, key).await.map_err(told)?.user)
}

/// What may not be read is unknown; one that went meanwhile has nothing.
fn allowed<T>(answer: Result<T, aws::Error>) -> Result<Option<T>, Fault> {
    match answer {
        Err(error) if matches!(Why::of(&error), Some(Why::NotAllowed | Why::Missing)) => Ok(None),
        other => other.map(Some).map_err(told),
    }
}
