//! Access keys of users: two at most, active or not, and when they were used last.

use bowline_base::utc;

use super::{Ask, no_user, paging::page, permission::denied};
use crate::{
    cloud::State,
    keys::{Birth, Key, Principal, Standing},
    query::{No, constraint},
    xml::element,
};

const MOST: usize = 2;

pub(super) fn list(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let name = ask.user_name(state)?;
    let user = ask.shown(state, "iam:ListAccessKeys", &name)?;
    let keys: Vec<String> =
        state.keys.of_user(&user.id, ask.now).into_iter().map(|key| metadata(key, &name, ask)).collect();
    page(state, ask, "AccessKeyMetadata", &keys)
}

pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let name = ask.user_name(state)?;
    let user = ask.shown(state, "iam:CreateAccessKey", &name)?;
    if state.keys.truly_of_user(&user.id).count() >= MOST {
        return Err(No(409, "LimitExceeded", format!("Cannot exceed quota for AccessKeysPerUser: {MOST}")));
    }
    let principal = Principal::user(&user.account, &user.arn, &user.id);
    let birth = Birth { created_at: ask.now, live_from: state.spread(ask.now) };
    let key = state.keys.issue_long_lived(principal, &birth, &mut state.mint, &mut state.ledger);
    let inner = [
        element("UserName", &name),
        element("AccessKeyId", &key.id),
        element("Status", "Active"),
        element("SecretAccessKey", key.secret.expose()),
        element("CreateDate", &utc(key.created_at)),
    ]
    .concat();
    Ok(format!("<AccessKey>{inner}</AccessKey>"))
}

pub(super) fn update(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let standing = match ask.required("Status")? {
        "Active" => Standing::Active,
        "Inactive" => Standing::Inactive,
        other => return Err(constraint(other, "status", "Member must satisfy enum value set: [Active, Inactive]")),
    };
    let id = theirs(state, ask, "iam:UpdateAccessKey")?;
    let from = state.spread(ask.now);
    state.keys.stand(&id, from, standing);
    Ok(())
}

pub(super) fn delete(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let id = theirs(state, ask, "iam:DeleteAccessKey")?;
    let from = state.spread(ask.now);
    state.keys.stand(&id, from, Standing::Gone);
    Ok(())
}

/// Names the owner of a key, whoever it is: one call instead of a walk over all users.
pub(super) fn last_used(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let (action, id) = ("iam:GetAccessKeyLastUsed", ask.required("AccessKeyId")?);
    let key = state.keys.listed(id, ask.now);
    let owner = key.and_then(|key| Some((key, state.directory.by_id(&key.principal.user_id, ask.now)?)));
    let Some((key, owner)) = owner else {
        return Err(denied(&ask.caller, action, &format!("access key {id}"), ""));
    };
    ask.may(state, action, &owner.name, Default::default())?;
    let used = match &key.last_used {
        Some(used) => [
            element("LastUsedDate", &utc(used.at)),
            element("ServiceName", used.service),
            element("Region", &used.region),
        ]
        .concat(),
        None => element("ServiceName", "N/A") + &element("Region", "N/A"),
    };
    Ok(format!("{}<AccessKeyLastUsed>{used}</AccessKeyLastUsed>", element("UserName", &owner.name)))
}

/// The id of the key that the call names, if it is the user's and the caller may.
fn theirs(state: &State, ask: &Ask<'_>, action: &'static str) -> Result<String, No> {
    let id = ask.required("AccessKeyId")?;
    let name = ask.user_name(state)?;
    ask.may(state, action, &name, Default::default())?;
    let user = state.directory.named(&name, ask.now).ok_or_else(|| no_user(&name))?;
    let key = state.keys.listed(id, ask.now).filter(|key| key.principal.user_id == user.id);
    let missing = || No(404, "NoSuchEntity", format!("The Access Key with id {id} cannot be found."));
    key.map(|key| key.id.clone()).ok_or_else(missing)
}

fn metadata(key: &Key, name: &str, ask: &Ask<'_>) -> String {
    let active = key.standing.at(ask.now) == Some(&Standing::Active);
    [
        element("UserName", name),
        element("AccessKeyId", &key.id),
        element("Status", if active { "Active" } else { "Inactive" }),
        element("CreateDate", &utc(key.created_at)),
    ]
    .concat()
}
