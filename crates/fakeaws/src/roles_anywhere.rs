//! IAM Roles Anywhere: `CreateSession`, authenticated by SigV4-X509 and as strict about certificates as the user guide says.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_base::{Secret, Timestamp, utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    call::Call,
    cloud::State,
    json,
    keys::{Principal, later, whole_second},
    mint::hex,
    reply::Answer,
    sigv4::{Claim, Refusal, stamp},
    x509,
};

/// Why the service says no: status, exception, words.
struct No(u16, &'static str, String);

fn denied(words: impl Into<String>) -> No {
    No(403, "AccessDeniedException", words.into())
}

fn invalid(words: impl Into<String>) -> No {
    No(400, "ValidationException", words.into())
}

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    match create_session(state, call, now) {
        Ok(body) => Answer::new(201, "application/json", body.to_string(), "ok"),
        Err(No(status, code, words)) => error(state, status, code, &words),
    }
}

/// An error in this service's form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let kind = format!("{code}:http://internal.amazon.com/coral/com.amazonaws.rolesanywhere/");
    let answer = Answer::new(status, "application/json", json!({ "message": message }).to_string(), code);
    answer.header("x-amzn-errortype", &kind).header("x-amzn-requestid", &state.mint.request_id())
}

/// Who asks: the certificate's serial and where it is asked.
struct Caller {
    serial: String,
    region: String,
    subject: String,
}

fn create_session(state: &mut State, call: &Call, now: Timestamp) -> Result<Value, No> {
    let caller = authenticate(state, call, now)?;
    let body = json::object(&call.body).ok_or_else(|| invalid("The body is no JSON object"))?;
    check_region("profileArn", "profile/", wanted(call, &body, "profileArn")?, &caller)?;
    check_region("trustAnchorArn", "trust-anchor/", wanted(call, &body, "trustAnchorArn")?, &caller)?;
    let role_arn = wanted(call, &body, "roleArn")?;
    let (account, role) = role_of(role_arn).ok_or_else(|| invalid(format!("Invalid role: {role_arn}")))?;
    if state.settings.denied_roles.contains(&role) {
        return Err(denied(format!("Unable to assume role for {role_arn}")));
    }
    let session = match json::text(&body, "roleSessionName") {
        Some(_) if !state.settings.accept_role_session_name => {
            return Err(denied("Not authorized to set roleSessionName."));
        }
        Some(name) => name,
        None => &caller.serial,
    };
    let lifetime = lifetime(&body)?;
    let end = whole_second(later(now, state.settings.anywhere_lifetime.unwrap_or(lifetime)));
    let role_id = state.mint.key_id("AROA");
    let principal = Principal::role_session(&account, &role, session, &role_id);
    let (arn, user_id) = (principal.arn.clone(), principal.user_id.clone());
    let key = state.issue(principal, end, now);
    Ok(json!({
        "credentialSet": [{
            "assumedRoleUser": { "arn": arn, "assumedRoleId": user_id },
            "credentials": {
                "accessKeyId": key.id,
                "secretAccessKey": key.secret.expose(),
                "sessionToken": key.token.as_ref().map(Secret::expose),
                "expiration": utc(end),
            },
            "packedPolicySize": 0,
            "roleArn": role_arn,
            "sourceIdentity": caller.subject,
        }],
        "subjectArn": format!("arn:aws:rolesanywhere:{}:{account}:subject/{}", caller.region, caller.serial),
    }))
}

fn wanted<'a>(call: &'a Call, body: &'a Value, name: &str) -> Result<&'a str, No> {
    let text = call.query(name).or_else(|| json::text(body, name));
    text.ok_or_else(|| invalid(format!("{name} is required")))
}

fn check_region(name: &str, kind: &str, arn: &str, caller: &Caller) -> Result<(), No> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let good = matches!(parts[..], ["arn", "aws", "rolesanywhere", region, _, resource]
        if region == caller.region && resource.starts_with(kind));
    if good { Ok(()) } else { Err(invalid(format!("{name} is not of this region: {arn}"))) }
}

fn lifetime(body: &Value) -> Result<Duration, No> {
    let seconds = body.get("durationSeconds").map_or(Some(3600), Value::as_u64);
    let seconds = seconds.filter(|seconds| (900..=43200).contains(seconds));
    Ok(Duration::from_secs(seconds.ok_or_else(|| invalid("durationSeconds is not in 900..43200"))?))
}

fn role_of(arn: &str) -> Option<(String, String)> {
    match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", "aws", "iam", "", account, role] => {
            Some((account.to_owned(), role.strip_prefix("role/")?.rsplit('/').next()?.to_owned()))
        }
        _ => None,
    }
}

/// Certificate, path, time, scope and signature, in this order.
fn authenticate(state: &State, call: &Call, now: Timestamp) -> Result<Caller, No> {
    let leaf = decoded(call.header("x-amz-x509").ok_or_else(|| denied("Missing X-Amz-X509"))?)?;
    let leaf = x509::certificate(&leaf).ok_or_else(|| invalid("X-Amz-X509 is no certificate"))?;
    let algorithm = x509::algorithm(&leaf).ok_or_else(|| denied("Unsupported key"))?;
    let header = call.header("authorization").ok_or_else(|| denied("Missing Authentication Token"))?;
    let claim = Claim::read(header, algorithm).map_err(told)?;
    if let Some(why) = x509::unfit(&leaf, now) {
        return Err(denied(format!("Untrusted Signing Certificate. {why}")));
    }
    check_path(state, call, &leaf, now)?;
    let stamp = claim.check_time(call, now, state.settings.signature_window).map_err(told)?;
    if claim.service != "rolesanywhere" {
        return Err(told(Refusal::WrongService));
    }
    claim.check_signed_headers(call).map_err(told)?;
    let serial = x509::serial(&leaf);
    if claim.key_id != serial {
        return Err(denied("Credential is not the serial number of the certificate"));
    }
    let canonical = claim.canonical_request(call, &hex(&Sha256::digest(&call.body)));
    let text = format!("{algorithm}\n{stamp}\n{}\n{}", claim.scope, hex(&Sha256::digest(canonical.as_bytes())));
    let signature = unhex(claim.signature).ok_or_else(|| denied("The signature is not hexadecimal"))?;
    if !x509::signed(&leaf, text.as_bytes(), &signature) {
        return Err(denied(format!("Invalid signature. The canonical request was: {canonical}")));
    }
    Ok(Caller { serial, region: claim.region.to_owned(), subject: leaf.subject().to_string() })
}

fn check_path(
    state: &State,
    call: &Call,
    leaf: &x509_parser::certificate::X509Certificate<'_>,
    now: Timestamp,
) -> Result<(), No> {
    let chain = call.header("x-amz-x509-chain").map_or(Ok(Vec::new()), |text| text.split(',').map(decoded).collect());
    let chain: Vec<Vec<u8>> = chain?;
    if chain.len() > 5 {
        return Err(invalid("The chain is too long"));
    }
    let anchors: Vec<Vec<u8>> = state.settings.trust_anchors.iter().filter_map(|text| x509::pem(text)).collect();
    let parsed = |ders: &'_ [Vec<u8>]| ders.iter().all(|der| x509::certificate(der).is_some());
    if !parsed(&chain) {
        return Err(invalid("X-Amz-X509-Chain has something that is no certificate"));
    }
    let chain: Vec<_> = chain.iter().filter_map(|der| x509::certificate(der)).collect();
    let anchors: Vec<_> = anchors.iter().filter_map(|der| x509::certificate(der)).collect();
    if x509::trusted(leaf, &chain, &anchors, now) { Ok(()) } else { Err(denied("Untrusted Signing Certificate.")) }
}

fn told(refusal: Refusal) -> No {
    match refusal {
        Refusal::Skewed { sent, now, window } if sent < now => {
            denied(format!("Signature expired: {} is now earlier than {}", stamp(sent), stamp(now - window)))
        }
        Refusal::Skewed { sent, now, window } => {
            denied(format!("Signature not yet current: {} is still later than {}", stamp(sent), stamp(now + window)))
        }
        Refusal::Malformed(words) => denied(words),
        Refusal::NotSigned(name) => denied(format!("'{name}' must be a signed header")),
        other => denied(format!("{other:?}")),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, No> {
    STANDARD.decode(text).map_err(|_| invalid("A certificate header is no base64"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if lower && text.len().is_multiple_of(2) { text.as_bytes().chunks(2).map(pair).collect() } else { None }
}
