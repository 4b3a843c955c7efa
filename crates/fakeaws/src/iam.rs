//! IAM: users, their tags, access keys and policies. The query protocol, as strict as AWS about names, quotas and rights.
//!
//! What is written spreads after `Settings::propagation_delay`: readers, STS among them, see it later; quotas and the
//! uniqueness of names look at what really is. Groups, roles, passwords and instance profiles are not here.

mod access_keys;
pub(crate) mod directory;
mod paging;
pub(crate) mod permission;
mod policies;
mod tags;
mod users;

use bowline_base::Timestamp;

use crate::{
    call::{Call, Form},
    cloud::State,
    keys::Principal,
    policy::Context,
    query::{self, No, authenticate, null, unknown_token},
    reply::Answer,
};
use directory::User;
use permission::{Wish, permit};

/// The version of the API; tells its calls from those of STS, which come to the same path.
pub(crate) const VERSION: &str = "2010-05-08";
pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let form = call.form();
    let action = form.field("Action").unwrap_or_default().to_owned();
    let outcome = act(state, call, &form, &action, now);
    query::answer(state, NAMESPACE, &action, outcome)
}

fn act(state: &mut State, call: &Call, form: &Form, action: &str, now: Timestamp) -> Result<Option<String>, No> {
    let caller = authenticate(state, call, "iam", now)?.key.principal;
    if caller.mfa == Some(false) {
        // A session of `GetSessionToken` without MFA: IAM does not know such keys.
        return Err(unknown_token());
    }
    let ask = Ask { form, caller, now };
    let nothing = |()| None;
    match action {
        "GetUser" => users::show(state, &ask).map(Some),
        "ListUsers" => users::list(state, &ask).map(Some),
        "CreateUser" => users::create(state, &ask).map(Some),
        "DeleteUser" => users::delete(state, &ask).map(nothing),
        "TagUser" => tags::tag(state, &ask).map(nothing),
        "UntagUser" => tags::untag(state, &ask).map(nothing),
        "ListUserTags" => tags::list(state, &ask).map(Some),
        "ListAccessKeys" => access_keys::list(state, &ask).map(Some),
        "CreateAccessKey" => access_keys::create(state, &ask).map(Some),
        "UpdateAccessKey" => access_keys::update(state, &ask).map(nothing),
        "DeleteAccessKey" => access_keys::delete(state, &ask).map(nothing),
        "GetAccessKeyLastUsed" => access_keys::last_used(state, &ask).map(Some),
        "CreatePolicy" => policies::create(state, &ask).map(Some),
        "PutUserPolicy" => policies::put(state, &ask).map(nothing),
        "GetUserPolicy" => policies::show(state, &ask).map(Some),
        "ListUserPolicies" => policies::list(state, &ask).map(Some),
        "DeleteUserPolicy" => policies::delete(state, &ask).map(nothing),
        "AttachUserPolicy" => policies::attach(state, &ask).map(nothing),
        "DetachUserPolicy" => policies::detach(state, &ask).map(nothing),
        "ListAttachedUserPolicies" => policies::list_attached(state, &ask).map(Some),
        "PutUserPermissionsBoundary" => policies::put_boundary(state, &ask).map(nothing),
        "DeleteUserPermissionsBoundary" => policies::delete_boundary(state, &ask).map(nothing),
        _ => Err(No(400, "InvalidAction", format!("Could not find operation {action} for version {VERSION}"))),
    }
}

/// One call: what it says, who sent it, and when.
struct Ask<'a> {
    form: &'a Form,
    caller: Principal,
    now: Timestamp,
}

impl Ask<'_> {
    /// A field that must be there.
    fn required(&self, name: &str) -> Result<&str, No> {
        let lower = || name[..1].to_ascii_lowercase() + &name[1..];
        self.form.field(name).filter(|text| !text.is_empty()).ok_or_else(|| null(&lower()))
    }

    /// The user whom the call is about; whoever asks, when it names none.
    fn user_name(&self, state: &State) -> Result<String, No> {
        if let Some(name) = self.form.field("UserName") {
            return Ok(name.to_owned());
        }
        let own = state.directory.by_id(&self.caller.user_id, self.now).filter(|_| !self.caller.assumed);
        let nobody = || No::invalid("Must specify userName when calling with non-User credentials");
        own.map(|user| user.name.clone()).ok_or_else(nobody)
    }

    /// Whether the policies of the sender let it do `action` to the user `name`; `context` is what the call adds.
    fn may(&self, state: &State, action: &'static str, name: &str, context: Context) -> Result<(), No> {
        let user = state.directory.named(name, self.now);
        let resource = match user {
            Some(user) => user.arn.clone(),
            None => directory::user_arn(&state.home_account(), "/", name),
        };
        let tags = user.and_then(|user| user.tags.at(self.now)).into_iter().flatten();
        let context = tags.fold(context, |context, (_, (key, value))| {
            context.with(&format!("aws:ResourceTag/{key}"), value).with(&format!("iam:ResourceTag/{key}"), value)
        });
        permit(state, &self.caller, Wish { action, resource, context }, self.now)
    }

    /// The user of that name, if readers see it, once [`Ask::may`] has said yes.
    fn found<'s>(&self, state: &'s mut State, name: &str) -> Result<&'s mut User, No> {
        state.directory.named_mut(name, self.now).ok_or_else(|| no_user(name))
    }

    /// [`Ask::may`], then [`Ask::found`] for reading.
    fn shown<'s>(&self, state: &'s State, action: &'static str, name: &str) -> Result<&'s User, No> {
        self.may(state, action, name, Context::default())?;
        state.directory.named(name, self.now).ok_or_else(|| no_user(name))
    }
}

fn no_user(name: &str) -> No {
    No(404, "NoSuchEntity", format!("The user with name {name} cannot be found."))
}
