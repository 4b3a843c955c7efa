//! Signing in to IAM Identity Center and out of it: in a browser on this machine, or with a code on any device.
//!
//! Nothing is printed and no browser is started here: the caller is told through [`LoginEvent`] what to show and open.

mod browser;
mod callback;
mod device;
mod logout;
mod pkce;
mod polling;

use bowline_aws::{
    Aws, Error, Region,
    sso_oidc::{self, Refusal, Token},
};
use bowline_awsfiles::{Config, Registration, SsoKey, SsoLogin, SsoToken};
use bowline_base::{Fault, Kind, Timestamp};
use bowline_host::Tasks;

pub use logout::{SignedOut, logout};

use crate::{
    source::{Sources, region},
    sso_token::session_name,
};

/// The way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A browser on this machine: nothing to type, and nothing to be phished.
    Browser,
    /// A code that is typed on any device: for machines without a display.
    Device,
}

/// What the person has to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginEvent {
    /// Open this page in a browser on this machine.
    Open {
        /// The page.
        url: String,
    },
    /// Compare the code with the one on the page, on any device.
    Device {
        /// `ABCD-EFGH`.
        user_code: String,
        /// Where to type it.
        url: String,
        /// The same with the code filled in.
        complete_url: String,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The session's name, or the start URL of an old profile without one.
    pub session: String,
    /// When the first token ends.
    pub token_until: Timestamp,
    /// Whether it is renewed by itself from now on.
    pub renewable: bool,
}

/// Signs in to the session behind `name`: a profile, or an `[sso-session]`. A listener, if one is needed, runs in `tasks`.
///
/// # Errors
/// `Config` when `name` leads to no session, `Refused` when the person said no or the service did, `Interrupted` when
/// nobody answered in time.
pub async fn login(
    sources: &Sources,
    tasks: &Tasks,
    name: &str,
    how: How,
    tell: &mut (dyn FnMut(LoginEvent) + Send),
) -> Result<SignedIn, Fault> {
    let mut attempt = Attempt::new(sources, name)?;
    let (registration, token) = match attempt.sign_in(tasks, how, tell).await {
        Err(Trouble::UnknownClient(_)) => {
            tracing::info!("the service no longer knows this program's registration; it is made anew");
            attempt.anew = true;
            attempt.sign_in(tasks, how, tell).await.map_err(Trouble::fault)?
        }
        ended => ended.map_err(Trouble::fault)?,
    };
    attempt.finish(registration, token).await
}

/// Why a sign-in came to nothing.
enum Trouble {
    /// The service does not take the client registration.
    UnknownClient(Fault),
    /// Everything else.
    Other(Fault),
}

impl Trouble {
    fn fault(self) -> Fault {
        let (Self::UnknownClient(fault) | Self::Other(fault)) = self;
        fault
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

/// The session behind `name`, and where its calls go.
pub(crate) fn session_of(sources: &Sources, name: &str) -> Result<(Config, SsoLogin, Aws), Fault> {
    let config = sources.setup().config()?;
    let Some(login) = config.login(name)? else {
        let message = format!("profile `{name}` does not sign in to IAM Identity Center");
        return Err(Fault::new(Kind::Config, format!("profile `{name}`"), message)
            .hint("name a profile with `sso_session`, or an `[sso-session]`"));
    };
    let aws = sources.aws(&sources.endpoints_for(&config, &login));
    Ok((config, login, aws))
}

/// One sign-in under way.
struct Attempt<'a> {
    sources: &'a Sources,
    aws: Aws,
    region: Region,
    login: SsoLogin,
    /// No registration of an earlier sign-in will do.
    anew: bool,
}

impl<'a> Attempt<'a> {
    fn new(sources: &'a Sources, name: &str) -> Result<Self, Fault> {
        let (_, login, aws) = session_of(sources, name)?;
        let region = region(Some(&login.region))?;
        Ok(Self { sources, aws, region, login, anew: false })
    }

    /// A person who stays with the old kind of profile gets the old kind of login: it cannot be renewed.
    async fn sign_in(
        &self,
        tasks: &Tasks,
        how: How,
        tell: &mut (dyn FnMut(LoginEvent) + Send),
    ) -> Result<(Registration, Token), Trouble> {
        match how {
            How::Browser => browser::sign_in(self, tasks, tell).await,
            How::Device => device::sign_in(self, tell).await,
        }
    }

    /// Without a scope there is no refresh token; an old profile without a session has no use for one.
    fn scopes(&self) -> Vec<String> {
        match &self.login.key {
            SsoKey::Session(_) if self.login.scopes.is_empty() => vec!["sso:account:access".to_owned()],
            SsoKey::Session(_) | SsoKey::Legacy(_) => self.login.scopes.clone(),
        }
    }

    /// A registration that `fits`, kept from an earlier sign-in, or a new one.
    async fn registration(
        &self,
        fits: impl Fn(&Registration) -> bool,
        grant_types: &[&str],
        redirect_uris: &[&str],
    ) -> Result<Registration, Trouble> {
        let now = self.aws.now().wall;
        let cache = self.sources.tokens().cache();
        if let Some(kept) = cache.registrations(&self.login, now).into_iter().find(fits).filter(|_| !self.anew) {
            return Ok(kept);
        }
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let request = sso_oidc::RegisterClient {
            client_name: format!("bowline-{}", now.as_second()),
            scopes: self.scopes(),
            grant_types: texts(grant_types),
            redirect_uris: texts(redirect_uris),
            issuer_url: (!redirect_uris.is_empty()).then(|| self.login.start_url.clone()),
        };
        let answer = sso_oidc::register_client(&self.aws, &self.region, &request).await;
        let answer = answer.map_err(|error| self.explain(error))?;
        let registration = Registration {
            client_id: answer.client_id,
            client_secret: answer.client_secret,
            expires_at: answer.expires_at,
            scopes: request.scopes,
            grant_types: request.grant_types,
        };
        if let Err(fault) = cache.store_registration(&self.login, &registration) {
            tracing::warn!(reason = %fault.chain(), "the client registration is not kept: the next sign-in makes another");
        }
        Ok(registration)
    }

    fn client(registration: &Registration) -> sso_oidc::Registration {
        sso_oidc::Registration {
            client_id: registration.client_id.clone(),
            client_secret: registration.client_secret.clone(),
            expires_at: registration.expires_at,
        }
    }

    async fn finish(&self, registration: Registration, answer: Token) -> Result<SignedIn, Fault> {
        let token = SsoToken {
            start_url: Some(self.login.start_url.clone()),
            region: Some(self.login.region.clone()),
            access_token: answer.access_token,
            expires_at: answer.expires_at,
            refresh_token: answer.refresh_token,
            registration: Some(registration),
            obtained_at: Some(answer.obtained_at),
            extra: bowline_awsfiles::Extra::default(),
        };
        self.sources.tokens().signed_in(&self.login, &token).await?;
        Ok(SignedIn {
            session: session_name(&self.login).to_owned(),
            token_until: token.expires_at,
            renewable: token.renewable_at(self.aws.now().wall),
        })
    }

    /// What a refusal at the start of a sign-in usually means.
    fn explain(&self, error: Error) -> Trouble {
        let unknown_client = Refusal::of(&error) == Some(Refusal::InvalidClient);
        let mut fault = Fault::from(error);
        if fault.kind == Kind::Refused && fault.hint.is_none() {
            let (url, region) = (&self.login.start_url, &self.login.region);
            fault = fault.hint(format!("see that `sso_start_url` ({url}) and `sso_region` ({region}) belong together"));
        }
        if unknown_client { Trouble::UnknownClient(fault) } else { Trouble::Other(fault) }
    }
}
