//! Profiles for every account and role that a session may enter: what the portal lists, what is to be written, and what
//! that changes. Only the session's own marked block of the config file is touched.

use std::collections::{BTreeMap, BTreeSet};

use bowline_aws::{
    Aws, Region,
    sso::{self, list_account_roles, list_accounts},
};
use bowline_awsfiles::{BlockError, Config, Document, RewriteError, Rule, SsoKey, SsoToken, rewrite};
use bowline_base::{Fault, Kind};
use serde::Serialize;

use crate::{Sources, login::session_of, source::region};

/// The naming template where none is given.
pub const TEMPLATE: &str = "{account_name}-{role}";

/// A role of an account, and what its profile is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wanted {
    /// The profile's name.
    pub profile: String,
    /// Twelve digits.
    pub account_id: String,
    /// The account's name; may be empty.
    pub account_name: String,
    /// The role's name.
    pub role: String,
    /// The profile's `region`.
    pub region: Option<String>,
}

/// Which `region` profiles get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionOf {
    /// That of the sign-in.
    Session,
    /// This one.
    Named(Region),
    /// None: the environment decides.
    Nobody,
}

/// What happens to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Add,
    /// It stays as it is.
    Keep,
    /// It stands for another role now, or has another region.
    Update,
    /// It was in the block and the session has it no more.
    Remove,
    /// Somebody wrote a profile of that name outside of the block: theirs stays, ours is not written.
    Foreign,
}

/// What a sync does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The `[sso-session]`.
    pub session: String,
    /// Profiles and what happens to them, by name.
    pub changes: Vec<(Change, String)>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// Lists every account and role of the session behind `name` and says what its profiles would be.
///
/// # Errors
/// `LoginRequired` without a good sign-in; `Config` for a template that gives one name twice or a session without a name.
pub async fn wanted(
    sources: &Sources,
    name: &str,
    template: &str,
    region_of: &RegionOf,
) -> Result<(String, Vec<Wanted>), Fault> {
    let (_, login, aws) = session_of(sources, name)?;
    let SsoKey::Session(session) = &login.key else {
        let message =
            format!("`{name}` signs in with the old `sso_start_url`, so there is no session to write profiles for");
        return Err(
            Fault::new(Kind::Config, "config", message).hint("run `bowline doctor sso` for the corrected section")
        );
    };
    let region = region(Some(&login.region))?;
    let written = match region_of {
        RegionOf::Session => Some(region.to_string()),
        RegionOf::Named(named) => Some(named.to_string()),
        RegionOf::Nobody => None,
    };
    let token = sources.tokens().usable(&aws, &login, None).await?;
    let found = everything(&aws, &region, &token, template, written.as_deref()).await?;
    match found.windows(2).find(|pair| pair[0].profile == pair[1].profile) {
        Some([one, other]) => Err(ambiguous(one, other)),
        _ => Ok((session.clone(), found)),
    }
}

/// A profile for every role of every account, by name.
async fn everything(
    aws: &Aws,
    region: &Region,
    token: &SsoToken,
    template: &str,
    written: Option<&str>,
) -> Result<Vec<Wanted>, Fault> {
    let mut found = Vec::new();
    for account in list_accounts(aws, region, &token.access_token).await? {
        for role in list_account_roles(aws, region, &token.access_token, &account.id).await? {
            let profile = profile_name(template, &account, &role)?;
            let (account_id, account_name) = (account.id.clone(), account.name.clone());
            let region = written.map(str::to_owned);
            found.push(Wanted { profile, account_id, account_name, role, region });
        }
    }
    found.sort();
    Ok(found)
}

fn ambiguous(one: &Wanted, other: &Wanted) -> Fault {
    let place = |wanted: &Wanted| format!("{} in {}", wanted.role, wanted.account_id);
    let message = format!("`{}` would stand for two roles: {} and {}", one.profile, place(one), place(other));
    Fault::new(Kind::Config, "template", message).hint("use --template \"{account_name}-{account_id}-{role}\"")
}

/// What has to change in `document`, the config file, so that its block for `session` holds `wanted`.
///
/// # Errors
/// A mistake in the file, or marks that do not belong together.
pub fn plan(document: &Document, session: &str, wanted: &[Wanted]) -> Result<Plan, BlockError> {
    let block = block_name(session);
    let mut outside = document.clone();
    let own: BTreeMap<String, Wanted> = match document.block(&block)? {
        Some(_) => {
            outside.set_block(&block, &[])?;
            profiles(&Config::read(Some(document), None)?, &outside)?
        }
        None => BTreeMap::new(),
    };
    let foreign: BTreeSet<String> =
        Config::read(Some(&outside), None)?.profiles().map(|profile| profile.name().to_owned()).collect();
    let mut changes: Vec<(Change, String)> = Vec::new();
    let mut lines = Vec::new();
    for one in wanted {
        let change = match own.get(&one.profile) {
            _ if foreign.contains(&one.profile) => Change::Foreign,
            Some(old) if old.stands_for() == one.stands_for() => Change::Keep,
            Some(_) => Change::Update,
            None => Change::Add,
        };
        if change != Change::Foreign {
            lines.extend(section(session, one));
        }
        changes.push((change, one.profile.clone()));
    }
    let gone = own.keys().filter(|name| !wanted.iter().any(|one| one.profile == **name));
    changes.extend(gone.map(|name| (Change::Remove, name.clone())));
    changes.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(Plan { session: session.to_owned(), changes, lines })
}

impl Wanted {
    fn stands_for(&self) -> (&str, &str, Option<&str>) {
        (&self.account_id, &self.role, self.region.as_deref())
    }
}

impl Plan {
    /// Whether the file says all of it already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|(change, _)| matches!(change, Change::Keep | Change::Foreign))
    }
}

/// Writes `wanted` into the config file of `sources`; the plan is made anew under the file's lock.
///
/// # Errors
/// The file cannot be read or written; then it is as it was.
pub fn write(sources: &Sources, session: &str, wanted: &[Wanted]) -> Result<(), Fault> {
    let path = &sources.setup().locations.config;
    rewrite(path, Rule::Config, |document| -> Result<(), RewriteError> {
        let plan = plan(document, session, wanted)?;
        Ok(document.set_block(&block_name(session), &plan.lines)?)
    })?;
    Ok(())
}

/// Profiles that are in `all` and not `outside` of the block.
fn profiles(all: &Config, outside: &Document) -> Result<BTreeMap<String, Wanted>, BlockError> {
    let outside = Config::read(Some(outside), None)?;
    let inside = all.profiles().filter(|profile| outside.profile(profile.name()).is_err());
    let read = |profile: &bowline_awsfiles::Profile| {
        let text = |key: &str| profile.text(key).unwrap_or_default().to_owned();
        let (account_id, role) = (text("sso_account_id"), text("sso_role_name"));
        let region = profile.region().map(ToOwned::to_owned);
        Wanted { profile: profile.name().to_owned(), account_id, account_name: String::new(), role, region }
    };
    Ok(inside.map(|profile| (profile.name().to_owned(), read(profile))).collect())
}

fn section(session: &str, wanted: &Wanted) -> Vec<String> {
    let mut lines = vec![
        format!("[{}]", bowline_awsfiles::SectionName::Profile(wanted.profile.clone()).header()),
        format!("sso_session = {session}"),
        format!("sso_account_id = {}", wanted.account_id),
        format!("sso_role_name = {}", wanted.role),
    ];
    lines.extend(wanted.region.as_ref().map(|region| format!("region = {region}")));
    lines
}

fn block_name(session: &str) -> String {
    format!("profiles of sso-session {session}")
}

/// Blanks and what cannot stand in a header become `-`: names are typed in shells.
fn profile_name(template: &str, account: &sso::Account, role: &str) -> Result<String, Fault> {
    let wrong = |message: String| {
        Fault::new(Kind::Config, "template", message)
            .hint("known are {account_name}, {account_id}, {account_email} and {role}")
    };
    let shown = if account.name.is_empty() { &account.id } else { &account.name };
    let values = [("{account_name}", shown), ("{account_id}", &account.id), ("{account_email}", &account.email)];
    let mut name = template.to_owned();
    for (place, value) in values {
        name = name.replace(place, &plain(value));
    }
    name = name.replace("{role}", &plain(role));
    if name.contains(['{', '}']) {
        return Err(wrong(format!("the template `{template}` has a place that is not known")));
    }
    let name = plain(&name);
    if name.is_empty() { Err(wrong(format!("the template `{template}` gives an empty name"))) } else { Ok(name) }
}

fn plain(text: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "_.@+=,/-{}".contains(c) { c } else { '-' };
    text.trim().chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(std::path::Path::new("config"), text.as_bytes()).unwrap()
    }

    fn wanted(profile: &str, role: &str) -> Wanted {
        let (profile, role) = (profile.to_owned(), role.to_owned());
        Wanted { profile, account_id: "111122223333".to_owned(), account_name: "dev".to_owned(), role, region: None }
    }

    fn changes(plan: &Plan) -> Vec<(Change, &str)> {
        plan.changes.iter().map(|(change, name)| (*change, name.as_str())).collect()
    }

    #[test]
    fn a_plan_adds_keeps_removes_and_leaves_alone_what_is_somebody_elses() {
        let mut file = document("[profile mine]\nregion = x\n");
        let first = [wanted("dev-admin", "admin"), wanted("dev-build", "build"), wanted("mine", "x")];
        let plan_1 = plan(&file, "corp", &first).unwrap();
        let expected = [(Change::Add, "dev-admin"), (Change::Add, "dev-build"), (Change::Foreign, "mine")];
        assert_eq!(changes(&plan_1), expected);
        file.set_block(&block_name("corp"), &plan_1.lines).unwrap();
        assert!(plan(&file, "corp", &first).unwrap().is_empty());
        let plan_2 = plan(&file, "corp", &first[..1]).unwrap();
        assert_eq!(changes(&plan_2), [(Change::Keep, "dev-admin"), (Change::Remove, "dev-build")]);
        let elsewhere = Wanted { region: Some("eu-west-1".to_owned()), ..wanted("dev-admin", "admin") };
        let plan_3 = plan(&file, "corp", &[elsewhere, wanted("dev-build", "deploy")]).unwrap();
        assert_eq!(changes(&plan_3), [(Change::Update, "dev-admin"), (Change::Update, "dev-build")]);
        assert!(plan_3.lines.contains(&"region = eu-west-1".to_owned()), "{:?}", plan_3.lines);
        let other = plan(&file, "other", &[wanted("dev-admin", "admin")]).unwrap();
        assert_eq!(changes(&other), [(Change::Foreign, "dev-admin")], "two sessions do not erase each other");
    }

    #[test]
    fn names_come_from_the_template_and_can_be_typed() {
        let account = sso::Account { id: "111122223333".into(), name: "Dev & Test".into(), email: "a@b".into() };
        assert_eq!(profile_name(TEMPLATE, &account, "Admin").unwrap(), "Dev---Test-Admin");
        assert_eq!(profile_name("{role}.{account_id}", &account, "r").unwrap(), "r.111122223333");
        assert!(profile_name("{acount}", &account, "r").unwrap_err().hint.unwrap().contains("{account_name}"));
        assert!(profile_name(" ", &account, "r").is_err());
    }
}
