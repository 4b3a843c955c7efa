//! Policies of users: inline ones, managed ones attached, and the permissions boundary.

use super::{
    Ask,
    directory::{Policy, policy_arn},
    paging::page,
    permission::{Wish, permit},
    users::attachable,
};
use crate::{call::escape, cloud::State, policy::Context, query::No, xml::element};

/// Characters of all inline policies of a user together, white space not counted.
const MOST_INLINE: usize = 2048;
const MOST_MANAGED: usize = 6144;
const MOST_ATTACHED: usize = 10;

pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let (name, text) = (ask.required("PolicyName")?, ask.required("PolicyDocument")?);
    let path = ask.form.field("Path").unwrap_or("/");
    let arn = policy_arn(&state.home_account(), path, name);
    let wish = Wish { action: "iam:CreatePolicy", resource: arn.clone(), context: Context::default() };
    permit(state, &ask.caller, wish, ask.now)?;
    if state.directory.managed(&arn).is_some() {
        return Err(No(409, "EntityAlreadyExists", format!("A policy called {name} already exists.")));
    }
    if size(text) > MOST_MANAGED {
        return Err(No(409, "LimitExceeded", format!("Cannot exceed quota for PolicySize: {MOST_MANAGED}")));
    }
    state.directory.add_managed(&arn, text).map_err(malformed)?;
    let inner = [
        element("PolicyName", name),
        element("PolicyId", &state.mint.key_id("ANPA")),
        element("Arn", &arn),
        element("Path", path),
        element("DefaultVersionId", "v1"),
        element("IsAttachable", "true"),
    ]
    .concat();
    Ok(format!("<Policy>{inner}</Policy>"))
}

pub(super) fn put(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let (name, policy) = (ask.required("UserName")?, ask.required("PolicyName")?);
    let text = ask.required("PolicyDocument")?;
    ask.may(state, "iam:PutUserPolicy", name, bounded(state, ask, name))?;
    let from = state.spread(ask.now);
    let user = ask.found(state, name)?;
    let read = Policy::read(text).map_err(malformed)?;
    let mut inline = user.inline.truth().clone();
    inline.insert(policy.to_owned(), read);
    if inline.values().map(|policy| size(&policy.text)).sum::<usize>() > MOST_INLINE {
        let words = format!("Maximum policy size of {MOST_INLINE} bytes exceeded for user {name}");
        return Err(No(409, "LimitExceeded", words));
    }
    user.inline.set(from, inline);
    Ok(())
}

pub(super) fn show(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let (name, policy) = (ask.required("UserName")?, ask.required("PolicyName")?);
    let user = ask.shown(state, "iam:GetUserPolicy", name)?;
    let found = user.inline.at(ask.now).and_then(|inline| inline.get(policy)).ok_or_else(|| no_policy(policy))?;
    let document = element("PolicyDocument", &escape(&found.text));
    Ok([element("UserName", name), element("PolicyName", policy), document].concat())
}

pub(super) fn list(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let user = ask.shown(state, "iam:ListUserPolicies", ask.required("UserName")?)?;
    let names: Vec<String> = user.inline.at(ask.now).into_iter().flat_map(|inline| inline.keys().cloned()).collect();
    page(state, ask, "PolicyNames", &names)
}

pub(super) fn delete(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let (name, policy) = (ask.required("UserName")?, ask.required("PolicyName")?);
    ask.may(state, "iam:DeleteUserPolicy", name, bounded(state, ask, name))?;
    let from = state.spread(ask.now);
    let user = ask.found(state, name)?;
    let mut inline = user.inline.truth().clone();
    inline.remove(policy).ok_or_else(|| no_policy(policy))?;
    user.inline.set(from, inline);
    Ok(())
}

pub(super) fn attach(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let (name, arn) = (ask.required("UserName")?, ask.required("PolicyArn")?);
    ask.may(state, "iam:AttachUserPolicy", name, bounded(state, ask, name).with("iam:PolicyARN", arn))?;
    attachable(&state.directory, arn)?;
    let from = state.spread(ask.now);
    let user = ask.found(state, name)?;
    let mut attached = user.attached.truth().clone();
    attached.insert(arn.to_owned());
    if attached.len() > MOST_ATTACHED {
        return Err(No(409, "LimitExceeded", format!("Cannot exceed quota for PoliciesPerUser: {MOST_ATTACHED}")));
    }
    user.attached.set(from, attached);
    Ok(())
}

pub(super) fn detach(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let (name, arn) = (ask.required("UserName")?, ask.required("PolicyArn")?);
    ask.may(state, "iam:DetachUserPolicy", name, bounded(state, ask, name).with("iam:PolicyARN", arn))?;
    let from = state.spread(ask.now);
    let user = ask.found(state, name)?;
    let mut attached = user.attached.truth().clone();
    if !attached.remove(arn) {
        return Err(no_policy(arn));
    }
    user.attached.set(from, attached);
    Ok(())
}

pub(super) fn list_attached(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let user = ask.shown(state, "iam:ListAttachedUserPolicies", ask.required("UserName")?)?;
    let attached = user.attached.at(ask.now).into_iter().flatten();
    let item =
        |arn: &String| element("PolicyName", arn.rsplit('/').next().unwrap_or_default()) + &element("PolicyArn", arn);
    let items: Vec<String> = attached.map(item).collect();
    page(state, ask, "AttachedPolicies", &items)
}

pub(super) fn put_boundary(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let (name, arn) = (ask.required("UserName")?, ask.required("PermissionsBoundary")?);
    let context = Context::default().with("iam:PermissionsBoundary", arn);
    ask.may(state, "iam:PutUserPermissionsBoundary", name, context)?;
    attachable(&state.directory, arn)?;
    let from = state.spread(ask.now);
    ask.found(state, name)?.boundary.set(from, Some(arn.to_owned()));
    Ok(())
}

pub(super) fn delete_boundary(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let name = ask.required("UserName")?;
    ask.may(state, "iam:DeleteUserPermissionsBoundary", name, bounded(state, ask, name))?;
    let from = state.spread(ask.now);
    ask.found(state, name)?.boundary.set(from, None);
    Ok(())
}

/// The boundary that the user has, as policies see it.
fn bounded(state: &State, ask: &Ask<'_>, name: &str) -> Context {
    let user = state.directory.named(name, ask.now);
    let boundary = user.and_then(|user| user.boundary.at(ask.now)).and_then(Option::as_ref);
    boundary.map_or(Context::default(), |arn| Context::default().with("iam:PermissionsBoundary", arn))
}

fn size(text: &str) -> usize {
    text.chars().filter(|letter| !letter.is_whitespace()).count()
}

fn malformed(error: crate::policy::DocumentError) -> No {
    No(400, "MalformedPolicyDocument", error.to_string())
}

fn no_policy(name: &str) -> No {
    No(404, "NoSuchEntity", format!("The user policy with name {name} cannot be found."))
}
