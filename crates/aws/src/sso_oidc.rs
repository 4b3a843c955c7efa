//! IAM Identity Center's token service: registration of a client, device codes, and tokens.
//!
//! REST with JSON, never signed. Codes and refresh tokens are good for one use, so [`create_token`] is repeated at
//! most once after a lost answer and says so when it stays unknown whether the token was spent
//! ([`Error::is_ambiguous`]).

use bowline_base::{Secret, Timestamp};
use serde_json::json;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    json::Object,
    request::{Repeat, Request, encode},
};

/// What to ask of `RegisterClient`. The type is always `public`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterClient {
    /// Shown to the person on the consent page.
    pub client_name: String,
    /// `sso:account:access`, usually alone.
    pub scopes: Vec<String>,
    /// `authorization_code` and `refresh_token` for the browser flow; empty for device codes.
    pub grant_types: Vec<String>,
    /// `http://127.0.0.1/oauth/callback`, without a port; empty for device codes.
    pub redirect_uris: Vec<String>,
    /// The start URL, for the browser flow.
    pub issuer_url: Option<String>,
}

/// A registered client: good for about 90 days, to be used again until it ends.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Names the client.
    pub client_id: String,
    /// Goes with every further call.
    pub client_secret: Secret,
    /// From this second on the service refuses the client.
    pub expires_at: Timestamp,
}

/// What `StartDeviceAuthorization` answers.
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// To poll with.
    pub device_code: Secret,
    /// What the person types: `ABCD-EFGH`.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: String,
    /// Seconds that the code is good for.
    pub expires_in: u64,
    /// Seconds to leave between two polls.
    pub interval: u64,
}

/// What a token is asked with.
#[derive(Clone, Debug)]
pub enum Grant {
    /// Polling until the person has approved.
    DeviceCode {
        /// From [`start_device_authorization`].
        device_code: Secret,
    },
    /// Back from the browser.
    AuthorizationCode {
        /// From the redirect.
        code: Secret,
        /// The very redirect URI that the browser was sent with, port included.
        redirect_uri: String,
        /// What the challenge was made from.
        code_verifier: Secret,
    },
    /// Renewal.
    RefreshToken {
        /// The newest one: the service may refuse an older one for ever.
        refresh_token: Secret,
    },
}

/// A fresh access token.
#[derive(Clone, Debug)]
pub struct Token {
    /// For the portal.
    pub access_token: Secret,
    /// By the wire's clock and the seconds that the answer names.
    pub expires_at: Timestamp,
    /// When the answer came, by the wire's clock.
    pub obtained_at: Timestamp,
    /// Absent when the old one stays good: keep it.
    pub refresh_token: Option<Secret>,
}

/// What the browser is sent to.
#[derive(Clone, Debug)]
pub struct Authorize<'a> {
    /// From [`Registration`].
    pub client_id: &'a str,
    /// With the port that is listened on.
    pub redirect_uri: &'a str,
    /// Random; comes back in the redirect.
    pub state: &'a str,
    /// `base64url(sha256(verifier))` without padding.
    pub code_challenge: &'a str,
    /// Usually `sso:account:access`.
    pub scopes: &'a [String],
}

/// Why the token service refused, where it is one of the reasons that a login flow acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The person has not answered yet: poll on.
    AuthorizationPending,
    /// Poll on, 5 s slower for good.
    SlowDown,
    /// The device code has ended: start again.
    ExpiredToken,
    /// The person said no.
    AccessDenied,
    /// The refresh token or code is spent, revoked or foreign.
    InvalidGrant,
    /// The registration has ended or is foreign: register again.
    InvalidClient,
    /// The request does not fit the service; often the region is wrong.
    InvalidRequest,
}

impl Refusal {
    /// Reads the reason from an error of this service.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let code = error.code().filter(|_| error.service() == Service::SsoOidc)?;
        Some(match code.strip_suffix("Exception").unwrap_or(code) {
            "AuthorizationPending" | "authorization_pending" => Self::AuthorizationPending,
            "SlowDown" | "slow_down" => Self::SlowDown,
            "ExpiredToken" | "expired_token" => Self::ExpiredToken,
            "AccessDenied" | "access_denied" => Self::AccessDenied,
            "InvalidGrant" | "invalid_grant" => Self::InvalidGrant,
            "InvalidClient" | "invalid_client" | "UnauthorizedClient" | "unauthorized_client" => Self::InvalidClient,
            "InvalidRequest" | "invalid_request" | "InvalidRequestRegion" => Self::InvalidRequest,
            _ => return None,
        })
    }
}

/// Registers this program as a public client.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn register_client(aws: &Aws, region: &Region, request: &RegisterClient) -> Result<Registration, Error> {
    let mut body = json!({ "clientName": request.client_name, "clientType": "public" });
    for (name, list) in
        [("scopes", &request.scopes), ("grantTypes", &request.grant_types), ("redirectUris", &request.redirect_uris)]
    {
        if !list.is_empty() {
            body[name] = json!(list);
        }
    }
    if let Some(url) = &request.issuer_url {
        body["issuerUrl"] = json!(url);
    }
    let answer = post(aws, region, "RegisterClient", "/client/register", &body, Repeat::Freely).await?;
    registration(&answer).ok_or_else(|| nonsense(&answer))
}

/// Asks for a code that the person approves on any device.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn start_device_authorization(
    aws: &Aws,
    region: &Region,
    client: &Registration,
    start_url: &str,
) -> Result<DeviceAuthorization, Error> {
    let body = json!({
        "clientId": client.client_id,
        "clientSecret": client.client_secret.expose(),
        "startUrl": start_url,
    });
    let operation = "StartDeviceAuthorization";
    let answer = post(aws, region, operation, "/device_authorization", &body, Repeat::Freely).await?;
    device(&answer).ok_or_else(|| nonsense(&answer))
}

/// Trades a grant for a token.
///
/// # Errors
/// [`Error`]: refused with a [`Refusal`]; unreachable; ambiguous when an answer was lost after the grant was sent.
pub async fn create_token(aws: &Aws, region: &Region, client: &Registration, grant: &Grant) -> Result<Token, Error> {
    let mut body = json!({ "clientId": client.client_id, "clientSecret": client.client_secret.expose() });
    let fields: &[(&str, &str)] = match grant {
        Grant::DeviceCode { device_code } => {
            &[("grantType", "urn:ietf:params:oauth:grant-type:device_code"), ("deviceCode", device_code.expose())]
        }
        Grant::AuthorizationCode { code, redirect_uri, code_verifier } => &[
            ("grantType", "authorization_code"),
            ("code", code.expose()),
            ("redirectUri", redirect_uri),
            ("codeVerifier", code_verifier.expose()),
        ],
        Grant::RefreshToken { refresh_token } => {
            &[("grantType", "refresh_token"), ("refreshToken", refresh_token.expose())]
        }
    };
    for (name, value) in fields {
        body[name] = json!(value);
    }
    let answer = post(aws, region, "CreateToken", "/token", &body, Repeat::Once).await?;
    // The service has acted, and what it gave us is lost.
    token(&answer, aws.wall()).ok_or_else(|| nonsense(&answer).ambiguous())
}

/// The page that a person signs in on, for the browser flow. Wants `scopes`, plural, unlike plain OAuth.
#[must_use]
pub fn authorize_url(aws: &Aws, region: &Region, request: &Authorize<'_>) -> String {
    let base = aws.endpoints().base(Service::SsoOidc, region);
    let scopes = request.scopes.join(" ");
    let query = [
        ("response_type", "code"),
        ("client_id", request.client_id),
        ("redirect_uri", request.redirect_uri),
        ("state", request.state),
        ("code_challenge_method", "S256"),
        ("scopes", &scopes),
        ("code_challenge", request.code_challenge),
    ];
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{}/authorize?{}", base.url(), query.join("&"))
}

async fn post(
    aws: &Aws,
    region: &Region,
    operation: &'static str,
    path: &str,
    body: &serde_json::Value,
    repeat: Repeat,
) -> Result<Answer, Error> {
    let base = aws.endpoints().base(Service::SsoOidc, region);
    let request = Request::post(Service::SsoOidc, operation, base, path).json(body).repeat(repeat);
    drive(aws, request, None).await
}

fn registration(answer: &Answer) -> Option<Registration> {
    let mut object = Object::parse(&answer.body)?;
    Some(Registration {
        client_id: object.text("clientId")?,
        client_secret: Secret::new(object.text("clientSecret")?),
        expires_at: Timestamp::from_second(object.integer("clientSecretExpiresAt")?).ok()?,
    })
}

fn device(answer: &Answer) -> Option<DeviceAuthorization> {
    let mut object = Object::parse(&answer.body)?;
    let verification_uri = object.text("verificationUri")?;
    Some(DeviceAuthorization {
        device_code: Secret::new(object.text("deviceCode")?),
        user_code: object.text("userCode")?,
        verification_uri_complete: object.text("verificationUriComplete").unwrap_or_else(|| verification_uri.clone()),
        verification_uri,
        expires_in: object.integer("expiresIn").and_then(|seconds| seconds.try_into().ok())?,
        interval: object.integer("interval").and_then(|seconds| seconds.try_into().ok()).unwrap_or(5),
    })
}

fn token(answer: &Answer, now: Timestamp) -> Option<Token> {
    let mut object = Object::parse(&answer.body)?;
    let life = std::time::Duration::from_secs(object.integer("expiresIn")?.try_into().ok()?);
    Some(Token {
        access_token: Secret::new(object.text("accessToken").filter(|text| !text.is_empty())?),
        expires_at: now.checked_add(life).ok()?,
        obtained_at: now,
        refresh_token: object.text("refreshToken").filter(|text| !text.is_empty()).map(Secret::new),
    })
}

fn nonsense(answer: &Answer) -> Error {
    answer.nonsense("an Identity Center answer")
}

#[cfg(test)]
mod tests {
    use bowline_base::{Kind, utc};

    use super::*;
    use crate::scripted::{Act, Scripted, answer, region, start};

    fn client() -> Registration {
        Registration { client_id: "c1".to_owned(), client_secret: Secret::new("cs"), expires_at: start() }
    }

    fn refresh() -> Grant {
        Grant::RefreshToken { refresh_token: Secret::new("rt-1") }
    }

    #[tokio::test]
    async fn a_client_is_registered_as_public() {
        let body = r#"{"clientId":"c1","clientSecret":"cs","clientIdIssuedAt":1,"clientSecretExpiresAt":1795316400}"#;
        let wire = Scripted::new(vec![answer(200, body)]);
        let request = RegisterClient { client_name: "bowline".to_owned(), ..RegisterClient::default() };
        let found = register_client(&wire.aws(), &region(), &request).await.unwrap();
        assert_eq!((found.client_id.as_str(), utc(found.expires_at).as_str()), ("c1", "2026-11-22T03:00:00Z"));
        assert_eq!(wire.sent.lock().unwrap()[0].body(), r#"{"clientName":"bowline","clientType":"public"}"#);
    }

    #[tokio::test]
    async fn a_token_ends_by_our_clock_and_may_keep_the_old_refresh_token() {
        let wire = Scripted::new(vec![answer(200, r#"{"accessToken":"at","tokenType":"Bearer","expiresIn":3600}"#)]);
        let found = create_token(&wire.aws(), &region(), &client(), &refresh()).await.unwrap();
        assert_eq!(utc(found.expires_at), "2026-11-22T03:00:00Z");
        assert!(found.refresh_token.is_none());
        let body = r#"{"clientId":"c1","clientSecret":"cs","grantType":"refresh_token","refreshToken":"rt-1"}"#;
        assert_eq!(wire.sent.lock().unwrap()[0].body(), body);
    }

    #[tokio::test]
    async fn a_lost_answer_is_followed_by_one_quick_try_with_the_same_token() {
        let wire = Scripted::new(vec![Act::CutOff(200, "{\"accessTo".to_owned()), Act::Break]);
        let error = create_token(&wire.aws(), &region(), &client(), &refresh()).await.unwrap_err();
        assert!(error.is_ambiguous() && wire.count() == 2);
        assert_eq!(error.kind(), Kind::Unreachable);
        let apart = wire.aws().now().boot.as_millis();
        assert!(apart <= 200, "{apart} ms");
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_is_a_lost_answer() {
        let wire = Scripted::new(vec![answer(200, "<html>")]);
        assert!(create_token(&wire.aws(), &region(), &client(), &refresh()).await.unwrap_err().is_ambiguous());
    }

    #[tokio::test]
    async fn the_conversation_of_a_device_code_is_read_from_either_form() {
        for (body, expected) in [
            (r#"{"error":"authorization_pending"}"#, Refusal::AuthorizationPending),
            (r#"{"error":"slow_down"}"#, Refusal::SlowDown),
            (r#"{"error":"expired_token"}"#, Refusal::ExpiredToken),
            (r#"{"error":"access_denied"}"#, Refusal::AccessDenied),
            (r#"{"__type":"x#InvalidGrantException"}"#, Refusal::InvalidGrant),
        ] {
            let wire = Scripted::new(vec![answer(400, body)]);
            let grant = Grant::DeviceCode { device_code: Secret::new("d") };
            let error = create_token(&wire.aws(), &region(), &client(), &grant).await.unwrap_err();
            assert_eq!((Refusal::of(&error), error.is_ambiguous()), (Some(expected), false), "{body}");
        }
    }

    #[test]
    fn the_sign_in_page_wants_scopes_in_plural() {
        let scopes = ["sso:account:access".to_owned(), "x".to_owned()];
        let request = Authorize {
            client_id: "c1",
            redirect_uri: "http://127.0.0.1:4711/oauth/callback",
            state: "s",
            code_challenge: "h",
            scopes: &scopes,
        };
        assert_eq!(
            authorize_url(&Scripted::new(vec![]).aws(), &region(), &request),
            "https://oidc.eu-central-1.amazonaws.com/authorize?response_type=code&client_id=c1\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Foauth%2Fcallback&state=s&code_challenge_method=S256\
             &scopes=sso%3Aaccount%3Aaccess%20x&code_challenge=h"
        );
    }
}
