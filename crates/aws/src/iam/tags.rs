//! Tags of users. Setting a tag overwrites the one that is there, and IAM does not look at the case of a key.

use bowline_base::Identity;

use super::{Ask, done, pages, text};
use crate::{Aws, Error, Region, xml::Element};

/// Sets these tags of a user and leaves its others.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn tag_user(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
    tags: &[(String, String)],
) -> Result<(), Error> {
    done(aws, region, identity, &Ask::new("TagUser", &[("UserName", Some(name))]).with_tags(tags)).await
}

/// All tags of a user, all pages.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when there is no such user.
pub async fn user_tags(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
) -> Result<Vec<(String, String)>, Error> {
    pages(aws, region, identity, &Ask::new("ListUserTags", &[("UserName", Some(name))]), ("Tags", read)).await
}

pub(super) fn read(element: &Element) -> Option<(String, String)> {
    Some((text(element, &["Key"])?, element.text_at(&["Value"])?.to_owned()))
}
