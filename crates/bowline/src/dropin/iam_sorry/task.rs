//! From the flags to the one thing that is to be done, and what may be done while the manager's keys are not sealed.
//!
//! Pure: knows neither files nor AWS.

use std::{path::PathBuf, time::Duration};

use bowline_base::{Fault, Kind};

use super::cli::{Cli, MANAGER};
use crate::cli::Style;

/// What is to be done, with whose keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The profile with the manager's keys.
    pub(super) manager: String,
    /// `--ssh-key`.
    pub(super) ssh_key: Option<PathBuf>,
    pub(super) work: Work,
}

/// One of the things that iam-sorry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing is named: make the manager's profile from keys in the environment.
    Bootstrap,
    Encrypt,
    /// Credentials of this profile for the shell.
    Eval(String),
    ShowEncrypted(String),
    ShowDecrypted(String),
    Print(Print),
    /// Make a manager of this name.
    CreateManager(String),
    FixProfiles,
    Profiles,
    Reset,
    HandOut(HandOut),
}

/// A document to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) part: Part,
    pub(super) account: Option<String>,
    pub(super) style: Style,
}

/// Whose document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A manager's, for this prefix.
    Admin(Option<String>),
    /// Of those who only refresh.
    Refresh(Option<String>),
    /// Of the role of this profile.
    Lambda(String),
}

/// A user's temporary credentials, or the user itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandOut {
    pub(super) name: String,
    pub(super) duration: Duration,
    /// `--chown`.
    pub(super) owner: Option<String>,
}

/// What has to be true of the manager's profile before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// Its keys are sealed.
    Sealed,
}

impl Task {
    /// What `cli` asks for; `variable` is `AWS_PROFILE`.
    pub(super) fn of(cli: Cli, variable: Option<&str>) -> Result<Self, Fault> {
        let named =
            [cli.profile.as_deref().map(|name| ("--profile", name)), variable.map(|name| ("AWS_PROFILE", name))];
        let named = named.into_iter().flatten().next().map(|(what, name)| filled(what, name)).transpose()?;
        let eval_manager = cli.eval.as_ref().map(|given| match (given, &cli.profile) {
            (Some(_), Some(profile)) => profile.clone(),
            // Without a value, `--profile` and `AWS_PROFILE` say what to print; with one, the variable names what is in use.
            _ => MANAGER.to_owned(),
        });
        let manager = eval_manager.or_else(|| named.clone()).unwrap_or_else(|| MANAGER.to_owned());
        let ssh_key = cli.ssh_key.clone();
        let work = work(cli, &manager, named)?;
        Ok(Self { manager, ssh_key, work })
    }
}

impl Work {
    /// What it needs. While the keys are not sealed, only that is done which does not use them to make others, or helps.
    pub(super) fn needs(&self) -> Needs {
        match self {
            Self::Bootstrap | Self::Encrypt | Self::Eval(_) | Self::Print(_) | Self::CreateManager(_) => Needs::Nothing,
            Self::ShowEncrypted(_)
            | Self::ShowDecrypted(_)
            | Self::FixProfiles
            | Self::Profiles
            | Self::Reset
            | Self::HandOut(_) => Needs::Sealed,
        }
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Config, MANAGER, message)
}

pub(super) fn refused(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Refused, MANAGER, message)
}

fn work(cli: Cli, manager: &str, named: Option<String>) -> Result<Work, Fault> {
    if let Some(part) = part(&cli)? {
        return Ok(Work::Print(Print { part, account: cli.account, style: cli.style }));
    }
    if let Some(given) = cli.eval {
        let profile = given.map(|name| filled("--eval", &name)).transpose()?.or(named);
        return Ok(Work::Eval(profile.unwrap_or_else(|| "default".to_owned())));
    }
    if let Some(name) = cli.show_encrypted {
        return filled("--show-encrypted", &name).map(Work::ShowEncrypted);
    }
    if let Some(name) = cli.show_decrypted {
        return filled("--show-decrypted", &name).map(Work::ShowDecrypted);
    }
    if let Some(user) = cli.create_iam_sorry {
        return filled("--create-iam-sorry", &user).and_then(|user| for_administrators(user, named.as_deref()));
    }
    let switches = [(cli.fix_profiles, Work::FixProfiles), (cli.profiles, Work::Profiles), (cli.reset, Work::Reset)];
    if let Some((_, work)) = switches.into_iter().find(|(given, _)| *given) {
        return Ok(work);
    }
    match (cli.name, cli.chown) {
        (Some(name), owner) => hand_out(name, owner, cli.duration, manager).map(Work::HandOut),
        (None, Some(_)) => {
            Err(wrong("`--chown` needs the name of the user that is given away").hint("iam-sorry NAME --chown OWNER"))
        }
        (None, None) if cli.encrypt => Ok(Work::Encrypt),
        (None, None) => Ok(Work::Bootstrap),
    }
}

fn part(cli: &Cli) -> Result<Option<Part>, Fault> {
    let value = |flag: &str, given: &Option<String>| given.as_deref().map(|text| filled(flag, text)).transpose();
    if let Some(prefix) = &cli.print_policy {
        return Ok(Some(Part::Admin(value("--print-policy", prefix)?)));
    }
    if let Some(prefix) = &cli.print_admin_policy {
        return Ok(Some(Part::Admin(value("--print-admin-policy", prefix)?)));
    }
    if let Some(prefix) = &cli.print_refresh_policy {
        return Ok(Some(Part::Refresh(value("--print-refresh-policy", prefix)?)));
    }
    let Some(profile) = &cli.print_lambda_policy else { return Ok(None) };
    let profile = value("--print-lambda-policy", profile)?;
    Ok(Some(Part::Lambda(profile.unwrap_or_else(|| "default".to_owned()))))
}

/// A manager is made with an administrator's keys, and never with a manager's.
fn for_administrators(user: String, named: Option<&str>) -> Result<Work, Fault> {
    let example = "iam-sorry --profile ADMINISTRATOR --create-iam-sorry dirk-iam-sorry";
    match named {
        None => Err(wrong("`--create-iam-sorry` needs `--profile` with an administrator's keys").hint(example)),
        Some(MANAGER) => Err(wrong("a manager cannot make managers").hint(example)),
        Some(_) => Ok(Work::CreateManager(user)),
    }
}

fn hand_out(name: String, owner: Option<String>, hours: i64, manager: &str) -> Result<HandOut, Fault> {
    let name = filled("name of the user", &name)?;
    let owner = owner.map(|owner| filled("--chown", &owner)).transpose()?;
    if name == manager || name == MANAGER {
        let message = format!("`{name}` holds the manager's keys, which never make way for temporary credentials");
        return Err(refused(message).hint("name a user of your namespace: iam-sorry dirk-bedrock"));
    }
    let seconds = u64::try_from(hours).ok().filter(|hours| (1..=36).contains(hours)).map(|hours| hours * 3600);
    let duration = seconds.map(Duration::from_secs);
    let duration = duration.ok_or_else(|| wrong(format!("`--duration {hours}` is not between 1 and 36 hours")))?;
    Ok(HandOut { name, duration, owner })
}

/// `name`, unless there is nothing in it to see.
fn filled(what: &str, name: &str) -> Result<String, Fault> {
    if name.trim().is_empty() {
        return Err(wrong(format!(
            "the {} is blank",
            if what.contains(' ') { what.to_owned() } else { format!("value of `{what}`") }
        ))
        .hint("write a name; if it comes from a variable of your shell, that is empty"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn task(words: &[&str], variable: Option<&str>) -> Result<Task, Fault> {
        Task::of(Cli::try_parse_from(["iam-sorry"].iter().chain(words)).unwrap(), variable)
    }

    fn why(words: &[&str]) -> String {
        task(words, None).unwrap_err().message
    }

    #[test]
    fn the_flag_comes_before_the_variable_and_both_before_the_default() {
        assert_eq!(task(&["dirk-a"], None).unwrap().manager, "iam-sorry");
        assert_eq!(task(&["dirk-a"], Some("mgr")).unwrap().manager, "mgr");
        assert_eq!(task(&["dirk-a", "--profile", "other"], Some("mgr")).unwrap().manager, "other");
    }

    #[test]
    fn what_is_evaluated_is_not_what_renews_it() {
        let of = |words: &[&str], variable| task(words, variable).map(|task| (task.manager, task.work)).unwrap();
        let eval = |profile: &str| Work::Eval(profile.to_owned());
        assert_eq!(of(&["--eval"], None), ("iam-sorry".to_owned(), eval("default")));
        assert_eq!(of(&["--eval"], Some("dirk-a")), ("iam-sorry".to_owned(), eval("dirk-a")));
        assert_eq!(of(&["--eval", "dirk-a"], Some("dirk-b")), ("iam-sorry".to_owned(), eval("dirk-a")));
        assert_eq!(of(&["--eval", "dirk-a", "--profile", "mgr"], None), ("mgr".to_owned(), eval("dirk-a")));
        assert_eq!(of(&["--eval", "--profile", "dirk-a"], None), ("iam-sorry".to_owned(), eval("dirk-a")));
    }

    #[test]
    fn blank_names_are_refused_wherever_they_stand() {
        for words in [
            ["", "--duration=1"],
            [" \t", "--duration=1"],
            ["--eval", ""],
            ["--print-policy", " "],
            ["--show-decrypted", ""],
            ["dirk-a", "--chown="],
            ["dirk-a", "--profile="],
            ["--create-iam-sorry", ""],
        ] {
            assert!(why(&words).contains("is blank"), "{words:?}");
        }
    }

    #[test]
    fn the_managers_profile_is_never_refreshed_whatever_it_is_called() {
        for words in [["iam-sorry"].as_slice(), &["mgr", "--profile", "mgr"], &["iam-sorry", "--profile", "mgr"]] {
            assert!(why(words).contains("never make way"), "{words:?}");
        }
        assert!(task(&["mgr"], Some("mgr")).unwrap_err().message.contains("never make way"));
    }

    #[test]
    fn durations_are_1_to_36_hours() {
        for hours in ["0", "-1", "37", "9223372036854775807"] {
            assert!(why(&["dirk-a", "--duration", hours]).contains("between 1 and 36"), "{hours}");
        }
        let hours = |words: &[&str]| match task(words, None).unwrap().work {
            Work::HandOut(hand_out) => hand_out.duration.as_secs() / 3600,
            other => panic!("{other:?}"),
        };
        assert_eq!((hours(&["a", "--duration", "1"]), hours(&["a"])), (1, 36));
    }

    #[test]
    fn managers_are_made_by_administrators() {
        assert!(why(&["--create-iam-sorry", "dirk-x"]).contains("administrator"));
        assert!(why(&["--create-iam-sorry", "dirk-x", "--profile", "iam-sorry"]).contains("cannot make managers"));
        let made = task(&["--create-iam-sorry", "dirk-x"], Some("admin")).unwrap();
        assert_eq!((made.manager.as_str(), made.work), ("admin", Work::CreateManager("dirk-x".to_owned())));
    }
}
