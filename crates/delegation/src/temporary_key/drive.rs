//! Does at AWS and in the journal what the machine of a temporary key says.

use std::{path::Path, time::Duration};

use aws::{
    iam::{self, Status},
    sts::{self, GetSessionToken},
};
use base::{Credentials, Fault, FixedIdentity, Kind};
use bowline_aws as aws;
use bowline_base as base;
use bowline_host::clock;

use super::{Answer, Ask, End, Output, Record, TemporaryKey, Wish};
use crate::{
    journal::{Journal, Shelf},
    manager::Manager,
    propagation::{Listed, Refusal},
    refusal::{refused, told},
};

const KIND: &str = "temporary";

/// For whom, and where it is noted.
pub struct Site<'a> {
    /// Who makes the key.
    pub manager: &'a Manager,
    /// Where journals are.
    pub journals: &'a Path,
    /// Hears that others are waited for.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// A session of `user` for `duration` (at most 36 h), by a key that is gone when this returns. Waits for others that do
/// the same for that user.
///
/// # Errors
/// Why there is none; what may be left of the key is deleted by the next call or by [`sweep`].
pub async fn session_of(site: &Site<'_>, user: &str, duration: Duration, wish: Wish) -> Result<Credentials, Fault> {
    let (aws, ..) = site.manager.way();
    let shelf = Shelf { directory: site.journals, wire: &**aws.wire(), tell: site.tell };
    let journal = Journal::open(shelf, KIND, &name(site, user)).await?;
    let mut hands = Hands { site, journal, user: user.to_owned(), duration, key: None, session: None, fault: None };
    let record = match hands.journal.read()? {
        Some(fields) => Some(Record::from_json(&fields).ok_or_else(|| hands.journal.unreadable())?.1),
        None => None,
    };
    match hands.run(TemporaryKey::new(record, wish)).await {
        End::Session => hands.session.take().ok_or_else(lost),
        other => Err(hands.explain(other)),
    }
}

/// Deletes the keys that runs of this manager left behind which were cut off; gives the users whose keys they were.
///
/// # Errors
/// The first that could not be deleted.
pub async fn sweep(site: &Site<'_>) -> Result<Vec<String>, Fault> {
    let mut swept = Vec::new();
    let ours = format!("{}-", site.manager.caller().account);
    for name in Journal::names(site.journals, KIND).into_iter().filter(|name| name.starts_with(&ours)) {
        let Some(journal) = Journal::try_open(site.journals, KIND, &name)? else { continue };
        let Some(fields) = journal.read()? else { continue };
        let (user, record) = Record::from_json(&fields).ok_or_else(|| journal.unreadable())?;
        let (duration, key, session, fault) = (Duration::ZERO, None, None, None);
        let mut hands = Hands { site, journal, user: user.clone(), duration, key, session, fault };
        match hands.run(TemporaryKey::new(Some(record), Wish::Sweep)).await {
            End::Swept => swept.push(user),
            other => return Err(hands.explain(other)),
        }
    }
    Ok(swept)
}

fn name(site: &Site<'_>, user: &str) -> String {
    format!("{}-{user}", site.manager.caller().account)
}

/// What the machine's asks are done with.
struct Hands<'a> {
    site: &'a Site<'a>,
    journal: Journal,
    user: String,
    duration: Duration,
    key: Option<Credentials>,
    session: Option<Credentials>,
    fault: Option<Fault>,
}

impl Hands<'_> {
    async fn run(&mut self, mut machine: TemporaryKey) -> End {
        loop {
            match machine.poll() {
                Some(Output::End(end)) => return end,
                Some(Output::Do(ask)) => {
                    let answer = match self.attempt(&ask).await {
                        Ok(answer) => answer,
                        Err((why, fault)) => {
                            self.fault = Some(fault);
                            Answer::Refused(why)
                        }
                    };
                    machine.handle(clock::now(), answer);
                }
                None => {
                    let Some((at, _)) = machine.next_wake() else { return End::Failed };
                    clock::sleep_until(at).await;
                    machine.handle(clock::now(), Answer::Woke);
                }
            }
        }
    }

    async fn attempt(&mut self, ask: &Ask) -> Result<Answer, (Refusal, Fault)> {
        let (aws, region, identity) = self.site.manager.way();
        let user = Some(self.user.as_str());
        match ask {
            Ask::List => {
                let keys = iam::list_access_keys(aws, region, identity, user).await.map_err(of_aws)?;
                let listed = |key: iam::AccessKey| Listed {
                    active: key.status == Status::Active,
                    id: key.id,
                    created_at: key.created_at,
                };
                return Ok(Answer::Listed(keys.into_iter().map(listed).collect()));
            }
            Ask::Note(record) => self.journal.write(&record.to_json(&self.user)).map_err(of_disk)?,
            Ask::Create => {
                let key = iam::create_access_key(aws, region, identity, user).await.map_err(of_aws)?;
                let id = key.key_id.clone();
                self.key = Some(key);
                return Ok(Answer::Made(id));
            }
            Ask::Session => {
                let key = self.key.clone().ok_or_else(|| of_disk(lost()))?;
                let request = GetSessionToken { duration: Some(self.duration), ..GetSessionToken::default() };
                let session = sts::session_token(aws, region, &FixedIdentity::new(key), &request).await;
                self.session = Some(session.map_err(of_aws)?);
            }
            Ask::Delete(key) => {
                iam::delete_access_key(aws, region, identity, user, key).await.map_err(of_aws)?;
                self.key = None;
            }
            Ask::Forget => self.journal.forget().map_err(of_disk)?,
            Ask::Confirm => self.confirm().await?,
        }
        Ok(Answer::Done)
    }

    /// The session is that user's, and nobody else's.
    async fn confirm(&mut self) -> Result<(), (Refusal, Fault)> {
        let (aws, region, _) = self.site.manager.way();
        let session = self.session.clone().ok_or_else(|| of_disk(lost()))?;
        let who = sts::caller_identity(aws, region, &FixedIdentity::new(session)).await.map_err(of_aws)?;
        if who.arn.rsplit('/').next().is_none_or(|name| !name.eq_ignore_ascii_case(&self.user)) {
            let message = format!("the session is `{}` and not `{}`", who.arn, self.user);
            return Err(of_disk(refused(message).hint("this is not right: report it, with these words")));
        }
        if let Some(session) = &mut self.session {
            session.account_id = Some(who.account);
        }
        Ok(())
    }

    fn explain(&mut self, end: End) -> Fault {
        let user = &self.user;
        let End::NoRoom(keys) = end else {
            let cause = self.fault.take().unwrap_or_else(lost);
            let fault = Fault::new(cause.kind, "users", format!("no temporary credentials for `{user}`"));
            return match cause.hint.clone() {
                Some(hint) => fault.hint(hint).cause(cause),
                None => fault.cause(cause),
            };
        };
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let message =
            format!("`{user}` has two access keys ({}), so that there is no room for a temporary one", keys.join(", "));
        refused(message).hint(format!(
            "delete one that nothing uses (aws iam delete-access-key --user-name {user} --access-key-id ID), or hand out a role: --role ARN"
        ))
    }
}

fn of_aws(error: aws::Error) -> (Refusal, Fault) {
    (Refusal::of(&error), told(error))
}

fn of_disk(fault: Fault) -> (Refusal, Fault) {
    (Refusal::Other, fault)
}

fn lost() -> Fault {
    Fault::new(Kind::Bug, "users", "a temporary key was lost from memory")
}
