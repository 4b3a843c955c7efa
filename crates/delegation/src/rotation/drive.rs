//! Does at AWS, at the keyring and in the journal what the machine of a rotation says.

use std::time::Duration;

use aws::{
    Aws, Region,
    iam::{self, Status},
    sts,
};
use base::{Credentials, Fault, FixedIdentity, KeyId, Kind};
use bowline_aws as aws;
use bowline_base as base;
use bowline_host::clock;

use super::{Answer, Ask, End, Output, Record, Rotation, Stop};
use crate::{
    journal::Journal,
    keyring::Keyring,
    propagation::{Listed, Refusal},
    refusal::{refused, told},
};

/// Where a rotation takes place.
pub struct Place<'a> {
    /// The way to AWS.
    pub aws: &'a Aws,
    /// Where STS is asked.
    pub region: &'a Region,
    /// Where the key lies.
    pub keyring: &'a dyn Keyring,
    /// Of this key, and no other.
    pub journal: &'a Journal,
    /// Hears what was done, line by line.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// Replaces the stored key by a new one, or finishes what was begun; see [`Rotation::new`] for `grace` and `stay`.
/// Never returns [`End::Stopped`].
///
/// # Errors
/// Why it came no further. What is stored works all the same, and the next call goes on from here.
pub async fn rotate(place: &Place<'_>, grace: Option<Duration>, stay: Duration) -> Result<End, Fault> {
    place.keyring.check()?;
    let fields = place.journal.read()?;
    let record =
        fields.map(|fields| Record::from_json(&fields).ok_or_else(|| place.journal.unreadable())).transpose()?;
    if record.is_some() {
        (place.tell)("note: a rotation was cut off; going on with it");
    }
    let mut machine = Rotation::new(record, grace, stay);
    let mut hands = Hands { place, stored: None, new: None, fault: None };
    loop {
        match machine.poll() {
            Some(Output::Do(ask)) => {
                let answer = hands.act(&ask).await;
                machine.handle(clock::now(), answer);
            }
            Some(Output::End(End::Stopped(stop))) => return Err(hands.explain(stop)),
            Some(Output::End(end)) => return Ok(end),
            None => {
                let Some((at, _)) = machine.next_wake() else { return Err(hands.explain(Stop::Failed)) };
                clock::sleep_until(at).await;
                machine.handle(clock::now(), Answer::Woke);
            }
        }
    }
}

/// What the machine's asks are done with.
struct Hands<'a> {
    place: &'a Place<'a>,
    stored: Option<Credentials>,
    new: Option<Credentials>,
    fault: Option<Fault>,
}

impl Hands<'_> {
    async fn act(&mut self, ask: &Ask) -> Answer {
        match self.attempt(ask).await {
            Ok(answer) => answer,
            Err((why, fault)) => {
                self.fault = Some(fault);
                Answer::Refused(why)
            }
        }
    }

    async fn attempt(&mut self, ask: &Ask) -> Result<Answer, (Refusal, Fault)> {
        let (aws, region) = (self.place.aws, self.place.region);
        match ask {
            Ask::Load => return Ok(Answer::Loaded(self.load()?)),
            Ask::List => return self.list().await,
            Ask::Note(record) => self.place.journal.write(&record.to_json()).map_err(of_disk)?,
            Ask::Create => {
                let new = iam::create_access_key(aws, region, &self.identity()?, None).await.map_err(of_aws)?;
                let id = new.key_id.clone();
                (self.place.tell)(&format!("made access key {id}"));
                self.new = Some(new);
                return Ok(Answer::Made(id));
            }
            Ask::Prove => {
                let new = self.new.clone().ok_or_else(lost)?;
                sts::caller_identity(aws, region, &FixedIdentity::new(new)).await.map_err(of_aws)?;
            }
            Ask::Store => self.store()?,
            Ask::Verify => {
                self.load()?;
                sts::caller_identity(aws, region, &self.identity()?).await.map_err(of_aws)?;
            }
            Ask::Deactivate(key) => self.stand(key, Status::Inactive).await?,
            Ask::Activate(key) => self.stand(key, Status::Active).await?,
            Ask::Delete(key) => {
                iam::delete_access_key(aws, region, &self.identity()?, None, key).await.map_err(of_aws)?;
                (self.place.tell)(&format!("deleted access key {key}"));
            }
            Ask::Forget => self.place.journal.forget().map_err(of_disk)?,
        }
        Ok(Answer::Done)
    }

    fn load(&mut self) -> Result<KeyId, (Refusal, Fault)> {
        let missing = || refused("no key is stored to rotate").hint("bowline users bootstrap");
        let stored = self.place.keyring.load().map_err(of_disk)?.ok_or_else(|| of_disk(missing()))?;
        let id = stored.key_id.clone();
        self.stored = Some(stored);
        Ok(id)
    }

    async fn list(&self) -> Result<Answer, (Refusal, Fault)> {
        let (aws, region) = (self.place.aws, self.place.region);
        let keys = iam::list_access_keys(aws, region, &self.identity()?, None).await.map_err(of_aws)?;
        let listed = |key: iam::AccessKey| Listed {
            active: key.status == Status::Active,
            id: key.id,
            created_at: key.created_at,
        };
        Ok(Answer::Listed(keys.into_iter().map(listed).collect()))
    }

    fn store(&mut self) -> Result<(), (Refusal, Fault)> {
        let (Some(new), Some(stored)) = (&self.new, &self.stored) else { return Err(lost()) };
        self.place.keyring.replace(Some(&stored.key_id), new).map_err(of_disk)?;
        (self.place.tell)(&format!("stored access key {}", new.key_id));
        self.stored.clone_from(&self.new);
        Ok(())
    }

    async fn stand(&self, key: &KeyId, status: Status) -> Result<(), (Refusal, Fault)> {
        let (aws, region) = (self.place.aws, self.place.region);
        iam::update_access_key(aws, region, &self.identity()?, None, (key, status)).await.map_err(of_aws)?;
        (self.place.tell)(&format!("access key {key} is now {}", status.as_str().to_lowercase()));
        Ok(())
    }

    fn identity(&self) -> Result<FixedIdentity, (Refusal, Fault)> {
        self.stored.clone().map(FixedIdentity::new).ok_or_else(lost)
    }

    fn explain(&mut self, stop: Stop) -> Fault {
        match stop {
            Stop::Failed => {
                let cause = self.fault.take().unwrap_or_else(|| lost().1);
                let again = "what is stored works; run the same command again, it goes on from here".to_owned();
                let hint = cause.hint.clone().map_or(again.clone(), |hint| format!("{hint}; {again}"));
                Fault::new(cause.kind, "rotation", "the rotation came no further").hint(hint).cause(cause)
            }
            Stop::NoRoom(other) => refused(format!("the user has two access keys; the other one is `{other}`"))
                .hint(format!("if nothing uses it: aws iam delete-access-key --access-key-id {other}")),
            Stop::NotTheirs(stored) => refused(format!("IAM does not list the stored key `{stored}`"))
                .hint("if it was made a moment ago, try again in ten seconds"),
            Stop::Foreign(stored) => {
                let path = self.place.journal.path().display();
                let message = format!("`{stored}` is stored, of which `{path}` does not speak");
                Fault::new(Kind::Config, "rotation", message)
                    .hint(format!("somebody changed the stored key by hand; if it is the right one, delete `{path}`"))
            }
            Stop::NeverWorked => refused("STS did not take the new key within a minute; it was deleted again")
                .hint("try again later; the stored key is untouched"),
        }
    }
}

fn of_aws(error: aws::Error) -> (Refusal, Fault) {
    (Refusal::of(&error), told(error))
}

fn of_disk(fault: Fault) -> (Refusal, Fault) {
    (Refusal::Other, fault)
}

fn lost() -> (Refusal, Fault) {
    of_disk(Fault::new(Kind::Bug, "rotation", "a rotation lost its key"))
}
