//! Users: made with tags and a boundary in one call, shown, listed, deleted when nothing hangs on them.

use bowline_base::{Timestamp, utc};

use super::{
    Ask,
    directory::{Directory, User, user_arn},
    no_user,
    paging::page,
    permission::{Wish, permit},
    tags,
};
use crate::{
    cloud::State,
    query::{No, constraint},
    slow::Slow,
    xml::element,
};

pub(super) fn show(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let name = ask.user_name(state)?;
    let user = ask.shown(state, "iam:GetUser", &name)?;
    Ok(format!("<User>{}</User>", whole(user, ask)))
}

pub(super) fn list(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let prefix = ask.form.field("PathPrefix").unwrap_or("/");
    let resource = user_arn(&state.home_account(), prefix, "");
    permit(state, &ask.caller, Wish { action: "iam:ListUsers", resource, context: Default::default() }, ask.now)?;
    let users = state.directory.seen(ask.now);
    let users: Vec<String> = users.into_iter().filter(|user| user.path.starts_with(prefix)).map(plain).collect();
    page(state, ask, "Users", &users)
}

pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let name = ask.required("UserName")?.to_owned();
    let path = ask.form.field("Path").unwrap_or("/").to_owned();
    check_name(&name)?;
    check_path(&path)?;
    let tags = tags::read(ask)?;
    let boundary = ask.form.field("PermissionsBoundary").map(str::to_owned);
    may_create(state, ask, &path, &name, &tags, boundary.as_deref())?;
    if state.directory.truth(&name).is_some() {
        return Err(No(409, "EntityAlreadyExists", format!("User with name {name} already exists.")));
    }
    if let Some(arn) = &boundary {
        attachable(&state.directory, arn)?;
    }
    let from = state.spread(ask.now);
    let mut user = User::new(&state.home_account(), &path, &name, state.mint.key_id("AIDA"), ask.now);
    user.exists = Slow::new(from, true);
    user.tags.set(Timestamp::MIN, tags);
    user.boundary.set(Timestamp::MIN, boundary);
    let answer = format!("<User>{}</User>", whole(&user, ask));
    state.directory.add(user);
    Ok(answer)
}

pub(super) fn delete(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let name = ask.required("UserName")?.to_owned();
    ask.may(state, "iam:DeleteUser", &name, Default::default())?;
    let user = state.directory.named(&name, ask.now).ok_or_else(|| no_user(&name))?;
    let conflict = |what: &str| Err(No(409, "DeleteConflict", format!("Cannot delete entity, must {what} first.")));
    if state.keys.truly_of_user(&user.id).next().is_some() {
        return conflict("delete access keys");
    }
    if !user.inline.truth().is_empty() {
        return conflict("delete policies");
    }
    if !user.attached.truth().is_empty() {
        return conflict("detach all policies");
    }
    let from = state.spread(ask.now);
    ask.found(state, &name)?.exists.set(from, false);
    Ok(())
}

/// A managed policy that is there.
pub(super) fn attachable(directory: &Directory, arn: &str) -> Result<(), No> {
    let missing = || No(404, "NoSuchEntity", format!("Policy {arn} does not exist or is not attachable."));
    directory.managed(arn).map(drop).ok_or_else(missing)
}

pub(super) fn check_name(name: &str) -> Result<(), No> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.len() <= 64 && name.chars().all(allowed) {
        return Ok(());
    }
    let words = "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the \
                 following: +=,.@_-";
    Err(No::invalid(words))
}

fn check_path(path: &str) -> Result<(), No> {
    let good = path.starts_with('/') && path.ends_with('/') && path.len() <= 512 && !path.contains("//");
    let rule = "Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)";
    if good { Ok(()) } else { Err(constraint(path, "path", rule)) }
}

/// `CreateUser`, and `TagUser` too where it comes with tags: both are asked on a user that has no tags yet.
fn may_create(
    state: &State,
    ask: &Ask<'_>,
    path: &str,
    name: &str,
    tags: &super::directory::Tags,
    boundary: Option<&str>,
) -> Result<(), No> {
    let resource = user_arn(&state.home_account(), path, name);
    let bare = tags::requested(tags);
    let context = boundary.map_or(bare.clone(), |arn| bare.clone().with("iam:PermissionsBoundary", arn));
    permit(state, &ask.caller, Wish { action: "iam:CreateUser", resource: resource.clone(), context }, ask.now)?;
    if tags.is_empty() {
        return Ok(());
    }
    permit(state, &ask.caller, Wish { action: "iam:TagUser", resource, context: bare }, ask.now)
}

/// What lists show.
fn plain(user: &User) -> String {
    [
        element("Path", &user.path),
        element("UserName", &user.name),
        element("UserId", &user.id),
        element("Arn", &user.arn),
        element("CreateDate", &utc(user.created_at)),
    ]
    .concat()
}

/// What is shown of one user: its boundary and tags too.
fn whole(user: &User, ask: &Ask<'_>) -> String {
    let boundary = user.boundary.at(ask.now).and_then(Option::as_ref).map(|arn| {
        let inner = element("PermissionsBoundaryType", "Policy") + &element("PermissionsBoundaryArn", arn);
        format!("<PermissionsBoundary>{inner}</PermissionsBoundary>")
    });
    let tags: String = tags::members(user, ask).iter().map(|tag| format!("<member>{tag}</member>")).collect();
    let tags = if tags.is_empty() { tags } else { format!("<Tags>{tags}</Tags>") };
    plain(user) + &boundary.unwrap_or_default() + &tags
}
