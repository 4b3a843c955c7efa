//! `bowline policy admin|refresh|lambda`: what holds managers to their namespace, and the administrator's steps.

use std::path::PathBuf;

use bowline_aws::Partition;
use bowline_base::{Fault, Kind};
use bowline_delegation::{
    namespace::Prefix,
    policy::{self, MANAGER, OWNER, Scope},
};
use serde_json::Value;

use super::users::Desk;
use crate::{
    cli::{Manages, PolicyAdmin, PolicyLambda, PolicyNamespace, Style},
    config::DelegationSection,
    config_place,
    environment::Environment,
    output,
    world::small_runtime,
};

/// All inline policies of a user together may have so many characters.
const INLINE: usize = 2048;

pub(crate) fn admin(environment: Environment, file: Option<PathBuf>, arguments: &PolicyAdmin) -> Result<(), Fault> {
    let settings = config_place::load(file.clone(), &environment)?.delegation;
    let scope = scope("admin", environment, file, &arguments.namespace, &settings)?;
    let boundary = arguments.boundary.as_deref().or(settings.permissions_boundary.as_deref());
    let document = match arguments.namespace.style {
        Style::Bowline => policy::admin(&scope, boundary),
        Style::IamSorry => policy::iam_sorry_admin(&scope),
    };
    print(&document, &admin_steps(&scope, &document, arguments.namespace.style))
}

pub(crate) fn refresh(environment: Environment, file: Option<PathBuf>, asked: &PolicyNamespace) -> Result<(), Fault> {
    let settings = config_place::load(file.clone(), &environment)?.delegation;
    let scope = scope("refresh", environment, file, asked, &settings)?;
    let document = match asked.style {
        Style::Bowline => policy::refresh(&scope),
        Style::IamSorry => policy::iam_sorry_refresh(&scope),
    };
    let attach = attach(&scope, "refresh", "user", "OWNER", &document);
    print(&document, &format!("note: as an administrator, with the document in policy.json:\n{attach}"))
}

pub(crate) fn lambda(environment: Environment, file: Option<PathBuf>, arguments: &PolicyLambda) -> Result<(), Fault> {
    let settings = config_place::load(file.clone(), &environment)?.delegation;
    let scope = scope("lambda", environment, file, &arguments.namespace, &settings)?;
    let own = format!("iam-sorry-{}-", scope.prefix);
    let document = match arguments.namespace.style {
        Style::Bowline => policy::lambda(&scope),
        Style::IamSorry => {
            policy::iam_sorry_lambda(&scope, arguments.role.as_ref().is_none_or(|role| role.starts_with(&own)))
        }
    };
    let role = arguments.role.as_deref().unwrap_or("ROLE");
    let attach = attach(&scope, "lambda", "role", role, &document);
    print(&document, &format!("note: as an administrator, with the document in policy.json:\n{attach}"))
}

fn scope(
    part: &str,
    environment: Environment,
    file: Option<PathBuf>,
    asked: &PolicyNamespace,
    settings: &DelegationSection,
) -> Result<Scope, Fault> {
    let of_user = || environment.var("USER").or_else(|| environment.var("LOGNAME")).map(Prefix::parse).transpose();
    let prefix = match asked.prefix.clone().or_else(|| settings.prefix.clone()) {
        Some(prefix) => prefix,
        None => of_user()?.ok_or_else(|| {
            Fault::new(Kind::Config, "policy", "no namespace is named").hint(format!("bowline policy {part} PREFIX"))
        })?,
    };
    if let Some(account) = asked.account.clone() {
        return Ok(Scope { partition: Partition::from(asked.partition).id(), account, prefix });
    }
    let manages = Manages { profile: asked.profile.clone(), ssh_key: None };
    let caller = ask(&Desk::new(environment, file, &manages)?).map_err(|cause| {
        let message = "AWS cannot be asked which account it is";
        Fault::new(cause.kind, "policy", message).hint("name it: --account 111122223333").cause(cause)
    })?;
    Ok(Scope { partition: caller.0, account: caller.1, prefix })
}

/// Partition and account of the keys that there are, whosever they are.
fn ask(desk: &Desk) -> Result<(&'static str, String), Fault> {
    let identity = bowline_base::FixedIdentity::new(desk.keys()?);
    let region = desk.region()?;
    let who = small_runtime()?.block_on(bowline_aws::sts::caller_identity(&desk.world.aws, &region, &identity))?;
    Ok((region.partition().id(), who.account))
}

pub(crate) fn print(document: &Value, steps: &str) -> Result<(), Fault> {
    output::data(&format!("{document:#}\n"))?;
    output::say(steps);
    Ok(())
}

pub(crate) fn admin_steps(scope: &Scope, document: &Value, style: Style) -> String {
    let prefix = &scope.prefix;
    let manager = format!("{prefix}-mgr");
    let attach = attach(scope, "admin", "user", &manager, document);
    if style == Style::IamSorry {
        return format!(
            "note: this document lets a manager make and tag any user of the account; without --style iam-sorry it does not\nnote: as an administrator, with the document in policy.json:\n{attach}"
        );
    }
    format!(
        "note: as an administrator, with the document in policy.json:\n  \
         tag those first that are there already: a user of the namespace without an owner can be claimed\n  \
         aws iam list-users --query \"Users[?UserName=='{prefix}'||starts_with(UserName,'{prefix}-')].UserName\"\n  \
         aws iam tag-user --user-name USER --tags Key={OWNER},Value=WHOSE\n  \
         aws iam create-user --user-name {manager} --tags Key={MANAGER},Value={prefix}\n{attach}\n  \
         aws iam create-access-key --user-name {manager}\n  \
         then, with that key in the environment, on the manager's machine: bowline users bootstrap"
    )
}

/// As a managed policy: an inline one may be too long.
pub(crate) fn attach(scope: &Scope, part: &str, kind: &str, whom: &str, document: &Value) -> String {
    let name = format!("bowline-{}-{part}", scope.prefix);
    let length = document.to_string().len();
    let why =
        if length > INLINE { format!("; {length} characters are too many for an inline one") } else { String::new() };
    format!(
        "  a managed policy{why}\n  \
         aws iam create-policy --policy-name {name} --policy-document file://policy.json\n  \
         aws iam attach-{kind}-policy --{kind}-name {whom} --policy-arn arn:{}:iam::{}:policy/{name}",
        scope.partition, scope.account
    )
}
