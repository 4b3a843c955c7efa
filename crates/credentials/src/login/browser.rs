//! Authorization code with PKCE: a browser on this machine comes back to a listener of ours on 127.0.0.1.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bowline_aws::sso_oidc::{self, Authorize, Grant, Token};
use bowline_awsfiles::Registration;
use bowline_base::{Fault, Kind, Secret};
use bowline_host::{Address, Listener, ServerLimits, Tasks, server};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::mpsc;

use super::{
    Attempt, LoginEvent, Trouble,
    callback::{self, Verdict, judge},
    pkce::Proof,
};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
/// Registered without a port: any port may be used at run time (RFC 8252, 7.3).
const REDIRECT: &str = "http://127.0.0.1/oauth/callback";

pub(super) async fn sign_in(
    attempt: &Attempt<'_>,
    tasks: &Tasks,
    tell: &mut (dyn FnMut(LoginEvent) + Send),
) -> Result<(Registration, Token), Trouble> {
    let knows_us = |kept: &Registration| kept.grant_types.iter().any(|known| known == GRANT_TYPES[0]);
    let registration = attempt.registration(knows_us, &GRANT_TYPES, &[REDIRECT]).await?;
    let proof = Proof::new()?;
    let listener = Listener::bind(&Address::Tcp((Ipv4Addr::LOCALHOST, 0).into())).await?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let redirect_uri = format!("http://127.0.0.1:{port}{}", callback::PATH);
    let request = Authorize {
        client_id: &registration.client_id,
        redirect_uri: &redirect_uri,
        state: proof.state.expose(),
        code_challenge: &proof.challenge,
        scopes: &attempt.scopes(),
    };
    let url = sso_oidc::authorize_url(&attempt.aws, &attempt.region, &request);
    let listening = tasks.child();
    let mut verdicts = listen(&listening, listener, port, &proof.state);
    tell(LoginEvent::Open { url });
    let verdict = tokio::select! {
        verdict = verdicts.recv() => verdict,
        () = attempt.sources.wire().sleep(PATIENCE) => None,
    };
    listening.shut_down(Duration::from_secs(1)).await;
    let code = code(verdict)?;
    let grant = Grant::AuthorizationCode { code, redirect_uri, code_verifier: proof.verifier };
    let client = Attempt::client(&registration);
    let token = sso_oidc::create_token(&attempt.aws, &attempt.region, &client, &grant).await;
    token.map(|token| (registration, token)).map_err(|error| attempt.explain(error))
}

fn code(verdict: Option<Verdict>) -> Result<Secret, Fault> {
    match verdict {
        Some(Verdict::Code(code)) => Ok(code),
        Some(Verdict::Denied(why)) => {
            Err(Fault::new(Kind::Refused, "sso-oidc", format!("the sign-in was refused: {why}")))
        }
        Some(Verdict::Ignore(_)) | None => {
            Err(Fault::new(Kind::Interrupted, "sso-oidc", "nobody signed in within 10 minutes")
                .hint("run the same command again; with `--device` on a machine without a browser"))
        }
    }
}

fn listen(tasks: &Tasks, listener: Listener, port: u16, state: &Secret) -> mpsc::Receiver<Verdict> {
    let (ended, verdicts) = mpsc::channel(1);
    let state = state.clone();
    let limits = ServerLimits { connections: 16, ..ServerLimits::default() };
    server::serve(tasks, "login", Arc::new(listener), limits, move |_peer, request: Request<_>| {
        let verdict = judge(request.method(), request.uri(), request.headers(), port, &state);
        let response = page(&verdict);
        if !matches!(verdict, Verdict::Ignore(_)) {
            ended.try_send(verdict).ok();
        }
        async move { response }
    });
    verdicts
}

fn page(verdict: &Verdict) -> Response<Full<Bytes>> {
    let (status, text) = callback::page(verdict);
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
