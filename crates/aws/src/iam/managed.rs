//! Managed policies: made once, attached to users.

use bowline_base::Identity;

use super::{Ask, done, nonsense, result, text};
use crate::{Aws, Error, Region};

/// Makes the managed policy `name` with `document` (JSON, at most 6144 characters), and gives its ARN.
///
/// # Errors
/// [`Error`]; [`super::Why::Exists`] when the name is taken.
pub async fn create_policy(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    (name, document): (&str, &str),
) -> Result<String, Error> {
    let operation = "CreatePolicy";
    let ask = Ask::new(operation, &[("PolicyName", Some(name)), ("PolicyDocument", Some(document))]).makes();
    let answer = result(aws, region, identity, &ask).await?;
    text(&answer, &["Policy", "Arn"]).ok_or_else(|| nonsense(operation))
}

/// Attaches the managed policy `arn` to the user.
///
/// # Errors
/// [`Error`]; [`super::Why::Missing`] when there is no such user or policy.
pub async fn attach_user_policy(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
    arn: &str,
) -> Result<(), Error> {
    let fields = [("UserName", Some(name)), ("PolicyArn", Some(arn))];
    done(aws, region, identity, &Ask::new("AttachUserPolicy", &fields)).await
}
