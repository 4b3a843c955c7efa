//! The store in AWS: one parameter a value, below a prefix, sealed ones as `SecureString`.
//!
//! AWS compares nothing and cannot lock. What must happen once is done by calls of which one wins: a parameter that is made
//! without overwriting, or deleted. A parameter of the other type is never overwritten, because AWS does not change types.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bowline_aws::{
    Aws, Error, Patience, Region,
    ssm::{self, Kind as Sealing, LONGEST_VALUE, PutParameter},
};
use bowline_base::{Fault, Identity, Kind, wire::Limits};

use super::{Answer, Changes, Mark, MarkOf, Store, StoreError, Value, Values, is_name, journal::Journal};

/// A prefix of Parameter Store.
pub struct ParameterStore {
    aws: Aws,
    region: Region,
    identity: Arc<dyn Identity>,
    /// `/ephem-vpn`
    prefix: String,
}

/// Tells other servers what has changed.
const JOURNAL: &str = "changes";
/// An operator waits for a change: two tries of three seconds, and the rest of the calls.
const PATIENCE: Patience = Patience {
    limits: Limits { head: Duration::from_secs(3), idle: Duration::from_secs(3) },
    total: Duration::from_secs(8),
};
/// A thousand users are a hundred pages, throttled now and then.
const PATIENCE_FOR_A_PAGE: Duration = Duration::from_secs(30);

impl ParameterStore {
    /// The store below `prefix`, with or without slashes around it.
    ///
    /// # Errors
    /// A `Config` fault: AWS takes no such prefix.
    pub fn new(aws: &Aws, region: Region, identity: Arc<dyn Identity>, prefix: &str) -> Result<Self, Fault> {
        let bare = prefix.trim_matches('/');
        let reserved = ["aws", "ssm"].iter().any(|word| bare.to_ascii_lowercase().starts_with(word));
        if !is_name(bare) || reserved {
            let message = format!("`{prefix}` is not a prefix of Parameter Store");
            return Err(Fault::new(Kind::Config, "ssm", message)
                .hint("write it like /ephem-vpn: letters, digits and . _ -, not beginning with `aws` or `ssm`"));
        }
        let aws = aws.patience(PATIENCE);
        Ok(Self { aws, region, identity, prefix: format!("/{bare}") })
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn away(&self, what: &str, error: Error) -> StoreError {
        let cause = Fault::from(error);
        let mut fault = Fault::new(cause.kind, self.place(), format!("cannot {what} in `{}`", self.place()));
        fault.retry = cause.retry;
        fault.hint.clone_from(&cause.hint);
        fault.cause(cause).into()
    }

    async fn journal(&self) -> Result<(u64, Journal), Error> {
        let found = ssm::parameter(&self.aws, &self.region, &*self.identity, &self.path(JOURNAL)).await?;
        let read = |parameter: ssm::Parameter| {
            let journal = Journal::parse(parameter.value.expose()).unwrap_or_default();
            (parameter.version, journal)
        };
        Ok(found.map_or_else(|| (0, Journal::default()), read))
    }

    /// The version first: what changes while the pages come is read again later.
    async fn everything(&self) -> Result<(Values, Mark), Error> {
        let (version, _) = self.journal().await?;
        let patient = self.aws.patience(Patience { total: PATIENCE_FOR_A_PAGE, ..PATIENCE });
        let found = ssm::parameters_by_path(&patient, &self.region, &*self.identity, &self.prefix).await?;
        let mut values = Values::new();
        for parameter in found {
            let name = parameter.name.strip_prefix(&format!("{}/", self.prefix)).map(str::to_owned);
            if let Some(name) = name.filter(|name| name != JOURNAL && is_name(name)) {
                values.insert(name, Value { text: parameter.value, sealed: parameter.kind == Sealing::Sealed });
            }
        }
        Ok((values, Mark(MarkOf::Version(version))))
    }

    async fn news(&self, mark: &Mark) -> Result<Option<(Changes, Mark)>, Error> {
        let MarkOf::Version(read) = &mark.0 else {
            return self.everything().await.map(|(values, mark)| Some((Changes::All(values), mark)));
        };
        let (version, journal) = self.journal().await?;
        if version == *read {
            return Ok(None);
        }
        let Some(names) = journal.since(*read, version) else {
            return self.everything().await.map(|(values, mark)| Some((Changes::All(values), mark)));
        };
        let mut changed = BTreeMap::new();
        for name in names.iter().collect::<BTreeSet<_>>() {
            changed.insert(name.clone(), self.one(name).await?);
        }
        Ok(Some((Changes::Some(changed), Mark(MarkOf::Version(version)))))
    }

    async fn one(&self, name: &str) -> Result<Option<Value>, Error> {
        let found = ssm::parameter(&self.aws, &self.region, &*self.identity, &self.path(name)).await?;
        Ok(found.map(|one| Value { text: one.value, sealed: one.kind == Sealing::Sealed }))
    }

    async fn put(&self, name: &str, value: &Value, overwrite: bool) -> Result<(), StoreError> {
        self.checked(name, value)?;
        let (path, kind) = (self.path(name), if value.sealed { Sealing::Sealed } else { Sealing::Plain });
        let put = PutParameter { name: &path, value: &value.text, kind, overwrite };
        match ssm::put_parameter(&self.aws, &self.region, &*self.identity, &put).await {
            Ok(_) => Ok(()),
            Err(error) if ssm::is_taken(&error) => Err(StoreError::Taken(name.to_owned())),
            Err(error) => Err(self.away(&format!("write `{name}`"), error)),
        }
    }

    fn checked(&self, name: &str, value: &Value) -> Result<(), StoreError> {
        let length = value.text.expose().chars().count();
        if is_name(name) && (1..=LONGEST_VALUE).contains(&length) {
            return Ok(());
        }
        let message = format!("`{}` with {length} characters is no parameter", name.escape_debug());
        Err(Fault::new(Kind::Bug, self.place(), message).into())
    }
}

impl Store for ParameterStore {
    fn place(&self) -> String {
        format!("ssm:{}", self.prefix)
    }

    fn load(&self) -> Answer<'_, (Values, Mark)> {
        Box::pin(async { self.everything().await.map_err(|error| self.away("read the users", error)) })
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Value>> {
        Box::pin(async move { self.one(name).await.map_err(|error| self.away(&format!("read `{name}`"), error)) })
    }

    fn changes<'a>(&'a self, mark: &'a Mark) -> Answer<'a, Option<(Changes, Mark)>> {
        Box::pin(async { self.news(mark).await.map_err(|error| self.away("look for changes", error)) })
    }

    fn create<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()> {
        Box::pin(self.put(name, value, false))
    }

    fn replace<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()> {
        Box::pin(self.put(name, value, true))
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let removed = ssm::delete_parameter(&self.aws, &self.region, &*self.identity, &self.path(name)).await;
            removed.map_err(|error| self.away(&format!("remove `{name}`"), error))
        })
    }

    fn announce<'a>(&'a self, names: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async move {
            if names.is_empty() {
                return Ok(());
            }
            let (version, journal) = self.journal().await.map_err(|error| self.away("tell of a change", error))?;
            let text = Value::plain(journal.with(version, names).text());
            self.put(JOURNAL, &text, true).await
        })
    }
}
