//! Tags, set on resources that are there already. The value of a key that is there is replaced.

use bowline_base::Identity;

use super::{Ask, done};
use crate::{Aws, Error, Region};

/// Sets `tags` on every one of `resources`; may be done twice.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn create_tags(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    resources: &[String],
    tags: &[(String, String)],
) -> Result<(), Error> {
    done(aws, region, identity, &ask(resources, tags)).await
}

pub(super) fn ask(resources: &[String], tags: &[(String, String)]) -> Ask {
    Ask::new("CreateTags").with_each("ResourceId", resources).with_tags("", tags)
}
