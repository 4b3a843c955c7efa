//! `[delegation]`: who manages users here, and how.

use std::{path::PathBuf, time::Duration};

use bowline_delegation::{manager::session_length, namespace::Prefix};

use super::{
    mistakes::Mistake,
    sections::name,
    table::{Table, some_time},
};

/// `[delegation]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelegationSection {
    /// The profile with the manager's key.
    pub(crate) manager_profile: String,
    /// What the users of the namespace begin with; with it, names outside are refused before any call.
    pub(crate) prefix: Option<Prefix>,
    /// ARN of the managed policy that bounds new users.
    pub(crate) permissions_boundary: Option<String>,
    /// Of temporary credentials.
    pub(crate) duration: Option<Duration>,
    /// The SSH key that the manager's key is sealed with, where it is not that of `[vault]`.
    pub(crate) ssh_key: Option<PathBuf>,
}

impl Default for DelegationSection {
    fn default() -> Self {
        let manager_profile = "iam-sorry".to_owned();
        Self { manager_profile, prefix: None, permissions_boundary: None, duration: None, ssh_key: None }
    }
}

pub(super) fn read(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> DelegationSection {
    let standard = DelegationSection::default();
    let delegation = DelegationSection {
        manager_profile: section.value("manager-profile", mistakes, name).unwrap_or(standard.manager_profile),
        prefix: section.value("prefix", mistakes, |text| Prefix::parse(text).map_err(|error| error.to_string())),
        permissions_boundary: section.value("permissions-boundary", mistakes, policy_arn),
        duration: section.value("duration", mistakes, length),
        ssh_key: section.path("ssh-key", mistakes),
    };
    section.finish(mistakes);
    delegation
}

fn policy_arn(text: &str) -> Result<String, String> {
    match text.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "iam", "", _, resource] if resource.starts_with("policy/") => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not the ARN of a managed policy: write it as arn:aws:iam::ACCOUNT:policy/NAME")),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    session_length(some_time(text)?, false).map_err(|fault| fault.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn the_section_is_read_and_its_mistakes_are_told() {
        let good = "[delegation]\nmanager-profile = \"mgr\"\nprefix = \"dirk\"\nduration = \"8h\"\npermissions-boundary = \"arn:aws:iam::111122223333:policy/b\"\nssh-key = \"/k\"\n";
        let read = parse(good).unwrap().delegation;
        assert_eq!((read.manager_profile.as_str(), read.prefix.unwrap().as_str()), ("mgr", "dirk"));
        assert_eq!((read.duration, read.ssh_key), (Some(Duration::from_secs(8 * 3600)), Some("/k".into())));
        assert_eq!(parse("").unwrap().delegation.manager_profile, "iam-sorry");
        let wrong = "[delegation]\nprefix = \"dirk-\"\nduration = \"37h\"\npermissions-boundary = \"b\"\nmanger-profile = \"x\"\n";
        let told: Vec<String> = parse(wrong).unwrap_err().iter().map(ToString::to_string).collect();
        for (told, word) in
            told.iter().zip(["begins or ends", "36h", "managed policy", "did you mean `manager-profile`?"])
        {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(told.len(), 4);
    }
}
