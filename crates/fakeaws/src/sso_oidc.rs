//! The OIDC service of IAM Identity Center: registration, device code, authorization code with PKCE, refresh.
//!
//! Forms of answers and errors: the API reference of SSO OIDC; the order of `error` and header as AWS sends them.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bowline_base::{Secret, Timestamp};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    OmitRefresh, SsoTokens,
    call::{Call, escape},
    cloud::State,
    json,
    keys::later,
    oidc_state::{BadRefresh, Client, Code, Decision, Device},
    pages,
    reply::Answer,
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const GRANTS: [&str; 3] = [DEVICE_GRANT, "authorization_code", "refresh_token"];

/// An error as the service words it: the exception, and the code in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OidcError {
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    InvalidGrant(&'static str),
    InvalidClient(&'static str),
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidRequest(&'static str),
    InvalidRedirectUri,
    AccessDenied,
    InvalidClientMetadata,
}

impl OidcError {
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::AuthorizationPending => ("AuthorizationPendingException", "authorization_pending", ""),
            Self::SlowDown => ("SlowDownException", "slow_down", "Polling too quickly"),
            Self::ExpiredToken => ("ExpiredTokenException", "expired_token", "Device code has expired"),
            Self::InvalidGrant(why) => ("InvalidGrantException", "invalid_grant", why),
            Self::InvalidClient(why) => ("InvalidClientException", "invalid_client", why),
            Self::UnauthorizedClient => {
                ("UnauthorizedClientException", "unauthorized_client", "Client is not registered for this grant type")
            }
            Self::UnsupportedGrantType => {
                ("UnsupportedGrantTypeException", "unsupported_grant_type", "Unsupported grant type")
            }
            Self::InvalidRequest(why) => ("InvalidRequestException", "invalid_request", why),
            Self::InvalidRedirectUri => {
                ("InvalidRedirectUriException", "invalid_redirect_uri", "Invalid redirect URI provided")
            }
            Self::AccessDenied => ("AccessDeniedException", "access_denied", "The user denied the request"),
            Self::InvalidClientMetadata => {
                ("InvalidClientMetadataException", "invalid_client_metadata", "Only public clients can be registered")
            }
        }
    }

    fn answer(self) -> Answer {
        let (exception, error, description) = self.parts();
        let status = if matches!(self, Self::InvalidClient(_)) { 401 } else { 400 };
        let outcome = if description == REUSED { "reused" } else { error };
        error_answer(status, exception, error, description, outcome)
    }
}

const REUSED: &str = "Refresh token was used before";

/// An error of this service with any exception, for injection: `InvalidGrantException` carries `invalid_grant`.
pub(crate) fn plain_error(status: u16, exception: &str) -> Answer {
    let mut error = String::new();
    for c in exception.trim_end_matches("Exception").chars() {
        if c.is_ascii_uppercase() && !error.is_empty() {
            error.push('_');
        }
        error.push(c.to_ascii_lowercase());
    }
    error_answer(status, exception, &error, "Injected", &error)
}

fn error_answer(status: u16, exception: &str, error: &str, description: &str, outcome: &str) -> Answer {
    let body = json!({"error": error, "error_description": description}).to_string();
    let kind = format!("{exception}:http://internal.amazon.com/coral/com.amazonaws.sso.oidc/");
    Answer::new(status, "application/json", body, outcome).header("x-amzn-errortype", &kind)
}

fn ok(body: &Value) -> Answer {
    Answer::new(200, "application/json", body.to_string(), "ok")
}

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    if call.method == Method::GET {
        return authorize(state, call, now).unwrap_or_else(|error| pages::refused(error.parts().2));
    }
    let Some(body) = json::object(&call.body) else {
        return OidcError::InvalidRequest("The body is not a JSON object").answer();
    };
    let result = match call.path.as_str() {
        "/client/register" => register(state, call, &body, now),
        "/device_authorization" => start_device(state, call, &body, now),
        _ => create_token(state, &body, now),
    };
    result.map_or_else(OidcError::answer, |body| ok(&body))
}

/// Registers a client and logs the user in at once.
pub(crate) fn sign_in(state: &mut State, now: Timestamp) -> SsoTokens {
    let client = Client {
        secret: state.ledger.note(state.mint.token("fake-client-")),
        scopes: vec!["sso:account:access".to_owned()],
        grant_types: GRANTS.map(str::to_owned).to_vec(),
        redirect_uris: vec!["http://127.0.0.1/oauth/callback".to_owned()],
        expires_at: later(now, state.settings.registration_lifetime),
    };
    let (client_id, client_secret, registration_expires_at) =
        (state.mint.key_id(""), client.secret.clone(), client.expires_at);
    state.oidc.clients.insert(client_id.clone(), client);
    let session = state.oidc.begin_session(&client_id, later(now, state.settings.session_lifetime));
    let issued = issue(state, session, true, now);
    SsoTokens {
        access_token: issued.access_token,
        refresh_token: issued.refresh_token,
        expires_at: issued.expires_at,
        client_id,
        client_secret,
        registration_expires_at,
    }
}

fn register(state: &mut State, call: &Call, body: &Value, now: Timestamp) -> Result<Value, OidcError> {
    let name = json::text(body, "clientName").ok_or(OidcError::InvalidRequest("clientName is required"))?;
    if json::text(body, "clientType") != Some("public") || name.is_empty() {
        return Err(OidcError::InvalidClientMetadata);
    }
    let grant_types = json::list(body, "grantTypes");
    let redirect_uris = json::list(body, "redirectUris");
    if grant_types.iter().any(|grant| !GRANTS.contains(&grant.as_str())) {
        return Err(OidcError::UnsupportedGrantType);
    }
    if grant_types.iter().any(|grant| grant == "authorization_code") && redirect_uris.is_empty() {
        return Err(OidcError::InvalidRedirectUri);
    }
    let id = state.mint.key_id("");
    let secret = state.ledger.note(state.mint.token("fake-client-"));
    let expires_at = later(now, state.settings.registration_lifetime);
    let base = call.base_url();
    let answer = json!({
        "clientId": id,
        "clientSecret": secret.expose(),
        "clientIdIssuedAt": now.as_second(),
        "clientSecretExpiresAt": expires_at.as_second(),
        "authorizationEndpoint": format!("{base}/authorize"),
        "tokenEndpoint": format!("{base}/token"),
    });
    let scopes = json::list(body, "scopes");
    state.oidc.clients.insert(id, Client { secret, scopes, grant_types, redirect_uris, expires_at });
    Ok(answer)
}

fn start_device(state: &mut State, call: &Call, body: &Value, now: Timestamp) -> Result<Value, OidcError> {
    let (client_id, client) = client(state, body, now)?;
    if !client.may(DEVICE_GRANT) {
        return Err(OidcError::UnauthorizedClient);
    }
    let start_url = json::text(body, "startUrl").ok_or(OidcError::InvalidRequest("startUrl is required"))?;
    if state.settings.start_url.as_deref().is_some_and(|only| only != start_url) {
        return Err(OidcError::InvalidRequest("The start URL is not known in this region"));
    }
    let (device_code, user_code) = (state.ledger.note(state.mint.token("fake-device-")), state.mint.user_code());
    let life = state.settings.device_code_lifetime;
    let decision = Decision::Pending { approved_from: state.settings.approve_after.map(|wait| later(now, wait)) };
    let expires_at = later(now, life);
    let device = Device { client_id, user_code: user_code.clone(), expires_at, decision, last_poll: None };
    state.oidc.devices.insert(device_code.expose().to_owned(), device);
    let page = format!("{}/device", call.base_url());
    Ok(json!({
        "deviceCode": device_code.expose(),
        "userCode": user_code,
        "verificationUri": page,
        "verificationUriComplete": format!("{page}?user_code={user_code}"),
        "expiresIn": life.as_secs(),
        "interval": state.settings.poll_interval.as_secs(),
    }))
}

/// The page that the browser is sent to. Errors about the client or the redirect are shown, never redirected.
fn authorize(state: &mut State, call: &Call, now: Timestamp) -> Result<Answer, OidcError> {
    let parameter = |name| call.query(name).ok_or(OidcError::InvalidRequest("A parameter is missing"));
    let (client_id, redirect_uri) = (parameter("client_id")?, parameter("redirect_uri")?);
    let client = state.oidc.clients.get(client_id).ok_or(OidcError::InvalidClient("Unknown client"))?;
    if now >= client.expires_at {
        return Err(OidcError::InvalidClient("Client registration has expired"));
    }
    if !client.redirect_uris.iter().any(|registered| same_but_port(registered, redirect_uri)) {
        return Err(OidcError::InvalidRedirectUri);
    }
    let back = |answer: &str| {
        let state = call.query("state").map(|text| format!("&state={}", escape(text))).unwrap_or_default();
        Answer::new(302, "text/plain", "", "redirect").header("location", &format!("{redirect_uri}?{answer}{state}"))
    };
    let pkce = call.query("code_challenge_method") == Some("S256") && call.query("response_type") == Some("code");
    let Some(challenge) = call.query("code_challenge").filter(|_| pkce) else {
        return Ok(back("error=invalid_request"));
    };
    if !client.may("authorization_code") {
        return Ok(back("error=unauthorized_client"));
    }
    let mut scopes = call.query("scopes").unwrap_or_default().split_whitespace();
    if scopes.any(|scope| !client.scopes.iter().any(|registered| registered == scope)) {
        return Ok(back("error=invalid_scope"));
    }
    match (call.query("decision"), state.settings.approve_after) {
        (Some("deny"), _) => return Ok(back("error=access_denied")),
        (Some("approve"), _) | (_, Some(_)) => {}
        _ => return Ok(pages::consent(call)),
    }
    let code = state.ledger.note(state.mint.token("fake-code-"));
    let expires_at = later(now, state.settings.device_code_lifetime);
    let (client_id, redirect_uri, challenge) = (client_id.to_owned(), redirect_uri.to_owned(), challenge.to_owned());
    state.oidc.codes.insert(code.expose().to_owned(), Code { client_id, redirect_uri, challenge, expires_at });
    Ok(back(&format!("code={}", escape(code.expose()))))
}

/// RFC 8252 section 7.3: the port of a loopback redirect is the client's to choose.
fn same_but_port(registered: &str, asked: &str) -> bool {
    let without_port = |uri: &str| -> Option<(String, String)> {
        let uri: http::Uri = uri.parse().ok()?;
        Some((uri.host()?.to_owned(), uri.path().to_owned()))
    };
    let (registered, asked) = (without_port(registered), without_port(asked));
    asked.is_some() && registered == asked
}

fn create_token(state: &mut State, body: &Value, now: Timestamp) -> Result<Value, OidcError> {
    let grant = json::text(body, "grantType").ok_or(OidcError::InvalidRequest("grantType is required"))?;
    let (client_id, client) = client(state, body, now)?;
    if !GRANTS.contains(&grant) {
        return Err(OidcError::UnsupportedGrantType);
    }
    if !client.may(grant) {
        return Err(OidcError::UnauthorizedClient);
    }
    if grant == "refresh_token" {
        return refresh(state, body, &client_id, now);
    }
    match grant {
        DEVICE_GRANT => redeem_device(state, body, &client_id, now)?,
        _ => redeem_code(state, body, &client_id, now)?,
    }
    let session = state.oidc.begin_session(&client_id, later(now, state.settings.session_lifetime));
    let with_refresh = client.refreshes() && state.settings.omit_refresh_token != OmitRefresh::Always;
    Ok(issue(state, session, with_refresh, now).body())
}

fn client(state: &State, body: &Value, now: Timestamp) -> Result<(String, Client), OidcError> {
    let id = json::text(body, "clientId").ok_or(OidcError::InvalidRequest("clientId is required"))?;
    let secret = json::text(body, "clientSecret").ok_or(OidcError::InvalidRequest("clientSecret is required"))?;
    let client = state.oidc.clients.get(id).ok_or(OidcError::InvalidClient("Unknown client"))?;
    if !bool::from(client.secret.expose().as_bytes().ct_eq(secret.as_bytes())) {
        return Err(OidcError::InvalidClient("Invalid client secret"));
    }
    if now >= client.expires_at {
        return Err(OidcError::InvalidClient("Client registration has expired"));
    }
    Ok((id.to_owned(), client.clone()))
}

fn redeem_device(state: &mut State, body: &Value, client_id: &str, now: Timestamp) -> Result<(), OidcError> {
    let code = json::text(body, "deviceCode").ok_or(OidcError::InvalidRequest("deviceCode is required"))?;
    let interval = state.settings.poll_interval;
    let unknown = OidcError::InvalidGrant("Invalid device code provided");
    let device = state.oidc.devices.get_mut(code).filter(|device| device.client_id == client_id).ok_or(unknown)?;
    if now >= device.expires_at {
        return Err(OidcError::ExpiredToken);
    }
    let approved = match device.decision {
        Decision::Approved => true,
        Decision::Denied => return Err(OidcError::AccessDenied),
        Decision::Pending { approved_from } => approved_from.is_some_and(|from| now >= from),
    };
    if !approved {
        let too_soon = device.last_poll.is_some_and(|last| now < later(last, tolerant(interval)));
        device.last_poll = Some(now);
        return Err(if too_soon { OidcError::SlowDown } else { OidcError::AuthorizationPending });
    }
    state.oidc.devices.remove(code);
    Ok(())
}

/// A client that waits the interval may arrive a little early: its clock and its timer are not ours.
fn tolerant(interval: Duration) -> Duration {
    interval.saturating_sub(interval / 10)
}

fn redeem_code(state: &mut State, body: &Value, client_id: &str, now: Timestamp) -> Result<(), OidcError> {
    let text = |name, missing| json::text(body, name).ok_or(OidcError::InvalidRequest(missing));
    let code = text("code", "code is required")?;
    let redirect_uri = text("redirectUri", "redirectUri is required")?;
    let verifier = text("codeVerifier", "codeVerifier is required")?;
    // One try, right or wrong (RFC 6749 section 4.1.2).
    let code = state.oidc.codes.remove(code).ok_or(OidcError::InvalidGrant("Invalid authorization code"))?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    match code {
        code if code.client_id != client_id => Err(OidcError::InvalidGrant("The code is another client's")),
        code if now >= code.expires_at => Err(OidcError::InvalidGrant("The code has expired")),
        code if code.redirect_uri != redirect_uri => Err(OidcError::InvalidGrant("The redirect URI is another")),
        code if code.challenge != challenge => Err(OidcError::InvalidGrant("PKCE verification failed")),
        _ => Ok(()),
    }
}

fn refresh(state: &mut State, body: &Value, client_id: &str, now: Timestamp) -> Result<Value, OidcError> {
    let token = json::text(body, "refreshToken").ok_or(OidcError::InvalidRequest("refreshToken is required"))?;
    let session =
        state.oidc.redeem(token, client_id, now, state.settings.revoke_on_reuse).map_err(|bad| match bad {
            BadRefresh::Unknown => OidcError::InvalidGrant("Invalid refresh token provided"),
            BadRefresh::Reused => OidcError::InvalidGrant(REUSED),
            BadRefresh::SessionOver => OidcError::InvalidGrant("The session has ended"),
        })?;
    if state.settings.omit_refresh_token != OmitRefresh::Never {
        return Ok(issue(state, session, false, now).body());
    }
    if state.settings.rotate_refresh_tokens {
        state.oidc.spend(token);
        return Ok(issue(state, session, true, now).body());
    }
    let mut issued = issue(state, session, false, now);
    issued.refresh_token = Some(Secret::new(token));
    Ok(issued.body())
}

/// Tokens on their way out.
struct Issued {
    access_token: Secret,
    refresh_token: Option<Secret>,
    expires_at: Timestamp,
    expires_in: i64,
}

impl Issued {
    fn body(&self) -> Value {
        let mut body = json!({
            "accessToken": self.access_token.expose(),
            "expiresIn": self.expires_in,
            "tokenType": "Bearer",
        });
        if let Some(token) = &self.refresh_token {
            body["refreshToken"] = token.expose().into();
        }
        body
    }
}

fn issue(state: &mut State, session: u64, with_refresh: bool, now: Timestamp) -> Issued {
    let end = later(now, state.settings.access_token_lifetime).min(state.oidc.session_end(session));
    let access_token = state.ledger.note(state.mint.token("aoaFake"));
    state.oidc.keep_access(&access_token, session, end);
    let refresh_token = with_refresh.then(|| state.ledger.note(state.mint.token("aorFake")));
    if let Some(token) = &refresh_token {
        state.oidc.keep_refresh(token, session);
    }
    Issued { access_token, refresh_token, expires_at: end, expires_in: end.duration_since(now).as_secs() }
}
