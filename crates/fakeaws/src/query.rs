//! The query protocol, in which STS and IAM speak: a form in, XML out, and the same words about signatures.

use std::time::Duration;

use bowline_base::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::{
    call::Call,
    cloud::State,
    keys::later,
    mint::hex,
    reply::Answer,
    sigv4::{Refusal, Signer, Verifier, stamp},
    xml::element,
};

/// Why the service says no: status, code, words.
#[derive(Debug)]
pub(crate) struct No(pub(crate) u16, pub(crate) &'static str, pub(crate) String);

impl No {
    pub(crate) fn invalid(words: impl Into<String>) -> Self {
        Self(400, "ValidationError", words.into())
    }
}

/// The answer to `action`; with `None` there is no result in it, as after `TagUser`.
pub(crate) fn answer(state: &mut State, namespace: &str, action: &str, outcome: Result<Option<String>, No>) -> Answer {
    let result = match outcome {
        Ok(result) => result,
        Err(No(status, code, words)) => return error(state, namespace, status, code, &words),
    };
    let id = state.mint.request_id();
    let result = result.map(|result| format!("<{action}Result>{result}</{action}Result>")).unwrap_or_default();
    let body = format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata>{}</ResponseMetadata></{action}Response>",
        element("RequestId", &id)
    );
    Answer::new(200, "text/xml", body, "ok").header("x-amzn-requestid", &id)
}

/// An error in this protocol's form.
pub(crate) fn error(state: &mut State, namespace: &str, status: u16, code: &str, message: &str) -> Answer {
    let id = state.mint.request_id();
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    let body = format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error>{}{}{}</Error>{}</ErrorResponse>",
        element("Type", kind),
        element("Code", code),
        element("Message", message),
        element("RequestId", &id)
    );
    Answer::new(status, "text/xml", body, code).header("x-amzn-requestid", &id)
}

/// Who sent the call, with keys that are good now; notes the use of the key.
pub(crate) fn authenticate(
    state: &mut State,
    call: &Call,
    service: &'static str,
    now: Timestamp,
) -> Result<Signer, No> {
    let verifier = Verifier { keys: &state.keys, service, now, window: state.settings.signature_window };
    let signer =
        verifier.verify(call, &hex(&Sha256::digest(&call.body))).map_err(|refused| refusal(refused, service))?;
    if !signer.key.principal.assumed && state.directory.by_id(&signer.key.principal.user_id, now).is_none() {
        return Err(unknown_token());
    }
    state.keys.used(&signer.key.id, service, &signer.region, now);
    Ok(signer)
}

/// A key that nobody knows, or that may not be used here at all.
pub(crate) fn unknown_token() -> No {
    No(403, "InvalidClientTokenId", "The security token included in the request is invalid.".to_owned())
}

pub(crate) fn null(name: &str) -> No {
    constraint("null", name, "Member must not be null")
}

pub(crate) fn constraint(value: &str, name: &str, rule: &str) -> No {
    let shown = if value == "null" { String::new() } else { format!(" '{value}'") };
    let words = format!("1 validation error detected: Value{shown} at '{name}' failed to satisfy constraint: {rule}");
    No::invalid(words)
}

/// The words for what the verifier found.
fn refusal(refusal: Refusal, service: &str) -> No {
    match refusal {
        Refusal::Missing => No(403, "MissingAuthenticationToken", "Request is missing Authentication Token".into()),
        Refusal::Malformed(words) => No(400, "IncompleteSignature", words),
        Refusal::UnknownKey(_) | Refusal::WrongToken => unknown_token(),
        Refusal::Expired => No(403, "ExpiredToken", "The security token included in the request is expired".into()),
        Refusal::Skewed { sent, now, window } => No(403, "SignatureDoesNotMatch", skewed(sent, now, window)),
        Refusal::NotSigned(name) => {
            let words = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            No(403, "SignatureDoesNotMatch", words)
        }
        Refusal::WrongService => {
            No(403, "SignatureDoesNotMatch", format!("Credential should be scoped to correct service: '{service}'. "))
        }
        Refusal::BadSignature { .. } => No(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
                .into(),
        ),
    }
}

fn skewed(sent: Timestamp, now: Timestamp, window: Duration) -> String {
    let minutes = window.as_secs() / 60;
    let back = now.checked_sub(window).unwrap_or(now);
    let (late, at, clock) = (sent < now, stamp(sent), stamp(now));
    match late {
        true => format!("Signature expired: {at} is now earlier than {} ({clock} - {minutes} min.)", stamp(back)),
        false => {
            let ahead = stamp(later(now, window));
            format!("Signature not yet current: {at} is still later than {ahead} ({clock} + {minutes} min.)")
        }
    }
}
