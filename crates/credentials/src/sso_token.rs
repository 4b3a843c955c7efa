//! The one refresher of SSO tokens on this machine, so that a refresh token is never used twice.
//!
//! Under a lock beside the token's file: look again, note the attempt, call, make the rotated token durable, only then
//! use it. Other tools do not honour the lock, so the file is read again whenever the service says no. A refresh that
//! was begun is never dropped half-way: it runs in a task of its own.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_aws::{
    Aws, Error,
    sso_oidc::{self, Grant, Refusal, Token},
};
use bowline_awsfiles::{FileLock, SsoCache, SsoKey, SsoLogin, SsoToken, Unreadable};
use bowline_base::{Fault, KeyId, Kind, Now, Retry, Secret, Timestamp, utc, wire::Wire};
use bowline_host::Tasks;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::{
    Setup,
    lease_store::{LONGEST_MEMORY, wait_for},
    renewal::{self, Lease, Rule},
    source::region,
    sso_note::{Attempt, Note, Notes, mark},
    sso_reason::{DEAD, NOBODY, hopeless, login_required, passing, reason},
    stamps::{Stamp, stamp},
};

/// A token that another tool wrote does not say when it was made; Identity Center makes them for an hour.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

/// What a half-written file gets before it counts as broken.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// A token that we made this short a time ago and that the portal refuses: another one would be refused too.
const JUST_MADE: Duration = Duration::from_secs(60);

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
    /// How the files stood when a refresh of ours had written them.
    own: Mutex<BTreeMap<PathBuf, Stamp>>,
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
            own: Mutex::default(),
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
        found.token.ok_or_else(|| found.trouble.unwrap_or_else(|| login_required(login, NOBODY)))
    }

    /// As [`SsoTokens::usable`], but a due token that could not be renewed is an error: for whoever renews ahead.
    ///
    /// # Errors
    /// As [`SsoTokens::usable`].
    pub async fn renewed(&self, aws: &Aws, login: &SsoLogin) -> Result<SsoToken, Fault> {
        let found = self.find(aws, login, None).await?;
        match (found.trouble, found.token) {
            (None, Some(token)) => Ok(token),
            (trouble, _) => Err(trouble.unwrap_or_else(|| login_required(login, NOBODY))),
        }
    }

    /// The token as it stands in the files, good or not.
    pub async fn stored(&self, login: &SsoLogin) -> Option<SsoToken> {
        self.0.read(login, &self.0.notes.read(&login.key)).await.ok()
    }

    /// The token as the files have it, if it serves or can be renewed without a person. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// `LoginRequired` with the reason and the command.
    pub async fn standing(&self, login: &SsoLogin) -> Result<SsoToken, Fault> {
        let note = self.0.notes.read(&login.key);
        let token = self.0.read(login, &note).await.map_err(|why| login_required(login, &why))?;
        let now = self.0.wire.now();
        match hopeless(login, &token, &note, now) {
            Some(why) if !note.serves(login, &token, None, now.wall) => Err(login_required(login, &why)),
            _ => Ok(token),
        }
    }

    /// Notes that the portal refused `token` even after a refresh, and says what to do.
    pub async fn dead(&self, login: &SsoLogin, token: &SsoToken, error: Error) -> Fault {
        if let Ok(_lock) = self.0.lock(login).await {
            self.0.bury(login, token, &mut self.0.notes.read(&login.key));
        }
        login_required(login, DEAD).cause(error)
    }

    /// Puts the token of a new sign-in in its place; everything noted about the old one is forgotten.
    ///
    /// # Errors
    /// `Config` when neither the cache nor the fallback can be written to.
    pub async fn signed_in(&self, login: &SsoLogin, token: &SsoToken) -> Result<(), Fault> {
        let _lock = self.0.lock_if_free(login).await;
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
        let _lock = self.0.lock_if_free(login).await;
        self.0.remembered().remove(&login.key);
        self.0.fallback.remove_token(&login.key).ok();
        self.0.notes.forget(&login.key).ok();
        self.0.cache.remove_token(&login.key)?;
        let copy = self.0.cache.bad_copy_path(&login.key);
        match fs::remove_file(&copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("cannot remove `{}`", copy.display());
                Err(Fault::new(Kind::Config, copy.display().to_string(), message).cause(error))
            }
            _ => Ok(()),
        }
    }

    /// How the files stood when a refresh of this process had written them; waits for a write that is under way.
    pub(crate) fn own_writes(&self) -> BTreeMap<PathBuf, Stamp> {
        self.0.own().clone()
    }

    async fn find(&self, aws: &Aws, login: &SsoLogin, not: Option<&Secret>) -> Result<Found, Fault> {
        let note = self.0.notes.read(&login.key);
        let stored = self.0.read(login, &note).await;
        let now = self.0.wire.now();
        if let Ok(token) = stored {
            let serves = note.serves(login, &token, not, now.wall);
            if serves && !self.0.is_due(login, &token, now) {
                return Ok(Found { token: Some(token), trouble: None });
            }
            // Nothing that the lock could change: 50 processes are told at once.
            if let Some(why) = hopeless(login, &token, &note, now) {
                let trouble = Some(login_required(login, &why));
                return Ok(Found { token: serves.then_some(token), trouble });
            }
        }
        let (inner, aws, login, not) = (Arc::clone(&self.0), aws.clone(), login.clone(), not.cloned());
        let (answer, wait) = oneshot::channel();
        self.0.tasks.spawn_request("sso-refresh", async move {
            answer.send(inner.renew(&aws, &login, not.as_ref()).await).ok();
        });
        wait.await.map_err(|_| Fault::new(Kind::Bug, "sso", "the refresh of an SSO token broke off"))
    }
}

impl Inner {
    fn is_due(&self, login: &SsoLogin, token: &SsoToken, now: Now) -> bool {
        lease_of(login, token).due_at(Rule::SsoToken(self.token_window)).is_some_and(|due| now.wall >= due)
    }

    /// With the lock held: looks again, and refreshes if nobody else has.
    async fn renew(&self, aws: &Aws, login: &SsoLogin, not: Option<&Secret>) -> Found {
        let lock = self.lock(login).await;
        let mut note = self.notes.read(&login.key);
        let token = match self.read(login, &note).await {
            Ok(token) => token,
            Err(why) => return Found { token: None, trouble: Some(login_required(login, &why)) },
        };
        let now = self.wire.now();
        let serves = note.serves(login, &token, not, now.wall);
        if serves && !self.is_due(login, &token, now) {
            return Found { token: Some(token), trouble: None };
        }
        let kept = serves.then(|| token.clone());
        let _lock = match lock {
            Ok(lock) => lock,
            // Who holds it may have spent the refresh token already.
            Err(fault) => return Found { token: kept, trouble: Some(fault) },
        };
        if not == Some(&token.access_token) && was_just_made(&token, now.wall) {
            self.bury(login, &token, &mut note);
        }
        if let Some(why) = hopeless(login, &token, &note, now) {
            return Found { token: kept, trouble: Some(login_required(login, &why)) };
        }
        if let Some(left) = note.quiet_for(now.boot).filter(|_| serves) {
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
        {
            let mut own = self.own();
            // A token that is nowhere on disk still serves this process; the warning has said so.
            self.save(login, in_cache.as_ref(), &renewed, note).ok();
            let path = self.cache.token_path(&login.key);
            own.extend(stamp(&path).map(|stamp| (path, stamp)));
        }
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
        let won = stored.ok().filter(|other| other.access_token != token.access_token && other.usable_at(now.wall));
        if let Some(won) = won {
            debug!(session = session_name(login), "another tool has renewed the token in the meantime");
            *note = Note::default();
            self.note(login, note);
            return Ok(won);
        }
        // Whatever else said no, such as a proxy on the way, has not judged the token.
        if !matches!(refusal, Some(Refusal::InvalidGrant | Refusal::InvalidClient)) {
            if !error.is_ambiguous() {
                note.attempt = before;
            }
            note.failures = note.failures.saturating_add(1);
            let pause = renewal::back_off(error.kind(), note.failures).min(LONGEST_MEMORY);
            note.quiet_until = now.boot + pause;
            self.note(login, note);
            return Err(passing(login, refusal, error, pause));
        }
        let why = reason(refusal, before.as_ref(), error.is_ambiguous());
        if let Some(attempt) = note.attempt.take() {
            note.refused = Some((attempt.token, why.clone()));
        }
        self.note(login, note);
        Err(login_required(login, &why).cause(error))
    }

    /// Notes that the portal does not take `token`, although it should.
    fn bury(&self, login: &SsoLogin, token: &SsoToken, note: &mut Note) {
        note.dead = Some(mark(&login.region, &token.access_token));
        note.dead_until = self.wire.now().boot + LONGEST_MEMORY;
        self.note(login, note);
    }

    /// The newest token in the files: the cache's, or our fallback if it replaces that one. `Err` says why there is none.
    async fn read(&self, login: &SsoLogin, note: &Note) -> Result<SsoToken, String> {
        let in_cache = self.read_cache(&login.key).await;
        let replaced = match &in_cache {
            Ok(Some(token)) => Some(mark(&login.region, &token.access_token)),
            Ok(None) => Some(String::new()),
            Err(_) => None,
        };
        let fits = |mark: &String| replaced.as_ref().is_none_or(|replaced| replaced == mark);
        let in_memory =
            self.remembered().get(&login.key).filter(|(mark, _)| fits(mark)).map(|(_, token)| token.clone());
        let rescued = note.rescued.as_ref().filter(|mark| fits(mark));
        let rescued = rescued.and_then(|_| self.fallback.token(&login.key).ok().flatten());
        if let Some(newer) = in_memory.or(rescued) {
            return Ok(newer);
        }
        in_cache.map_err(|unreadable| unreadable.to_string())?.ok_or_else(|| NOBODY.to_owned())
    }

    /// `Err`: there is a file, and it stays unreadable; a copy is kept for a person to look at.
    async fn read_cache(&self, key: &SsoKey) -> Result<Option<SsoToken>, Unreadable> {
        for _ in 0..2 {
            match self.cache.token(key) {
                Ok(token) => return Ok(token),
                Err(_) => self.wire.sleep(SECOND_LOOK).await,
            }
        }
        self.cache.token(key).inspect_err(|unreadable| {
            warn!(reason = %unreadable, "an SSO token counts as absent");
            self.cache.keep_bad_copy(key).ok();
        })
    }

    /// Beside the token's file, so that every process that uses the file waits; in the lease directory where no lock
    /// can be made there. `None`: nowhere. `Err`: another process keeps it.
    async fn lock(&self, login: &SsoLogin) -> Result<Option<FileLock>, Fault> {
        let what = format!("sso-session `{}`", session_name(login));
        for place in [&self.cache, &self.fallback] {
            match wait_for(&*self.wire, &what, || place.try_lock(&login.key)).await {
                Ok(lock) => return Ok(Some(lock)),
                Err(fault) if fault.kind == Kind::Unreachable => return Err(self.held(login, fault)),
                Err(fault) => debug!(reason = %fault.chain(), "no lock here"),
            }
        }
        warn!(session = session_name(login), "no lock can be taken: another process may refresh the same token");
        Ok(None)
    }

    /// For what a person wants done now: goes on without the lock when a stopped process keeps it.
    async fn lock_if_free(&self, login: &SsoLogin) -> Option<FileLock> {
        self.lock(login).await.unwrap_or_else(|fault| {
            warn!(reason = %fault.chain(), hint = fault.hint.as_deref().unwrap_or_default(), "going on without the lock");
            None
        })
    }

    fn held(&self, login: &SsoLogin, fault: Fault) -> Fault {
        match self.notes.read(&login.key).attempt {
            Some(Attempt { process, .. }) => fault.hint(format!(
                "another bowline holds it, perhaps process {process}: look at `ps -o pid,stat,args -p {process}`;                  if it is stopped (T), `kill -CONT {process}`"
            )),
            None => fault.hint("another bowline holds it: look for a stopped one (T) in `ps -C bowline -o pid,stat,args`"),
        }
    }

    fn note(&self, login: &SsoLogin, note: &Note) {
        if let Err(error) = self.notes.write(&login.key, note) {
            debug!(session = session_name(login), %error, "the note about a session cannot be written");
        }
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<SsoKey, (String, SsoToken)>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Stamp>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn was_just_made(token: &SsoToken, now: Timestamp) -> bool {
    token.obtained_at.is_some_and(|made| made <= now && now < made + JUST_MADE)
}
