//! What the policies of a user say to a call of IAM or STS. Sessions of roles may do everything: roles have no policies here.

use bowline_base::{Timestamp, utc};

use crate::{
    cloud::State,
    iam::directory::User,
    keys::Principal,
    policy::{Context, Question, Verdict, judge},
    query::{No, unknown_token},
};

/// What somebody wants to do, and the condition keys that come with it.
pub(crate) struct Wish {
    pub(crate) action: &'static str,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

/// Refuses, in AWS's words, what the sender's policies and permissions boundary do not allow.
pub(crate) fn permit(state: &State, caller: &Principal, wish: Wish, now: Timestamp) -> Result<(), No> {
    if caller.assumed {
        return Ok(());
    }
    let user = state.directory.by_id(&caller.user_id, now).ok_or_else(unknown_token)?;
    let (action, resource) = (wish.action, wish.resource);
    let context = known_of(user, caller, wish.context, now);
    let question = Question { action: action.to_owned(), resource, context };
    let policies = state.directory.documents(user, now);
    let boundary = user.boundary.at(now).and_then(Option::as_ref).and_then(|arn| state.directory.managed(arn));
    let because = match judge(&policies, boundary.map(|policy| &policy.document), &question) {
        Verdict::Allowed => return Ok(()),
        Verdict::Denied => "with an explicit deny in an identity-based policy".to_owned(),
        Verdict::NotAllowed => format!("because no identity-based policy allows the {action} action"),
        Verdict::OutsideBoundary => format!("because no permissions boundary allows the {action} action"),
    };
    Err(denied(caller, action, &question.resource, &because))
}

/// AWS's words to somebody who may not.
pub(crate) fn denied(caller: &Principal, action: &str, resource: &str, because: &str) -> No {
    let arn = &caller.arn;
    let words = format!("User: {arn} is not authorized to perform: {action} on resource: {resource} {because}");
    No(403, "AccessDenied", words.trim_end().to_owned())
}

/// The condition keys that every request has.
fn known_of(user: &User, caller: &Principal, context: Context, now: Timestamp) -> Context {
    let context = context
        .with("aws:username", &user.name)
        .with("aws:userid", &user.id)
        .with("aws:PrincipalArn", &user.arn)
        .with("aws:PrincipalAccount", &user.account)
        .with("aws:PrincipalType", "User")
        .with("aws:ResourceAccount", &user.account)
        .with("aws:RequestedRegion", "us-east-1")
        .with("aws:SecureTransport", "true")
        .with("aws:CurrentTime", &utc(now))
        .with("aws:EpochTime", &now.as_second().to_string());
    let context = match caller.mfa {
        Some(mfa) => context.with("aws:MultiFactorAuthPresent", &mfa.to_string()),
        None => context,
    };
    let tags = user.tags.at(now).into_iter().flatten();
    tags.fold(context, |context, (_, (key, value))| context.with(&format!("aws:PrincipalTag/{key}"), value))
}
