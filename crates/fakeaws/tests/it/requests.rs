//! Requests for the tests: JSON calls, and a small signer of their own.

use std::time::Duration;

use bowline_base::{Credentials, Now};
use bowline_fakeaws::{Cloud, Reply, Settings};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A whole second, so that tests of ends can be exact.
pub(crate) fn start() -> Now {
    Now { boot: Duration::from_secs(1000), wall: "2026-11-22T02:00:00Z".parse().unwrap() }
}

/// A cloud with these settings, as JSON.
pub(crate) fn cloud(patch: Value) -> Cloud {
    let mut settings = Settings { seed: Some(1), ..Settings::default() };
    settings.patch(&patch).unwrap();
    Cloud::new(settings, start())
}

/// A JSON call without a signature; gives status and body.
pub(crate) fn post(cloud: &Cloud, now: Now, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(path).header("host", "fake").body(Bytes::from(body.to_string())).unwrap();
    json(cloud.handle(now, request))
}

/// A call of the portal.
pub(crate) fn portal(cloud: &Cloud, now: Now, path: &str, token: &str) -> (u16, Value) {
    let request = Request::get(path).header("x-amz-sso_bearer_token", token).body(Bytes::new()).unwrap();
    json(cloud.handle(now, request))
}

/// GET of an S3 path.
pub(crate) fn get(cloud: &Cloud, now: Now, keys: &Credentials, path: &str) -> Reply {
    cloud.handle(now, signed(now, keys, "s3", "GET", path, ""))
}

/// A form call of STS; gives status and XML.
pub(crate) fn sts(cloud: &Cloud, now: Now, keys: &Credentials, form: &str) -> (u16, String) {
    let reply = cloud.handle(now, signed(now, keys, "sts", "POST", "/", form));
    (reply.response.status().as_u16(), text(&reply))
}

pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8(reply.response.body().to_vec()).unwrap()
}

fn json(reply: Reply) -> (u16, Value) {
    (reply.response.status().as_u16(), serde_json::from_str(&text(&reply)).unwrap())
}

/// Signs a request whose path needs no escaping and whose query is in order.
pub(crate) fn signed(
    now: Now,
    keys: &Credentials,
    service: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Request<Bytes> {
    let stamp = now.wall.strftime("%Y%m%dT%H%M%SZ").to_string();
    let hash = hex(&Sha256::digest(body.as_bytes()));
    let mut headers = vec![("host", "fake"), ("x-amz-content-sha256", hash.as_str()), ("x-amz-date", stamp.as_str())];
    headers.extend(keys.session_token.as_ref().map(|token| ("x-amz-security-token", token.expose())));
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let canonical = format!("{method}\n{bare}\n{query}\n{lines}\n{names}\n{hash}");
    let scope = format!("{}/us-east-1/{service}/aws4_request", &stamp[..8]);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let first = format!("AWS4{}", keys.secret_key.expose()).into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    let credential = format!("{}/{scope}", keys.key_id);
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    let request = Request::builder().method(method).uri(path).header("authorization", authorization);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
