//! Systems Manager's Parameter Store: read one parameter or all below a path, write, delete. JSON 1.1 both ways.
//!
//! AWS takes at most 4096 characters in a standard parameter, never changes the type of one that is there, and pages by ten.
//! Does not know what the parameters mean.

use bowline_base::{Identity, Secret};
use serde_json::json;

use crate::{Aws, Error, Region, Service, json::Object, json11::Json11, request::Repeat};

const PARAMETER_STORE: Json11 =
    Json11 { service: Service::Ssm, prefix: "AmazonSSM", answer: "an answer of Parameter Store" };

/// The most characters of a standard parameter's value.
pub const LONGEST_VALUE: usize = 4096;

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Readable by whoever may read the parameter.
    Plain,
    /// Encrypted by KMS; reading it needs `kms:Decrypt` as well.
    Sealed,
}

/// A parameter as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The whole name, `/ephem-vpn/users/alice/record`.
    pub name: String,
    /// The value, decrypted.
    pub value: Secret,
    /// How it is kept. A `StringList` counts as plain.
    pub kind: Kind,
    /// One more with each change.
    pub version: u64,
}

/// A parameter to be written.
#[derive(Clone, Copy, Debug)]
pub struct PutParameter<'a> {
    /// The whole name.
    pub name: &'a str,
    /// At most [`LONGEST_VALUE`] characters, at least one.
    pub value: &'a Secret,
    /// Only for a new parameter: the type of one that is there does not change.
    pub kind: Kind,
    /// Whether one that is there is replaced.
    pub overwrite: bool,
}

/// The parameter `name`; `None` when there is none.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn parameter(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    name: &str,
) -> Result<Option<Parameter>, Error> {
    let question = json!({ "Name": name, "WithDecryption": true });
    let (answer, mut object) =
        match PARAMETER_STORE.call(aws, region, identity, "GetParameter", &question, Repeat::Freely).await {
            Err(error) if is_missing(&error) => return Ok(None),
            outcome => outcome?,
        };
    let found = object.object("Parameter").and_then(read);
    found.map(Some).ok_or_else(|| answer.nonsense("a parameter"))
}

/// All parameters below `path`, whatever their depth.
///
/// # Errors
/// [`Error`], refused or unreachable; then nothing of what was read.
pub async fn parameters_by_path(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    path: &str,
) -> Result<Vec<Parameter>, Error> {
    let mut found = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut question = json!({ "Path": path, "Recursive": true, "WithDecryption": true, "MaxResults": 10 });
        if let Some(token) = next {
            question["NextToken"] = token.into();
        }
        let (answer, mut object) =
            PARAMETER_STORE.call(aws, region, identity, "GetParametersByPath", &question, Repeat::Freely).await?;
        let page = object.objects("Parameters").ok_or_else(|| answer.nonsense("a list of parameters"))?;
        for parameter in page {
            found.push(read(parameter).ok_or_else(|| answer.nonsense("a parameter"))?);
        }
        next = object.text("NextToken").filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(found);
        }
    }
    Err(Error::nonsense(Service::Ssm, "GetParametersByPath", Some(200), "a list with an end"))
}

/// Writes a parameter and gives its version. Repeated by itself only where nothing was written, unless it overwrites.
///
/// # Errors
/// [`Error`]; [`is_taken`] when it is there and must not be overwritten.
pub async fn put_parameter(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    put: &PutParameter<'_>,
) -> Result<u64, Error> {
    let kind = match put.kind {
        Kind::Plain => "String",
        Kind::Sealed => "SecureString",
    };
    let question = json!({
        "Name": put.name, "Value": put.value.expose(), "Type": kind, "Overwrite": put.overwrite, "Tier": "Standard",
    });
    let repeat = if put.overwrite { Repeat::Freely } else { Repeat::WhenRefused };
    let (answer, object) = PARAMETER_STORE.call(aws, region, identity, "PutParameter", &question, repeat).await?;
    let version = object.integer("Version").and_then(|version| u64::try_from(version).ok());
    version.ok_or_else(|| answer.nonsense("the version of a parameter"))
}

/// Deletes one parameter and says whether it was there: of two who delete it, one is told so. After a lost answer the error
/// is ambiguous.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn delete_parameter(aws: &Aws, region: &Region, identity: &dyn Identity, name: &str) -> Result<bool, Error> {
    let question = json!({ "Name": name });
    match PARAMETER_STORE.call(aws, region, identity, "DeleteParameter", &question, Repeat::WhenRefused).await {
        Err(error) if is_missing(&error) => Ok(false),
        outcome => outcome.map(|_| true),
    }
}

/// Deletes at most ten parameters; those that are not there do not matter.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn delete_parameters(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    names: &[&str],
) -> Result<(), Error> {
    let question = json!({ "Names": names });
    PARAMETER_STORE.call(aws, region, identity, "DeleteParameters", &question, Repeat::Freely).await.map(drop)
}

/// The name is taken, and was not to be overwritten.
#[must_use]
pub fn is_taken(error: &Error) -> bool {
    error.code() == Some("ParameterAlreadyExists")
}

/// The parameter is there and of the other kind, which AWS does not change.
#[must_use]
pub fn is_of_another_kind(error: &Error) -> bool {
    matches!(error.code(), Some("HierarchyTypeMismatchException" | "HierarchyTypeMismatch"))
        || (error.code() == Some("ValidationException") && error.message().is_some_and(|text| text.contains("type")))
}

fn is_missing(error: &Error) -> bool {
    error.code() == Some("ParameterNotFound")
}

/// Ten thousand standard parameters in an account, ten a page; a list that pages on for ever is broken.
const MOST_PAGES: usize = 2000;

fn read(mut object: Object) -> Option<Parameter> {
    let kind = match object.text("Type")?.as_str() {
        "SecureString" => Kind::Sealed,
        _ => Kind::Plain,
    };
    Some(Parameter {
        name: object.text("Name")?,
        value: Secret::new(object.text("Value")?),
        kind,
        version: object.integer("Version").and_then(|version| u64::try_from(version).ok())?,
    })
}
