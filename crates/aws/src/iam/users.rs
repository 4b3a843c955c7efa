//! Users: shown, listed, made with their tags and boundary in one call, deleted; and the policies that stand in them.

use bowline_base::{Identity, Timestamp, parse_timestamp};

use super::{Ask, done, nonsense, pages, result, tags, text};
use crate::{Aws, Error, Region, xml::Element};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Unique in the account, whatever its case.
    pub name: String,
    /// `/`, or the like of `/team/`.
    pub path: String,
    /// `arn:aws:iam::123456789012:user/team/dirk`.
    pub arn: String,
    /// `AIDA…`; another user of the same name would have another.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Key and value. Lists do not bring them.
    pub tags: Vec<(String, String)>,
    /// ARN of the managed policy that bounds what it may do. Lists do not bring it.
    pub boundary: Option<String>,
}

/// What to ask of `CreateUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUser {
    /// At most 64 of `[A-Za-z0-9+=,.@_-]`.
    pub name: String,
    /// Begins and ends with a slash; AWS takes `/` when absent.
    pub path: Option<String>,
    /// Set in the same call: there is no moment without them. Needs the right to `iam:TagUser`.
    pub tags: Vec<(String, String)>,
    /// ARN of a managed policy, set in the same call.
    pub boundary: Option<String>,
}

impl CreateUser {
    /// Asks for a user without path, tags and boundary.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), path: None, tags: Vec::new(), boundary: None }
    }
}

/// The user `name`, or the one whose keys these are.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when there is none, or it is too new to be seen.
pub async fn user(aws: &Aws, region: &Region, identity: &dyn Identity, name: Option<&str>) -> Result<User, Error> {
    let ask = Ask::new("GetUser", &[("UserName", name)]);
    let answer = result(aws, region, identity, &ask).await?;
    answer.children("User").next().and_then(read).ok_or_else(|| nonsense(ask.operation))
}

/// Every user under `path`, all pages, without tags and boundaries.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn list_users(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    path: Option<&str>,
) -> Result<Vec<User>, Error> {
    let ask = Ask::new("ListUsers", &[("PathPrefix", path)]);
    pages(aws, region, identity, &ask, ("Users", read)).await
}

/// Makes a user. Repeated by itself only where nothing was made.
///
/// # Errors
/// [`Error`]; [`super::Why::Exists`] when the name is taken; ambiguous when the answer was lost: then [`user`] tells.
pub async fn create_user(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &CreateUser,
) -> Result<User, Error> {
    let fields = [
        ("UserName", Some(request.name.as_str())),
        ("Path", request.path.as_deref()),
        ("PermissionsBoundary", request.boundary.as_deref()),
    ];
    let ask = Ask::new("CreateUser", &fields).with_tags(&request.tags).makes();
    let answer = result(aws, region, identity, &ask).await?;
    answer.children("User").next().and_then(read).ok_or_else(|| nonsense(ask.operation).ambiguous())
}

/// Deletes a user that has neither keys nor policies any more.
///
/// # Errors
/// [`Error`]; [`super::Why::InUse`] when something hangs on it.
pub async fn delete_user(aws: &Aws, region: &Region, identity: &dyn Identity, name: &str) -> Result<(), Error> {
    done(aws, region, identity, &Ask::new("DeleteUser", &[("UserName", Some(name))])).await
}

/// Puts `document` (JSON) into the user under the name `policy`, or replaces the one that is there. All inline policies
/// of a user together may have 2048 characters.
///
/// # Errors
/// [`Error`]; [`super::Why::LimitReached`] when it is too long.
pub async fn put_user_policy(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
    (policy, document): (&str, &str),
) -> Result<(), Error> {
    let fields = [("UserName", Some(name)), ("PolicyName", Some(policy)), ("PolicyDocument", Some(document))];
    done(aws, region, identity, &Ask::new("PutUserPolicy", &fields)).await
}

/// Takes the policy of that name out of the user.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn delete_user_policy(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
    policy: &str,
) -> Result<(), Error> {
    let fields = [("UserName", Some(name)), ("PolicyName", Some(policy))];
    done(aws, region, identity, &Ask::new("DeleteUserPolicy", &fields)).await
}

fn read(element: &Element) -> Option<User> {
    let tags = element.children("Tags").next().map(|tags| tags.children("member").map(tags::read).collect());
    Some(User {
        name: text(element, &["UserName"])?,
        path: text(element, &["Path"])?,
        arn: text(element, &["Arn"])?,
        id: text(element, &["UserId"])?,
        created_at: parse_timestamp(element.text_at(&["CreateDate"])?).ok()?,
        tags: tags.unwrap_or_else(|| Some(Vec::new()))?,
        boundary: text(element, &["PermissionsBoundary", "PermissionsBoundaryArn"]),
    })
}
