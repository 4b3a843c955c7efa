//! Verifies AWS Signature Version 4 in the Authorization header, from the published description of the algorithm.
//!
//! Source: "Create a signed AWS API request" in the IAM user guide. Presigned URLs are not read.

use std::time::Duration;

use bowline_base::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    call::{Call, escape, escape_path},
    keys::{Key, Keys},
    mint::hex,
};

/// Why a request is not authenticated. The services word it in their own ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no Authorization header.
    Missing,
    /// The header cannot be read, or what must be there is not.
    Malformed(String),
    /// No such key, or it has not reached us yet, or a temporary key came without its token.
    UnknownKey(String),
    /// The session token is not the key's.
    WrongToken,
    /// The key's time is over.
    Expired,
    /// The request's time is too far from ours.
    Skewed { sent: Timestamp, now: Timestamp, window: Duration },
    /// A header that must be signed is not.
    NotSigned(String),
    /// The scope names another service.
    WrongService,
    /// Everything was right but the signature; carries what we computed it from.
    BadSignature { key_id: String, signature: String, string_to_sign: String, canonical_request: String },
}

/// Who sent the request, and for which region it was signed.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) key: Key,
    pub(crate) region: String,
}

/// What is known before the request is looked at.
pub(crate) struct Verifier<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) service: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) window: Duration,
}

/// The Authorization header, taken apart.
pub(crate) struct Claim<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) scope: String,
    date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    signed_headers: Vec<&'a str>,
    pub(crate) signature: &'a str,
}

impl Verifier<'_> {
    /// Checks key, token, time and signature, in AWS's order. `payload_hash` is what the client signed for the body.
    pub(crate) fn verify(&self, call: &Call, payload_hash: &str) -> Result<Signer, Refusal> {
        let claim = Claim::read(call.header("authorization").ok_or(Refusal::Missing)?, "AWS4-HMAC-SHA256")?;
        let key = self.keys.find(claim.key_id, self.now).ok_or_else(|| Refusal::UnknownKey(claim.key_id.to_owned()))?;
        check_token(key, call)?;
        if key.expires_at.is_some_and(|end| self.now >= end) {
            return Err(Refusal::Expired);
        }
        let stamp = claim.check_time(call, self.now, self.window)?;
        if claim.service != self.service {
            return Err(Refusal::WrongService);
        }
        claim.check_signed_headers(call)?;
        let canonical_request = claim.canonical_request(call, payload_hash);
        let digest = hex(&Sha256::digest(canonical_request.as_bytes()));
        let string_to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{}\n{digest}", claim.scope);
        let signature = sign(key.secret.expose(), &claim, &string_to_sign);
        if bool::from(signature.as_bytes().ct_eq(claim.signature.as_bytes())) {
            return Ok(Signer { key: key.clone(), region: claim.region.to_owned() });
        }
        let (key_id, signature) = (claim.key_id.to_owned(), claim.signature.to_owned());
        Err(Refusal::BadSignature { key_id, signature, string_to_sign, canonical_request })
    }
}

impl<'a> Claim<'a> {
    /// Takes the header apart; `algorithm` is the word that it must begin with.
    pub(crate) fn read(header: &'a str, algorithm: &str) -> Result<Self, Refusal> {
        let malformed = |what: &str| Refusal::Malformed(format!("Authorization header requires '{what}' parameter."));
        let rest = header
            .strip_prefix(algorithm)
            .ok_or_else(|| Refusal::Malformed("Unsupported Authorization Type".to_owned()))?;
        let field = |name: &'static str| {
            let mut fields = rest.split(',').map(str::trim).filter_map(|part| part.split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or_else(|| malformed(name))
        };
        let credential = field("Credential")?;
        let [key_id, date, region, service, "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..] else {
            return Err(malformed("Credential"));
        };
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let signed_headers = field("SignedHeaders")?.split(';').collect();
        Ok(Self { key_id, scope, date, region, service, signed_headers, signature: field("Signature")? })
    }

    /// The request's time stamp, if it is near enough and its day is the scope's.
    pub(crate) fn check_time<'c>(&self, call: &'c Call, now: Timestamp, window: Duration) -> Result<&'c str, Refusal> {
        let stamp = call.header("x-amz-date").unwrap_or_default();
        let sent = parse_stamp(stamp).ok_or_else(|| {
            Refusal::Malformed("AWS authentication requires a valid Date or x-amz-date header".into())
        })?;
        let apart = sent.duration_since(now).unsigned_abs();
        if apart > window {
            return Err(Refusal::Skewed { sent, now, window });
        }
        if !stamp.starts_with(self.date) {
            let text =
                format!("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {stamp}");
            return Err(Refusal::Malformed(text));
        }
        Ok(stamp)
    }

    pub(crate) fn check_signed_headers(&self, call: &Call) -> Result<(), Refusal> {
        let must = |name: &str| name == "host" || name.starts_with("x-amz-");
        let names = call.headers.keys().map(http::HeaderName::as_str).chain(["host"]);
        let unsigned = names.into_iter().find(|name| must(name) && !self.signed_headers.contains(name));
        unsigned.map_or(Ok(()), |name| Err(Refusal::NotSigned(name.to_owned())))
    }

    pub(crate) fn canonical_request(&self, call: &Call, payload_hash: &str) -> String {
        let mut query: Vec<_> = call.query.iter().map(|(name, value)| (escape(name), escape(value))).collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: String = self.signed_headers.iter().map(|name| canonical_header(call, name)).collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{payload_hash}",
            call.method,
            escape_path(&call.path),
            query.join("&"),
            self.signed_headers.join(";"),
        )
    }
}

fn check_token(key: &Key, call: &Call) -> Result<(), Refusal> {
    match (&key.token, call.header("x-amz-security-token")) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(Refusal::UnknownKey(key.id.clone())),
        (Some(token), Some(sent)) if bool::from(token.expose().as_bytes().ct_eq(sent.as_bytes())) => Ok(()),
        _ => Err(Refusal::WrongToken),
    }
}

fn canonical_header(call: &Call, name: &str) -> String {
    let values = call.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let values: Vec<String> = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    format!("{name}:{}\n", values.join(","))
}

fn sign(secret: &str, claim: &Claim<'_>, string_to_sign: &str) -> String {
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), claim.date);
    for part in [claim.region, claim.service, "aws4_request"] {
        key = hmac(&key, part);
    }
    hex(&hmac(&key, string_to_sign))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20261122T023000Z`.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn parse_stamp(text: &str) -> Option<Timestamp> {
    let bare = text.strip_suffix('Z')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", bare).ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use bowline_base::Secret;
    use bytes::Bytes;
    use http::Request;

    use super::*;
    use crate::{
        keys::{Birth, Principal},
        ledger::Ledger,
        mint::Mint,
    };

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn keys() -> Keys {
        let mut keys = Keys::default();
        let (mut mint, mut ledger) = (Mint::new(0), Ledger::new(None));
        for (id, token) in [("AKIDEXAMPLE", None), ("ASIAEXAMPLE", Some("tok/en+with=="))] {
            let principal = Principal::user("111122223333", "arn:aws:iam::111122223333:user/ci", "AIDA");
            let birth = Birth { created_at: Timestamp::MIN, live_from: Timestamp::MIN };
            let mut key = keys.issue_long_lived(principal, &birth, &mut mint, &mut ledger);
            keys.delete(&key.id);
            (key.id, key.secret, key.token) = (id.to_owned(), Secret::new(SECRET), token.map(Secret::new));
            key.expires_at = token.map(|_| "2026-11-22T02:31:00Z".parse().unwrap());
            keys.put(key);
        }
        keys
    }

    fn verify(service: &'static str, request: Request<Bytes>, hash: &str, at: &str) -> Result<Signer, Refusal> {
        let keys = keys();
        let now = at.parse().unwrap();
        let verifier = Verifier { keys: &keys, service, now, window: Duration::from_secs(300) };
        verifier.verify(&Call::read(request), hash)
    }

    /// Signed by botocore 1.43.11.
    fn sts() -> Request<Bytes> {
        Request::post("/")
            .header("host", "127.0.0.1:4566")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("x-amz-date", "20261122T023000Z")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=2544fe6721a18c5ed90d6de2c51fd531e5852e9d37874e6b7fa1ae15e936aedc")
            .body(Bytes::from("Action=GetCallerIdentity&Version=2011-06-15"))
            .unwrap()
    }

    fn s3(uri: &str, signed: &str, signature: &str) -> Request<Bytes> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261122/eu-west-1/s3/aws4_request, SignedHeaders={signed}, Signature={signature}"
        );
        Request::get(uri)
            .header("host", "127.0.0.1:4566")
            .header("range", "bytes=0-9")
            .header("x-amz-date", "20261122T023000Z")
            .header("x-amz-security-token", "tok/en+with==")
            .header("x-amz-content-sha256", EMPTY)
            .header("authorization", authorization)
            .body(Bytes::new())
            .unwrap()
    }

    /// Signed by botocore 1.43.11.
    fn get_object() -> Request<Bytes> {
        s3(
            "/maven/org/a%20b/%C3%A9%2B%281%29.jar",
            "host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token",
            "70968b5395155dcf4dd7493f7104a8b4aaef1f05dd8c1b012f7df254e3a6eeeb",
        )
    }

    fn sts_hash() -> String {
        hex(&Sha256::digest(b"Action=GetCallerIdentity&Version=2011-06-15"))
    }

    #[test]
    fn what_botocore_signed_is_accepted() {
        let signer = verify("sts", sts(), &sts_hash(), "2026-11-22T02:30:10Z").unwrap();
        assert_eq!((signer.key.id.as_str(), signer.region.as_str()), ("AKIDEXAMPLE", "us-east-1"));
        let signer = verify("s3", get_object(), EMPTY, "2026-11-22T02:30:10Z").unwrap();
        assert_eq!(signer.region, "eu-west-1");
        let list = s3(
            "/maven?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&encoding-type=url",
            "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
            "ccdb1f92bbbda624a8362ace21ac872b056474a23ca1c518e6ac24a37f2c65f8",
        );
        assert!(verify("s3", list, EMPTY, "2026-11-22T02:30:10Z").is_ok());
    }

    #[test]
    fn any_change_is_a_bad_signature() {
        let at = "2026-11-22T02:30:10Z";
        let bad = |result| assert!(matches!(result, Err(Refusal::BadSignature { .. })), "{result:?}");
        bad(verify("sts", sts(), EMPTY, at));
        let mut other = get_object();
        *other.uri_mut() = "/maven/org/a%20b/%C3%A9%2B%281%29.pom".parse().unwrap();
        bad(verify("s3", other, EMPTY, at));
        let mut other = get_object();
        other.headers_mut().insert("range", "bytes=0-8".parse().unwrap());
        bad(verify("s3", other, EMPTY, at));
    }

    #[test]
    fn the_window_and_the_end_of_the_key_hold_to_the_second() {
        let hash = sts_hash();
        assert!(verify("sts", sts(), &hash, "2026-11-22T02:35:00Z").is_ok());
        assert!(matches!(verify("sts", sts(), &hash, "2026-11-22T02:35:01Z"), Err(Refusal::Skewed { .. })));
        assert!(matches!(verify("sts", sts(), &hash, "2026-11-22T02:24:59Z"), Err(Refusal::Skewed { .. })));
        assert!(verify("s3", get_object(), EMPTY, "2026-11-22T02:30:59.999Z").is_ok());
        assert_eq!(verify("s3", get_object(), EMPTY, "2026-11-22T02:31:00Z").unwrap_err(), Refusal::Expired);
    }

    #[test]
    fn unsigned_tokens_foreign_tokens_and_foreign_services_are_refused() {
        let at = "2026-11-22T02:30:10Z";
        let mut other = get_object();
        other.headers_mut().insert("x-amz-meta-extra", "1".parse().unwrap());
        let expected = Refusal::NotSigned("x-amz-meta-extra".into());
        assert_eq!(verify("s3", other, EMPTY, at).unwrap_err(), expected);
        let mut other = get_object();
        other.headers_mut().insert("x-amz-security-token", "stolen".parse().unwrap());
        assert_eq!(verify("s3", other, EMPTY, at).unwrap_err(), Refusal::WrongToken);
        let mut other = get_object();
        other.headers_mut().remove("x-amz-security-token");
        assert_eq!(verify("s3", other, EMPTY, at).unwrap_err(), Refusal::UnknownKey("ASIAEXAMPLE".into()));
        assert_eq!(verify("sts", get_object(), EMPTY, at).unwrap_err(), Refusal::WrongService);
        let mut other = sts();
        other.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
        assert!(matches!(verify("sts", other, EMPTY, at), Err(Refusal::Malformed(_))));
    }
}
