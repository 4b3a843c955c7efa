//! `--print-…-policy`: a document on stdout, and on stderr what an administrator does with it.

use std::fs;

use bowline_aws::Partition;
use bowline_awsfiles::Config;
use bowline_base::Fault;
use bowline_delegation::{
    namespace::Prefix,
    policy::{self, Scope},
};
use serde_json::Value;

use super::{
    manager::Manager,
    task::{Part, Print, wrong},
};
use crate::{
    cli::Style,
    commands::policy_managers::{self, admin_steps, attach},
    environment::Environment,
    world::small_runtime,
};

const STEPS: &str = "note: as an administrator, with the document in policy.json:\n";

pub(super) fn run(manager: &Manager<'_>, print: &Print) -> Result<(), Fault> {
    let (document, steps) = match &print.part {
        Part::Admin(prefix) => {
            let scope = scope(manager, print, prefix.as_deref())?;
            let document = admin(&scope, print.style);
            let steps = admin_steps(&scope, &document, print.style);
            (document, steps)
        }
        Part::Refresh(prefix) => {
            let scope = scope(manager, print, prefix.as_deref())?;
            let document = match print.style {
                Style::Bowline => policy::refresh(&scope),
                Style::IamSorry => policy::iam_sorry_refresh(&scope),
            };
            let steps = attach(&scope, "refresh", "user", "OWNER", &document);
            (document, format!("{STEPS}{steps}"))
        }
        Part::Lambda(profile) => lambda(&manager.world.aws_config()?, profile, print.style)?,
    };
    policy_managers::print(&document, &steps)
}

/// A manager's document.
pub(super) fn admin(scope: &Scope, style: Style) -> Value {
    match style {
        Style::Bowline => policy::admin(scope, None),
        Style::IamSorry => policy::iam_sorry_admin(scope),
    }
}

/// Twelve digits and partition of an ARN.
pub(super) fn of_arn(arn: &str) -> Option<(&'static str, &str)> {
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next()?;
    let known = [Partition::Aws, Partition::China, Partition::Gov].into_iter().find(|known| known.id() == partition)?;
    Some((known.id(), parts.nth(2).filter(|account| account.len() == 12)?))
}

fn scope(manager: &Manager<'_>, print: &Print, prefix: Option<&str>) -> Result<Scope, Fault> {
    let prefix = match prefix {
        Some(text) => Prefix::parse(text)?,
        None => Prefix::parse(&unix_user(&manager.world.environment)?)?,
    };
    if let Some(account) = &print.account {
        return Ok(Scope { partition: manager.region()?.partition().id(), account: account.clone(), prefix });
    }
    let credentials = manager.credentials_or_environment().map_err(|fault| {
        let message = format!("whose account the policy is for cannot be asked: {}", fault.message);
        Fault { message, ..fault }.hint("name it: --account 111122223333")
    })?;
    let caller = small_runtime()?.block_on(manager.caller(&credentials))?;
    let (partition, account) =
        of_arn(&caller.arn).ok_or_else(|| wrong(format!("`{}` names no account", caller.arn)))?;
    Ok(Scope { partition, account: account.to_owned(), prefix })
}

/// The name of the user who runs this: that of the variables, else that of `/etc/passwd`.
fn unix_user(environment: &Environment) -> Result<String, Fault> {
    let variable = ["LOGNAME", "USER"].into_iter().find_map(|name| environment.var(name));
    let id = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed =
        || passwd.lines().find(|line| line.split(':').nth(2) == Some(&id)).and_then(|line| line.split(':').next());
    variable.or_else(listed).map(str::to_owned).ok_or_else(|| {
        wrong("this user has no name to take for a prefix").hint("name the prefix: iam-sorry --print-policy dirk")
    })
}

/// For the role that `role_arn` of the profile names; asks AWS nothing.
fn lambda(config: &Config, profile: &str, style: Style) -> Result<(Value, String), Fault> {
    let arn = config.profile(profile)?.text("role_arn").ok_or_else(|| {
        wrong(format!("profile `{profile}` has no `role_arn` in the config file"))
            .hint("name a profile that is a role: iam-sorry --print-lambda-policy PROFILE")
    })?;
    let role = arn.split_once(":role/").and_then(|(_, path)| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let parts = of_arn(arn).zip(role);
    let ((partition, account), role) = parts.ok_or_else(|| wrong(format!("`{arn}` is not the ARN of a role")))?;
    let ours = role.strip_prefix("iam-sorry-");
    let first = ours.unwrap_or(role).split('-').next().unwrap_or_default();
    let scope = Scope { partition, account: account.to_owned(), prefix: Prefix::parse(first)? };
    let document = match style {
        Style::Bowline => policy::lambda(&scope),
        Style::IamSorry => policy::iam_sorry_lambda(&scope, ours.is_some_and(|rest| rest.contains('-'))),
    };
    let steps = attach(&scope, "lambda", "role", role, &document);
    Ok((document, format!("{STEPS}{steps}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_partition_and_account() {
        assert_eq!(of_arn("arn:aws-cn:iam::111122223333:user/dirk"), Some(("aws-cn", "111122223333")));
        for bad in ["", "arn:aws:iam::1:user/x", "arn:elsewhere:iam::111122223333:user/x", "user"] {
            assert_eq!(of_arn(bad), None, "{bad}");
        }
    }
}
