//! The whole fake AWS: state behind one lock, and the one function that answers a request.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_base::{Credentials, Now, Secret, Timestamp};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use crate::{
    Bucket, Counts, Settings, SettingsError, admin,
    buckets::Buckets,
    call::Call,
    container,
    counters::Counters,
    ec2::{self, network::Network},
    faults::{Effect, Fault, Faults, Strike},
    iam::{self, directory::Directory},
    instance,
    keys::{Birth, Keys, Principal, Standing, Term, later, whole_second},
    ledger::Ledger,
    logs, mfa,
    mint::Mint,
    oidc_state::{Oidc, User},
    operation::{Operation, Service},
    pages,
    policy::DocumentError,
    query,
    reply::{Answer, Ending, Pass, Reply},
    roles_anywhere, s3, s3_error, signin, ssm, sso_oidc, sso_portal, sts,
};

/// A fake AWS without a socket or a clock. All methods may be called from any thread.
pub struct Cloud(Mutex<State>);

/// What a finished SSO login leaves in the token cache.
#[derive(Clone, Debug)]
pub struct SsoTokens {
    /// The bearer of portal calls.
    pub access_token: Secret,
    /// For the next access token, if the client may refresh.
    pub refresh_token: Option<Secret>,
    /// End of the access token.
    pub expires_at: Timestamp,
    /// The registered client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// End of the registration.
    pub registration_expires_at: Timestamp,
}

/// Everything the services know.
pub(crate) struct State {
    /// When the cloud came into being: the birthday of what it was furnished with.
    pub(crate) started: Timestamp,
    pub(crate) settings: Settings,
    pub(crate) mint: Mint,
    pub(crate) ledger: Ledger,
    pub(crate) keys: Keys,
    pub(crate) directory: Directory,
    pub(crate) oidc: Oidc,
    pub(crate) instance: instance::Tokens,
    pub(crate) spent_codes: mfa::Spent,
    pub(crate) buckets: Buckets,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) logs: logs::Groups,
    pub(crate) parameters: ssm::Parameters,
    pub(crate) signin: signin::Tokens,
    pub(crate) network: Network,
}

impl Cloud {
    /// An empty cloud: no users, no buckets, nobody logged in. `now` is the seed where the settings have none.
    #[must_use]
    pub fn new(settings: Settings, now: Now) -> Self {
        let clock = u64::try_from(now.wall.as_nanosecond() & i128::from(u64::MAX)).unwrap_or(0);
        let mint = Mint::new(settings.seed.unwrap_or(clock));
        let ledger = Ledger::new(settings.secret_ledger.clone());
        Self(Mutex::new(State {
            started: now.wall,
            settings,
            mint,
            ledger,
            keys: Keys::default(),
            directory: Directory::default(),
            oidc: Oidc::default(),
            instance: instance::Tokens::default(),
            spent_codes: mfa::Spent::default(),
            buckets: Buckets::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            logs: logs::Groups::default(),
            parameters: ssm::Parameters::default(),
            signin: signin::Tokens::default(),
            network: Network::default(),
        }))
    }

    /// Answers one request. Whoever acts the reply out calls [`Cloud::finished`] with its pass when it is over.
    pub fn handle(&self, now: Now, request: Request<Bytes>) -> Reply {
        let call = Call::read(request);
        let operation = Operation::of(&call);
        let mut state = self.state();
        let wall = state.clock(now.wall);
        if operation.service == Service::Operator {
            let answer = admin::answer(&mut state, &call, wall);
            return reply(answer, &call, wall, Strike::default(), Pass(Vec::new()));
        }
        let pass = state.admit(&operation);
        let strike = state.faults.strike(&operation);
        let replaced = strike.effect.as_ref().filter(|_| !strike.after_work);
        let answer = match replaced.and_then(|effect| instead(&mut state, &operation, &call, effect)) {
            Some(answer) => answer,
            None => state.serve(&operation, &call, wall),
        };
        let answer = match strike.effect.as_ref().filter(|_| strike.after_work) {
            Some(effect) => instead(&mut state, &operation, &call, effect).unwrap_or(answer),
            None => answer,
        };
        state.counters.count(outcome(&operation, &answer, &strike));
        reply(answer, &call, wall, strike, pass)
    }

    /// The exchange that came with `pass` is over.
    pub fn finished(&self, pass: &Pass) {
        self.state().counters.end(&pass.0);
    }

    /// A long-lived user in the first account that may do everything, with one more key.
    #[must_use]
    pub fn add_user(&self, name: &str) -> Credentials {
        let state = &mut *self.state();
        state.furnish_user(name);
        state.directory.administrator(name);
        state.furnish_key(name).credentials(Timestamp::UNIX_EPOCH)
    }

    /// A long-lived user in the first account that may do what `documents` say and nothing else, with one more key.
    ///
    /// # Errors
    /// A document is no identity policy.
    pub fn add_limited_user(&self, name: &str, documents: &[Value]) -> Result<Credentials, DocumentError> {
        let state = &mut *self.state();
        state.furnish_user(name);
        for (number, document) in documents.iter().enumerate() {
            state.directory.furnish_policy(name, &format!("furnished-{number}"), document)?;
        }
        Ok(state.furnish_key(name).credentials(Timestamp::UNIX_EPOCH))
    }

    /// Tags a user at once, as an administrator did long ago.
    pub fn tag_user(&self, name: &str, key: &str, value: &str) {
        self.state().directory.furnish_tag(name, key, value);
    }

    /// A managed policy in the first account, for permissions boundaries; gives its ARN.
    ///
    /// # Errors
    /// The document is no identity policy.
    pub fn add_policy(&self, name: &str, document: &Value) -> Result<String, DocumentError> {
        let state = &mut *self.state();
        let arn = iam::directory::policy_arn(&state.home_account(), "/", name);
        state.directory.add_managed(&arn, &document.to_string())?;
        Ok(arn)
    }

    /// The long-lived keys that a user really has, whether or not anybody sees them yet, and whether they are active.
    #[must_use]
    pub fn keys_of(&self, user: &str) -> Vec<(String, bool)> {
        let state = self.state();
        let Some(id) = state.directory.true_id(user) else { return Vec::new() };
        let keys = state.keys.truly_of_user(&id);
        keys.map(|key| (key.id.clone(), *key.standing.truth() == Standing::Active)).collect()
    }

    /// The users that really are, whether or not anybody sees them yet.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        self.state().directory.true_names()
    }

    /// Temporary credentials of `role` in the first account, as `AssumeRole` would give them, without the call.
    #[must_use]
    pub fn add_session(&self, now: Now, role: &str, lifetime: Duration) -> Credentials {
        let state = &mut *self.state();
        let wall = state.clock(now.wall);
        let role_id = state.mint.key_id("AROA");
        let principal = Principal::role_session(&state.home_account(), role, "session", &role_id);
        state.issue(principal, whole_second(later(wall, lifetime)), wall).credentials(now.wall)
    }

    /// What was issued under this key id, whether it still works or not: id, secret and token that belong together.
    #[must_use]
    pub fn issued(&self, key_id: &str) -> Option<Credentials> {
        self.state().keys.issued(key_id).map(|key| key.credentials(Timestamp::UNIX_EPOCH))
    }

    /// Makes a key unknown to every service, as deleting it does; whether it was known.
    pub fn delete_key(&self, key_id: &str) -> bool {
        self.state().keys.delete(key_id)
    }

    /// Registers a client and logs the user in, without a browser: what a test puts into an SSO token cache.
    #[must_use]
    pub fn sign_in(&self, now: Now) -> SsoTokens {
        let state = &mut *self.state();
        let wall = state.clock(now.wall);
        sso_oidc::sign_in(state, wall)
    }

    /// Makes a bucket, or replaces the one of that name.
    pub fn add_bucket(&self, name: &str, bucket: Bucket) {
        self.state().buckets.add(name, bucket);
    }

    /// Stores an object in a bucket that is kept in memory.
    ///
    /// # Panics
    /// If there is no such bucket, or it shows a directory.
    pub fn put_object(&self, now: Now, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let mut state = self.state();
        let wall = state.clock(now.wall);
        let stored = state.buckets.put_plain(bucket, key, body.into(), wall);
        assert!(stored, "there is no writable bucket `{bucket}`");
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Ends all faults that were ordered.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Changes settings while running; what was already issued keeps its times.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.state().settings);
    }

    /// Changes settings by JSON; see [`Settings::patch`].
    ///
    /// # Errors
    /// [`SettingsError`]; then nothing is changed.
    pub fn patch_settings(&self, patch: &Value) -> Result<(), SettingsError> {
        self.state().settings.patch(patch)
    }

    /// Approves the pending login with this user code, or all of them; says how many there were.
    pub fn approve(&self, user_code: Option<&str>) -> usize {
        self.state().oidc.decide(user_code, true)
    }

    /// Denies the pending login with this user code, or all of them; says how many there were.
    pub fn deny(&self, user_code: Option<&str>) -> usize {
        self.state().oidc.decide(user_code, false)
    }

    /// Ends every SSO access token; refreshing still works.
    pub fn expire_access_tokens(&self, now: Now) {
        let mut state = self.state();
        let wall = state.clock(now.wall);
        state.oidc.expire_access_tokens(wall);
    }

    /// Ends every SSO session, as an administrator does: tokens are refused, refreshing too.
    pub fn end_sessions(&self) {
        self.state().oidc.end_sessions();
    }

    /// Ends every client registration.
    pub fn expire_registrations(&self, now: Now) {
        let mut state = self.state();
        let wall = state.clock(now.wall);
        state.oidc.expire_registrations(wall);
    }

    /// Ends every temporary key.
    pub fn expire_keys(&self, now: Now) {
        let mut state = self.state();
        let wall = state.clock(now.wall);
        state.keys.expire_sessions(wall);
    }

    /// Makes a log group, as `CreateLogGroup` does.
    pub fn add_log_group(&self, name: &str) {
        self.state().logs.entry(name.to_owned()).or_default();
    }

    /// The texts in a log stream, in the order of their arrival; empty when there is no such stream.
    #[must_use]
    pub fn log_lines(&self, group: &str, stream: &str) -> Vec<String> {
        let state = self.state();
        let events = state.logs.get(group).and_then(|streams| streams.get(stream));
        events.into_iter().flatten().map(|(_, text)| text.clone()).collect()
    }

    /// A parameter of Parameter Store, as Terraform or another program left it.
    pub fn add_parameter(&self, name: &str, value: &str, sealed: bool) {
        let state = &mut *self.state();
        ssm::furnish(&mut state.parameters, name, value, sealed, state.started);
    }

    /// Name, value and whether it is sealed, of every parameter.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String, bool)> {
        ssm::contents(&self.state().parameters)
    }

    /// Calls so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counters.counts().clone()
    }

    /// Sets all counters to nothing.
    pub fn clear_counts(&self) {
        self.state().counters.clear();
    }

    /// Every secret that was ever issued: none of these may appear in an output.
    #[must_use]
    pub fn secrets_in_play(&self) -> Vec<Secret> {
        self.state().ledger.secrets().to_vec()
    }

    /// A bucket that shows `directory`, read only, symlinks followed.
    pub fn add_directory(&self, name: &str, directory: &Path) {
        let region = self.state().settings.region.clone();
        self.add_bucket(name, Bucket::directory(&region, directory));
    }

    /// A panic elsewhere must not hide what the test is about: a poisoned lock is taken as it is.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The server's clock.
    fn clock(&self, wall: Timestamp) -> Timestamp {
        wall.checked_add(self.settings.clock_skew).unwrap_or(wall)
    }

    /// The account of users and of roles without one.
    pub(crate) fn home_account(&self) -> String {
        self.settings.accounts.first().map_or_else(|| "111122223333".to_owned(), |account| account.id.clone())
    }

    /// When what is written now has reached every reader.
    pub(crate) fn spread(&self, now: Timestamp) -> Timestamp {
        later(now, self.settings.propagation_delay)
    }

    /// The user of that name; made when there is none.
    pub(crate) fn furnish_user(&mut self, name: &str) {
        let (account, started) = (self.home_account(), self.started);
        let mint = &mut self.mint;
        self.directory.furnish(&account, name, started, || mint.key_id("AIDA"));
    }

    /// One more key of a user that is there, known everywhere at once.
    pub(crate) fn furnish_key(&mut self, name: &str) -> crate::keys::Key {
        let user = self.directory.truth(name).expect("the user was furnished just before");
        let principal = Principal::user(&user.account, &user.arn, &user.id);
        let birth = Birth { created_at: self.started, live_from: Timestamp::MIN };
        self.keys.issue_long_lived(principal, &birth, &mut self.mint, &mut self.ledger)
    }

    /// A new temporary key.
    pub(crate) fn issue(&mut self, principal: Principal, expires_at: Timestamp, now: Timestamp) -> crate::keys::Key {
        let live_from = later(now, self.settings.propagation_delay);
        let term = Term { live_from, expires_at };
        self.keys.issue_session(principal, &term, &mut self.mint, &mut self.ledger)
    }

    /// The one SSO user.
    pub(crate) fn sso_user(&self) -> User {
        User("alex@example.com".to_owned())
    }

    fn admit(&mut self, operation: &Operation) -> Pass {
        let mut names = vec![operation.name.clone()];
        if let Some(object) = &operation.object {
            let name = format!("{} {object}", operation.name);
            self.counters.object(&name);
            names.push(name);
        }
        self.counters.begin(&names);
        Pass(names)
    }

    fn serve(&mut self, operation: &Operation, call: &Call, now: Timestamp) -> Answer {
        match operation.service {
            Service::Oidc => sso_oidc::answer(self, call, now),
            Service::RolesAnywhere => roles_anywhere::answer(self, call, now),
            Service::Portal => sso_portal::answer(self, call, now),
            Service::Sts => sts::answer(self, call, now),
            Service::Iam => iam::answer(self, call, now),
            Service::Ec2 => ec2::answer(self, call, now),
            Service::S3 => s3::answer(self, operation, call, now),
            Service::Container => container::answer(self, call, now),
            Service::Instance => instance::answer(self, call, now),
            Service::Logs => logs::answer(self, call, now),
            Service::Ssm => ssm::answer(self, call, now),
            Service::Signin => signin::answer(self, call, now),
            Service::Operator => admin::answer(self, call, now),
        }
    }
}

/// The answer that a fault puts in place of the right one; `None` where the right one is needed or nothing is sent.
fn instead(state: &mut State, operation: &Operation, call: &Call, effect: &Effect) -> Option<Answer> {
    match effect {
        Effect::Error { status, code } => Some(service_error(state, operation.service, call, *status, code)),
        Effect::Throttle => Some(throttled(state, operation.service, call)),
        Effect::Html(status) => Some(pages::garbage(*status)),
        Effect::Hang | Effect::Reset => Some(Answer::new(500, "text/plain", "", "none")),
        Effect::Truncate(_) | Effect::Stall(_) | Effect::Latency(_) => None,
    }
}

fn throttled(state: &mut State, service: Service, call: &Call) -> Answer {
    let (status, code) = match service {
        Service::Oidc | Service::RolesAnywhere | Service::Portal | Service::Operator => {
            (429, "TooManyRequestsException")
        }
        Service::Container | Service::Instance | Service::Signin => (429, "TooManyRequests"),
        Service::Sts | Service::Iam => (400, "Throttling"),
        Service::Ec2 => (503, "RequestLimitExceeded"),
        Service::S3 => (503, "SlowDown"),
        Service::Logs | Service::Ssm => (400, "ThrottlingException"),
    };
    service_error(state, service, call, status, code)
}

fn service_error(state: &mut State, service: Service, call: &Call, status: u16, code: &str) -> Answer {
    match service {
        Service::Oidc => sso_oidc::plain_error(status, code),
        Service::RolesAnywhere => roles_anywhere::error(state, status, code, "Injected"),
        Service::Portal | Service::Operator => sso_portal::error(state, status, code, "Injected"),
        Service::Sts | Service::Iam => {
            let namespace = if service == Service::Sts { sts::NAMESPACE } else { iam::NAMESPACE };
            let words = if code == "Throttling" { "Rate exceeded" } else { "Injected" };
            query::error(state, namespace, status, code, words)
        }
        Service::Ec2 => ec2::error(state, status, code, "Injected"),
        Service::Container => container::error(status, code, "Injected"),
        Service::Instance => instance::error(status, code),
        Service::Signin => signin::error(status, code),
        Service::Logs => logs::error(state, status, code, "Injected"),
        Service::Ssm => ssm::error(state, status, code, "Injected"),
        Service::S3 => s3_error::S3Error::injected(status, code).answer(state, call),
    }
}

/// The name under which the call is counted.
fn outcome(operation: &Operation, answer: &Answer, strike: &Strike) -> String {
    let fault = match &strike.effect {
        Some(Effect::Hang) => "fault.hang",
        Some(Effect::Reset) => "fault.reset",
        Some(Effect::Truncate(_)) => "fault.truncate",
        Some(Effect::Stall(_)) => "fault.stall",
        Some(Effect::Html(_)) => "fault.html",
        Some(Effect::Throttle) => "fault.throttle",
        Some(Effect::Error { .. }) => "fault.error",
        Some(Effect::Latency(_)) | None => return format!("{}.{}", operation.name, answer.outcome),
    };
    format!("{}.{fault}", operation.name)
}

fn reply(answer: Answer, call: &Call, wall: Timestamp, strike: Strike, pass: Pass) -> Reply {
    let mut response = answer.header("date", &httpdate::fmt_http_date(wall.into())).response;
    if call.method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    let ending = match strike.effect {
        Some(Effect::Hang) => Ending::Hang,
        Some(Effect::Reset) => Ending::Reset,
        Some(Effect::Truncate(bytes)) => Ending::Truncate(bytes),
        Some(Effect::Stall(bytes)) => Ending::Stall(bytes),
        _ => Ending::Whole,
    };
    Reply { response, delay: strike.delay, ending, pass }
}
