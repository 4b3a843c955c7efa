//! The one refresher of SSO tokens on this machine, so that a refresh token is never used twice.
//!
//! Under a lock beside the token's file: look again, note the attempt, call, make the rotated token durable, only then
//! use it. Other tools do not honour the lock, so the file is read again whenever the service says no. A refresh that
//! was begun is never dropped half-way: it runs in a task of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_aws::{
    Aws, Error,
    sso_oidc::{self, Grant, Refusal, Token},
};
use bowline_awsfiles::{FileLock, SsoCache, SsoKey, SsoLogin, SsoToken};
use bowline_base::{Fault, KeyId, Kind, Now, Retry, Secret, Timestamp, utc, wire::Wire};
use bowline_host::Tasks;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::{
    Setup,
    lease_store::wait_for,
    renewal::{self, Lease, Rule},
    source::region,
    sso_note::{Attempt, Note, Notes, mark},
};

/// A token that another tool wrote does not say when it was made; Identity Center makes them for an hour.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

/// What a half-written file gets before it counts as broken.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// The tokens of every SSO session. Clones share everything.
#[derive(Clone)]
pub struct SsoTokens(Arc<Inner>);

struct Inner {
    wire: Arc<dyn Wire>,
    tasks: Tasks,
    cache: SsoCache,
    /// Where a rotated token goes when the cache cannot be written to.
    fallback: SsoCache,
    notes: Notes,
    token_window: Duration,
    /// Where it goes when neither can: the session lives as long as this process.
    memory: Mutex<BTreeMap<SsoKey, (String, SsoToken)>>,
}

impl std::fmt::Debug for SsoTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SsoTokens").field("cache", &self.0.cache).finish_non_exhaustive()
    }
}

/// What people call the session: its name, or the start URL of an old profile without one.
#[must_use]
pub fn session_name(login: &SsoLogin) -> &str {
    match &login.key {
        SsoKey::Session(name) | SsoKey::Legacy(name) => name,
    }
}

/// The times of a token, and a name that tells it from its successor.
#[must_use]
pub(crate) fn lease_of(login: &SsoLogin, token: &SsoToken) -> Lease {
    let obtained_at = token.obtained_at.unwrap_or(token.expires_at - USUAL_LIFE);
    let key = KeyId::new(mark(&login.region, &token.access_token));
    Lease { key, obtained_at, expires_at: Some(token.expires_at) }
}

/// What a look at the files, and perhaps a refresh, came to.
struct Found {
    /// A token that the portal should take.
    token: Option<SsoToken>,
    /// Why there is none, or why it was not renewed although it is due.
    trouble: Option<Fault>,
}

impl SsoTokens {
    pub(crate) fn new(wire: Arc<dyn Wire>, tasks: Tasks, setup: &Setup) -> Self {
        let leases = &setup.lease_directory;
        Self(Arc::new(Inner {
            wire,
            tasks,
            cache: SsoCache::new(&setup.locations.sso_cache),
            fallback: SsoCache::new(leases.join("sso")),
            notes: Notes::new(leases),
            token_window: setup.token_window,
            memory: Mutex::default(),
        }))
    }

    /// The cache that the AWS CLI and the SDKs share with us.
    #[must_use]
    pub fn cache(&self) -> &SsoCache {
        &self.0.cache
    }

    /// A token that the portal should take, renewed if it is due; never the one called `not`. An old one that still
    /// serves is better than none.
    ///
    /// # Errors
    /// `LoginRequired` with the reason and the command; `Unreachable` when there is nothing good and no answer.
    pub async fn usable(&self, aws: &Aws, login: &SsoLogin, not: Option<&Secret>) -> Result<SsoToken, Fault> {
        let found = self.find(aws, login, not).await?;
        found.token.ok_or_else(|| found.trouble.unwrap_or_else(|| login_required(login, "nobody has signed in yet")))
    }

    /// As [`SsoTokens::usable`], but a due token that could not be renewed is an error: for whoever renews ahead.
    ///
    /// # Errors
    /// As [`SsoTokens::usable`].
    pub async fn renewed(&self, aws: &Aws, login: &SsoLogin) -> Result<SsoToken, Fault> {
        let found = self.find(aws, login, None).await?;
        match (found.trouble, found.token) {
            (None, Some(token)) => Ok(token),
            (trouble, _) => Err(trouble.unwrap_or_else(|| login_required(login, "nobody has signed in yet"))),
        }
    }

    /// The token as it stands in the files, good or not.
    pub async fn stored(&self, login: &SsoLogin) -> Option<SsoToken> {
        self.0.read(login, &self.0.notes.read(&login.key)).await
    }

    /// The token as the files have it, if it serves or can be renewed without a person. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// `LoginRequired` with the reason and the command.
    pub async fn standing(&self, login: &SsoLogin) -> Result<SsoToken, Fault> {
        let note = self.0.notes.read(&login.key);
        let stored = self.0.read(login, &note).await;
        let token = stored.ok_or_else(|| login_required(login, "nobody has signed in yet"))?;
        let now = self.0.wire.now().wall;
        match hopeless(login, &token, &note, now) {
            Some(why) if !note.serves(login, &token, None, now) => Err(login_required(login, &why)),
            _ => Ok(token),
        }
    }

    /// Notes that the portal refused `token` even after a refresh, and says what to do.
    pub async fn dead(&self, login: &SsoLogin, token: &SsoToken, error: Error) -> Fault {
        let _lock = self.0.lock(login).await;
        let mut note = self.0.notes.read(&login.key);
        note.dead = Some(mark(&login.region, &token.access_token));
        self.0.note(login, &note);
        login_required(login, "the portal no longer takes its token; somebody may have ended the session").cause(error)
    }

    /// Puts the token of a new sign-in in its place; everything noted about the old one is forgotten.
    ///
    /// # Errors
    /// `Config` when neither the cache nor the fallback can be written to.
    pub async fn signed_in(&self, login: &SsoLogin, token: &SsoToken) -> Result<(), Fault> {
        let _lock = self.0.lock(login).await;
        let mut note = Note::default();
        let replaced = self.0.cache.token(&login.key).ok().flatten();
        let saved = self.0.save(login, replaced.as_ref(), token, &mut note);
        self.0.note(login, &note);
        saved
    }

    /// Forgets the token of a session everywhere.
    ///
    /// # Errors
    /// `Config` when the file cannot be removed.
    pub async fn forget(&self, login: &SsoLogin) -> Result<(), Fault> {
        let _lock = self.0.lock(login).await;
        self.0.remembered().remove(&login.key);
        self.0.fallback.remove_token(&login.key).ok();
        self.0.notes.forget(&login.key).ok();
        self.0.cache.remove_token(&login.key)
    }

    async fn find(&self, aws: &Aws, login: &SsoLogin, not: Option<&Secret>) -> Result<Found, Fault> {
        let note = self.0.notes.read(&login.key);
        let stored = self.0.read(login, &note).await;
        let now = self.0.wire.now();
        if let Some(token) = stored {
            let serves = note.serves(login, &token, not, now.wall);
            if serves && !self.0.is_due(login, &token, now) {
                return Ok(Found { token: Some(token), trouble: None });
            }
            // Nothing that the lock could change: 50 processes are told at once.
            if let Some(why) = hopeless(login, &token, &note, now.wall) {
                let trouble = Some(login_required(login, &why));
                return Ok(Found { token: serves.then_some(token), trouble });
            }
        }
        let (inner, aws, login, not) = (Arc::clone(&self.0), aws.clone(), login.clone(), not.cloned());
        let (answer, wait) = oneshot::channel();
        self.0.tasks.spawn("sso-refresh", async move {
            answer.send(inner.renew(&aws, &login, not.as_ref()).await).ok();
        });
        wait.await.map_err(|_| Fault::new(Kind::Bug, "sso", "the refresh of an SSO token broke off"))
    }
}

impl Note {
    fn serves(&self, login: &SsoLogin, token: &SsoToken, not: Option<&Secret>, now: Timestamp) -> bool {
        let dead = self.dead.as_ref() == Some(&mark(&login.region, &token.access_token));
        token.usable_at(now) && !dead && not != Some(&token.access_token)
    }
}

impl Inner {
    fn is_due(&self, login: &SsoLogin, token: &SsoToken, now: Now) -> bool {
        lease_of(login, token).due_at(Rule::SsoToken(self.token_window)).is_some_and(|due| now.wall >= due)
    }

    /// With the lock held: looks again, and refreshes if nobody else has.
    async fn renew(&self, aws: &Aws, login: &SsoLogin, not: Option<&Secret>) -> Found {
        let _lock = self.lock(login).await;
        let mut note = self.notes.read(&login.key);
        let Some(token) = self.read(login, &note).await else {
            return Found { token: None, trouble: None };
        };
        let now = self.wire.now();
        let serves = note.serves(login, &token, not, now.wall);
        if serves && !self.is_due(login, &token, now) {
            return Found { token: Some(token), trouble: None };
        }
        let kept = serves.then(|| token.clone());
        if let Some(why) = hopeless(login, &token, &note, now.wall) {
            return Found { token: kept, trouble: Some(login_required(login, &why)) };
        }
        if serves && now.boot < note.quiet_until {
            let left = note.quiet_until.saturating_sub(now.boot);
            let fault = Fault::new(Kind::Unreachable, "sso-oidc", "the last refresh failed a moment ago");
            return Found { token: kept, trouble: Some(fault.retry(Retry::After(left))) };
        }
        match self.refresh(aws, login, &token, &mut note).await {
            Ok(renewed) => Found { token: Some(renewed), trouble: None },
            Err(fault) => Found { token: kept, trouble: Some(fault) },
        }
    }

    async fn refresh(&self, aws: &Aws, login: &SsoLogin, token: &SsoToken, note: &mut Note) -> Result<SsoToken, Fault> {
        let (Some(registration), Some(refresh_token)) = (&token.registration, &token.refresh_token) else {
            return Err(login_required(login, "its token cannot be renewed"));
        };
        let region = region(Some(&login.region))?;
        let spent = mark(&login.region, refresh_token);
        let before = note.attempt.take().filter(|attempt| attempt.token == spent);
        let at = utc(self.wire.now().wall);
        note.attempt = Some(Attempt { token: spent.clone(), at, process: std::process::id() });
        self.note(login, note);
        let client = sso_oidc::Registration {
            client_id: registration.client_id.clone(),
            client_secret: registration.client_secret.clone(),
            expires_at: registration.expires_at,
        };
        let grant = Grant::RefreshToken { refresh_token: refresh_token.clone() };
        match sso_oidc::create_token(aws, &region, &client, &grant).await {
            Ok(answer) => Ok(self.keep(login, token, answer, note)),
            Err(error) => self.refused(login, token, note, before, error).await,
        }
    }

    /// Makes the new token durable. Only then may anybody use it.
    fn keep(&self, login: &SsoLogin, old: &SsoToken, answer: Token, note: &mut Note) -> SsoToken {
        let renewed = SsoToken {
            access_token: answer.access_token,
            expires_at: answer.expires_at,
            obtained_at: Some(answer.obtained_at),
            refresh_token: answer.refresh_token.or_else(|| old.refresh_token.clone()),
            ..old.clone()
        };
        *note = Note { rescued: note.rescued.take(), ..Note::default() };
        let in_cache = self.cache.token(&login.key).ok().flatten();
        // A token that is nowhere on disk still serves this process; the warning has said so.
        self.save(login, in_cache.as_ref(), &renewed, note).ok();
        self.note(login, note);
        info!(session = session_name(login), until = %utc(renewed.expires_at), "the SSO token was renewed");
        renewed
    }

    fn save(
        &self,
        login: &SsoLogin,
        in_cache: Option<&SsoToken>,
        token: &SsoToken,
        note: &mut Note,
    ) -> Result<(), Fault> {
        note.rescued = None;
        let Err(fault) = self.cache.store_token(&login.key, token) else {
            self.remembered().remove(&login.key);
            self.fallback.remove_token(&login.key).ok();
            return Ok(());
        };
        let replaced = in_cache.map_or_else(String::new, |old| mark(&login.region, &old.access_token));
        note.rescued = Some(replaced.clone());
        let saved = self.fallback.store_token(&login.key, token);
        let place = if saved.is_ok() { "in the lease directory" } else { "in this process only" };
        self.remembered().insert(login.key.clone(), (replaced, token.clone()));
        warn!(
            session = session_name(login),
            reason = %fault.chain(),
            hint = fault.hint.as_deref().unwrap_or_default(),
            "the rotated SSO token is kept {place}: its own file cannot be written, so other tools will need a login"
        );
        saved
    }

    async fn refused(
        &self,
        login: &SsoLogin,
        token: &SsoToken,
        note: &mut Note,
        before: Option<Attempt>,
        error: Error,
    ) -> Result<SsoToken, Fault> {
        let now = self.wire.now();
        let refusal = Refusal::of(&error);
        let stored = self.read(login, note).await;
        let won = stored.filter(|other| other.access_token != token.access_token && other.usable_at(now.wall));
        if let Some(won) = won {
            debug!(session = session_name(login), "another tool has renewed the token in the meantime");
            *note = Note::default();
            self.note(login, note);
            return Ok(won);
        }
        if error.kind() == Kind::Unreachable {
            if !error.is_ambiguous() {
                note.attempt = before;
            }
            note.failures = note.failures.saturating_add(1);
            note.quiet_until = now.boot + renewal::back_off(Kind::Unreachable, note.failures);
            self.note(login, note);
            return Err(error.into());
        }
        let why = reason(refusal, before.as_ref(), error.is_ambiguous());
        if let Some(attempt) = note.attempt.take() {
            note.refused = Some((attempt.token, why.clone()));
        }
        self.note(login, note);
        Err(login_required(login, &why).cause(error))
    }

    /// The newest token in the files: the cache's, or our fallback if it replaces that one.
    async fn read(&self, login: &SsoLogin, note: &Note) -> Option<SsoToken> {
        let in_cache = self.read_cache(&login.key).await;
        let replaced = match &in_cache {
            Ok(Some(token)) => Some(mark(&login.region, &token.access_token)),
            Ok(None) => Some(String::new()),
            Err(()) => None,
        };
        let fits = |mark: &String| replaced.as_ref().is_none_or(|replaced| replaced == mark);
        let in_memory =
            self.remembered().get(&login.key).filter(|(mark, _)| fits(mark)).map(|(_, token)| token.clone());
        let rescued = note.rescued.as_ref().filter(|mark| fits(mark));
        let rescued = rescued.and_then(|_| self.fallback.token(&login.key).ok().flatten());
        in_memory.or(rescued).or_else(|| in_cache.ok().flatten())
    }

    /// `Err`: there is a file, and it stays unreadable; a copy is kept for a person to look at.
    async fn read_cache(&self, key: &SsoKey) -> Result<Option<SsoToken>, ()> {
        for _ in 0..2 {
            match self.cache.token(key) {
                Ok(token) => return Ok(token),
                Err(_) => self.wire.sleep(SECOND_LOOK).await,
            }
        }
        self.cache.token(key).map_err(|unreadable| {
            warn!(reason = %unreadable, "an SSO token counts as absent");
            self.cache.keep_bad_copy(key).ok();
        })
    }

    /// Beside the token's file, so that every process that uses the file waits; else in the lease directory.
    async fn lock(&self, login: &SsoLogin) -> Option<FileLock> {
        let what = format!("sso-session `{}`", session_name(login));
        for place in [&self.cache, &self.fallback] {
            match wait_for(&*self.wire, &what, || place.try_lock(&login.key)).await {
                Ok(lock) => return Some(lock),
                Err(fault) => debug!(reason = %fault.chain(), "no lock here"),
            }
        }
        warn!(session = session_name(login), "no lock can be taken: another process may refresh the same token");
        None
    }

    fn note(&self, login: &SsoLogin, note: &Note) {
        if let Err(error) = self.notes.write(&login.key, note) {
            debug!(session = session_name(login), %error, "the note about a session cannot be written");
        }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<SsoKey, (String, SsoToken)>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why asking the service cannot help.
fn hopeless(login: &SsoLogin, token: &SsoToken, note: &Note, now: Timestamp) -> Option<String> {
    let ended = || format!("its token ended at {}", utc(token.expires_at));
    let Some(refresh_token) = &token.refresh_token else {
        let legacy = matches!(login.key, SsoKey::Legacy(_));
        let why = if legacy {
            "a profile without `sso_session` has none that can be renewed"
        } else {
            "it has no refresh token"
        };
        return Some(format!("{}, and {why}", ended()));
    };
    if !token.renewable_at(now) {
        return Some(format!("{}, and the client registration that could renew it has ended too", ended()));
    }
    let spent = mark(&login.region, refresh_token);
    note.refused.as_ref().filter(|(token, _)| *token == spent).map(|(_, why)| why.clone())
}

fn reason(refusal: Option<Refusal>, before: Option<&Attempt>, lost: bool) -> String {
    match (refusal, before) {
        (Some(Refusal::InvalidGrant), _) if lost => {
            "the answer to its refresh was lost on the way, and the old refresh token is spent".to_owned()
        }
        (Some(Refusal::InvalidGrant), Some(attempt)) => format!(
            "a refresh of {} by process {} was cut off before its answer was saved, and the old refresh token is spent",
            attempt.at, attempt.process
        ),
        (Some(Refusal::InvalidGrant), None) => {
            "the session has ended, or another tool has spent the refresh token".to_owned()
        }
        (Some(Refusal::InvalidClient), _) => "the client registration has ended".to_owned(),
        (Some(Refusal::InvalidRequest), _) => {
            "the service does not know the request; is `sso_region` right?".to_owned()
        }
        _ => "the service refused to renew its token".to_owned(),
    }
}

/// A person has to sign in, and this is what they type.
pub(crate) fn login_required(login: &SsoLogin, why: &str) -> Fault {
    let name = session_name(login);
    let command = match &login.key {
        SsoKey::Session(name) => format!("run `bowline login {name}`"),
        SsoKey::Legacy(_) => "run `bowline login` with a profile of this start URL".to_owned(),
    };
    Fault::new(Kind::LoginRequired, format!("sso-session `{name}`"), format!("`{name}` needs a login: {why}"))
        .hint(command)
}
