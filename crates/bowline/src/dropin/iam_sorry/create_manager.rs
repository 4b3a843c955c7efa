//! `--create-iam-sorry`: an administrator makes a manager: a tagged user, the managed policy of its namespace, one key.

use std::time::Duration;

use bowline_aws::{
    Error,
    iam::{self, CreateUser, Why},
};
use bowline_base::{Credentials, Fault, FixedIdentity};
use bowline_credentials::delivery::{Shell, Variables};
use bowline_delegation::{
    namespace::Namespace,
    policy::{MANAGER as TAG, Scope},
};

use super::{
    manager::Manager,
    policies::{admin, of_arn},
    task::{refused, wrong},
};
use crate::{cli::Style, output, world::small_runtime};

/// A user that was made a moment ago may be unknown for some seconds.
const TRIES: u32 = 8;

/// Makes the manager `user`, and prints its key: for the person who is to be that manager.
pub(super) fn run(administrator: &Manager<'_>, user: &str) -> Result<(), Fault> {
    let namespace = Namespace::of(user)?;
    if !user.contains('-') {
        return Err(wrong(format!("`{user}` has no `-`, so the manager would be the first user of its own namespace"))
            .hint(format!("iam-sorry --profile {} --create-iam-sorry {user}-iam-sorry", administrator.profile)));
    }
    let credentials = administrator.credentials()?;
    let keys = small_runtime()?.block_on(make(administrator, &namespace, credentials))?;
    let key_id = keys.key_id.clone();
    output::secret(&Variables::of(&keys, None, administrator.world.wire.now().wall)?.text(Shell::Posix))?;
    output::say(&format!(
        "made: manager `{user}` of `{prefix}` and `{prefix}-*`, with the key {key_id}\n\
         note: these lines are a long-lived key. Its owner, with a protected SSH key, evaluates them and types `iam-sorry`:\n  \
         the key is replaced by one that only that machine has, sealed, and this one is put to sleep",
        prefix = namespace.prefix()
    ));
    Ok(())
}

async fn make(
    administrator: &Manager<'_>,
    namespace: &Namespace,
    credentials: Credentials,
) -> Result<Credentials, Fault> {
    let (aws, region) = (&administrator.world.aws, administrator.region()?);
    let caller = administrator.caller(&credentials).await?;
    let (partition, account) =
        of_arn(&caller.arn).ok_or_else(|| wrong(format!("`{}` names no account", caller.arn)))?;
    let (user, prefix) = (namespace.manager(), namespace.prefix().clone());
    let scope = Scope { partition, account: account.to_owned(), prefix };
    let identity = FixedIdentity::new(credentials);
    let tags = vec![(TAG.to_owned(), scope.prefix.as_str().to_owned())];
    match iam::create_user(aws, &region, &identity, &CreateUser { tags, ..CreateUser::new(user) }).await {
        Err(error) if Why::of(&error) == Some(Why::Exists) => {
            return Err(
                refused(format!("there is a user `{user}` already; it is left as it is")).hint("take another name")
            );
        }
        made => made.map_err(told).map(drop)?,
    }
    let policy = async {
        let arn = policy(administrator, &identity, &scope).await?;
        attached(administrator, &identity, user, &arn).await
    };
    if let Err(fault) = policy.await {
        // Without its policy the user is of no use to anybody.
        let undone = iam::delete_user(aws, &region, &identity, user).await;
        let end =
            if undone.is_ok() { "is removed again" } else { "stays without rights: aws iam delete-user removes it" };
        return Err(Fault { message: format!("{}; the user `{user}` {end}", fault.message), ..fault });
    }
    iam::create_access_key(aws, &region, &identity, Some(user)).await.map_err(|error| {
        told(error)
            .hint(format!("the user and its policy are there; its key: aws iam create-access-key --user-name {user}"))
    })
}

/// The managed policy of the namespace; one of that name that is there already is taken as it is, and said so.
async fn policy(administrator: &Manager<'_>, identity: &FixedIdentity, scope: &Scope) -> Result<String, Fault> {
    let name = format!("bowline-{}-admin", scope.prefix);
    let document = admin(scope, Style::Bowline).to_string();
    let made =
        iam::create_policy(&administrator.world.aws, &administrator.region()?, identity, (&name, &document)).await;
    match made {
        Err(error) if Why::of(&error) == Some(Why::Exists) => {
            output::say(&format!("note: the policy `{name}` is there already and is used as it is"));
            Ok(format!("arn:{}:iam::{}:policy/{name}", scope.partition, scope.account))
        }
        made => made.map_err(told),
    }
}

async fn attached(administrator: &Manager<'_>, identity: &FixedIdentity, user: &str, arn: &str) -> Result<(), Fault> {
    let (world, region) = (administrator.world, administrator.region()?);
    let mut pause = Duration::from_millis(500);
    for _ in 1..TRIES {
        match iam::attach_user_policy(&world.aws, &region, identity, user, arn).await {
            Err(error) if Why::of(&error) == Some(Why::Missing) => world.wire.sleep(pause).await,
            done => return done.map_err(told),
        }
        pause = (pause * 2).min(Duration::from_secs(8));
    }
    iam::attach_user_policy(&world.aws, &region, identity, user, arn).await.map_err(told)
}

/// A refused call with the fix that goes with its reason.
fn told(error: Error) -> Fault {
    let fix = Why::of(&error).map(Why::fix);
    let fault = Fault::from(error);
    match (fix, &fault.hint) {
        (Some(fix), None) => fault.hint(fix),
        _ => fault,
    }
}
