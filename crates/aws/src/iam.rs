//! IAM: users, their tags, access keys and policies. The query protocol: a form goes out, XML comes back.
//!
//! What IAM is told is seen a few seconds later: a new user may be unknown to the next call, a new key to STS. Nothing
//! here waits for that; whoever must know asks again. Does not know which user may be touched by whom.

mod access_keys;
mod managed;
mod tags;
mod users;
mod why;

use bowline_base::Identity;

pub use access_keys::{
    AccessKey, LastUsed, Status, access_key_last_used, create_access_key, delete_access_key, list_access_keys,
    update_access_key,
};
pub use managed::{attach_user_policy, create_policy};
pub use tags::{tag_user, user_tags};
pub use users::{CreateUser, User, create_user, delete_user, delete_user_policy, list_users, put_user_policy, user};
pub use why::Why;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    request::{Auth, Repeat, Request},
    xml::Element,
};

/// A call: its name, its fields in order, and what a lost answer costs.
struct Ask<'a> {
    operation: &'static str,
    fields: Vec<(String, Option<&'a str>)>,
    repeat: Repeat,
}

impl<'a> Ask<'a> {
    fn new(operation: &'static str, fields: &[(&str, Option<&'a str>)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Self { operation, fields, repeat: Repeat::Freely }
    }

    /// It makes something: once more only when nothing was made.
    fn makes(self) -> Self {
        Self { repeat: Repeat::WhenRefused, ..self }
    }

    fn with_tags(mut self, tags: &'a [(String, String)]) -> Self {
        self.fields.extend((1..).zip(tags).flat_map(|(n, (key, value))| {
            [
                (format!("Tags.member.{n}.Key"), Some(key.as_str())),
                (format!("Tags.member.{n}.Value"), Some(value.as_str())),
            ]
        }));
        self
    }
}

/// No account has more pages than this; a list that pages on for ever is broken.
const MOST_PAGES: usize = 500;
const LONGEST_PAGE: &str = "1000";

/// Sends the call and gives what is in its result.
async fn result(aws: &Aws, region: &Region, identity: &dyn Identity, ask: &Ask<'_>) -> Result<Element, Error> {
    let answer = send(aws, region, identity, ask, None).await?;
    let document = Element::parse(&answer.body).ok();
    let found = document.and_then(|document| document.take(&format!("{}Result", ask.operation)));
    let doubtful = |error: Error| if ask.repeat.leaves_doubt() { error.ambiguous() } else { error };
    found.ok_or_else(|| doubtful(answer.nonsense(EXPECTED)))
}

/// Sends a call whose answer says only that it was done.
async fn done(aws: &Aws, region: &Region, identity: &dyn Identity, ask: &Ask<'_>) -> Result<(), Error> {
    let answer = send(aws, region, identity, ask, None).await?;
    let document = Element::parse(&answer.body).map_err(|_| answer.nonsense(EXPECTED))?;
    if document.name() == format!("{}Response", ask.operation) { Ok(()) } else { Err(answer.nonsense(EXPECTED)) }
}

/// Walks all pages of the list `name`, and gives what `read` makes of each member.
async fn pages<T>(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    ask: &Ask<'_>,
    (name, read): (&str, fn(&Element) -> Option<T>),
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut marker: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let answer = send(aws, region, identity, ask, Some(marker.as_deref())).await?;
        let bad = || answer.nonsense(EXPECTED);
        let document = Element::parse(&answer.body).map_err(|_| bad())?;
        let page = document.take(&format!("{}Result", ask.operation)).ok_or_else(bad)?;
        for member in page.children(name).next().ok_or_else(bad)?.children("member") {
            found.push(read(member).ok_or_else(bad)?);
        }
        if page.text_at(&["IsTruncated"]) != Some("true") {
            return Ok(found);
        }
        marker = Some(page.text_at(&["Marker"]).filter(|text| !text.is_empty()).ok_or_else(bad)?.to_owned());
    }
    Err(Error::nonsense(Service::Iam, ask.operation, Some(200), "a list with an end"))
}

const EXPECTED: &str = "an IAM answer";

/// `page`: of a list, from that marker on.
async fn send(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    ask: &Ask<'_>,
    page: Option<Option<&str>>,
) -> Result<Answer, Error> {
    let mut form: Vec<(&str, Option<&str>)> = ask.fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    if let Some(marker) = page {
        form.extend([("MaxItems", Some(LONGEST_PAGE)), ("Marker", marker)]);
    }
    let base = aws.endpoints().base(Service::Iam, region);
    let request = Request::post(Service::Iam, ask.operation, base, "/")
        .form("2010-05-08", &form)
        .auth(Auth::signed(region, Service::Iam))
        .repeat(ask.repeat);
    drive(aws, request, Some(identity)).await
}

/// The error of a part that is missing or wrong in an answer that was understood so far.
fn nonsense(operation: &'static str) -> Error {
    Error::nonsense(Service::Iam, operation, Some(200), EXPECTED)
}

/// The text of an element that must not be empty.
fn text(element: &Element, path: &[&str]) -> Option<String> {
    element.text_at(path).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
