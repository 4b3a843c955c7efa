//! STS: the query protocol in, XML out. Four calls, each as strict as AWS about what it takes.

use std::time::Duration;

use bowline_base::{Timestamp, utc};
use sha2::{Digest as _, Sha256};

use crate::{
    call::{Call, Form},
    cloud::State,
    keys::{Key, Principal, later, whole_second},
    mfa,
    mint::hex,
    reply::Answer,
    sigv4::{Refusal, Signer, Verifier, stamp},
    xml::element,
};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const HOUR: u64 = 3600;

/// Why STS says no: status, code, words.
struct No(u16, &'static str, String);

impl No {
    fn invalid(words: impl Into<String>) -> Self {
        Self(400, "ValidationError", words.into())
    }
}

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let form = call.form();
    let action = form.field("Action").unwrap_or_default().to_owned();
    match act(state, call, &form, &action, now) {
        Ok(result) => {
            let id = state.mint.request_id();
            let body = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata>{}</ResponseMetadata></{action}Response>",
                element("RequestId", &id)
            );
            Answer::new(200, "text/xml", body, "ok").header("x-amzn-requestid", &id)
        }
        Err(No(status, code, words)) => error(state, status, code, &words),
    }
}

/// An error in this service's form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let id = state.mint.request_id();
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>{}{}{}</Error>{}</ErrorResponse>",
        element("Type", kind),
        element("Code", code),
        element("Message", message),
        element("RequestId", &id)
    );
    Answer::new(status, "text/xml", body, code).header("x-amzn-requestid", &id)
}

fn act(state: &mut State, call: &Call, form: &Form, action: &str, now: Timestamp) -> Result<String, No> {
    if form.field("Version") != Some("2011-06-15") {
        return Err(No(
            400,
            "InvalidAction",
            format!("Could not find operation {action} for version NO_VERSION_SPECIFIED"),
        ));
    }
    match action {
        "AssumeRoleWithWebIdentity" => assume_with_web_identity(state, form, now),
        "AssumeRole" => {
            let signer = authenticate(state, call, now)?;
            assume(state, form, &signer.key, now)
        }
        "GetCallerIdentity" => Ok(identity(&authenticate(state, call, now)?.key.principal)),
        "GetSessionToken" => {
            let signer = authenticate(state, call, now)?;
            session_token(state, form, &signer.key, now)
        }
        _ => Err(No(400, "InvalidAction", format!("Could not find operation {action} for version 2011-06-15"))),
    }
}

fn authenticate(state: &State, call: &Call, now: Timestamp) -> Result<Signer, No> {
    let verifier = Verifier { keys: &state.keys, service: "sts", now, window: state.settings.signature_window };
    verifier.verify(call, &hex(&Sha256::digest(&call.body))).map_err(refusal)
}

/// STS's words for what the verifier found.
fn refusal(refusal: Refusal) -> No {
    let unknown = "The security token included in the request is invalid.";
    match refusal {
        Refusal::Missing => No(403, "MissingAuthenticationToken", "Request is missing Authentication Token".into()),
        Refusal::Malformed(words) => No(400, "IncompleteSignature", words),
        Refusal::UnknownKey(_) | Refusal::WrongToken => No(403, "InvalidClientTokenId", unknown.into()),
        Refusal::Expired => No(403, "ExpiredToken", "The security token included in the request is expired".into()),
        Refusal::Skewed { sent, now, window } => No(403, "SignatureDoesNotMatch", skewed(sent, now, window)),
        Refusal::NotSigned(name) => {
            let words = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            No(403, "SignatureDoesNotMatch", words)
        }
        Refusal::WrongService => {
            No(403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'. ".into())
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

fn identity(principal: &Principal) -> String {
    [element("Arn", &principal.arn), element("UserId", &principal.user_id), element("Account", &principal.account)]
        .concat()
}

/// A role and the name of the session that is asked for.
struct Asked {
    account: String,
    role: String,
    session: String,
}

fn asked(form: &Form) -> Result<Asked, No> {
    let arn = form.field("RoleArn").ok_or_else(|| null("roleArn"))?;
    let session = form.field("RoleSessionName").ok_or_else(|| null("roleSessionName"))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&session.len()) || !session.chars().all(allowed) {
        return Err(constraint(
            session,
            "roleSessionName",
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        ));
    }
    let ["arn", "aws", "iam", "", account, resource] = arn.splitn(6, ':').collect::<Vec<_>>()[..] else {
        return Err(No::invalid(format!("{arn} is invalid")));
    };
    let role = resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if role.is_empty() || account.len() != 12 {
        return Err(No::invalid(format!("{arn} is invalid")));
    }
    Ok(Asked { account: account.to_owned(), role: role.to_owned(), session: session.to_owned() })
}

fn null(name: &str) -> No {
    constraint("null", name, "Member must not be null")
}

fn constraint(value: &str, name: &str, rule: &str) -> No {
    let shown = if value == "null" { String::new() } else { format!(" '{value}'") };
    let words = format!("1 validation error detected: Value{shown} at '{name}' failed to satisfy constraint: {rule}");
    No::invalid(words)
}

fn duration(form: &Form, fallback: u64, longest: u64) -> Result<Duration, No> {
    let Some(text) = form.field("DurationSeconds") else { return Ok(Duration::from_secs(fallback)) };
    let seconds: u64 = text.parse().map_err(|_| No(400, "MalformedInput", "Invalid Argument".to_owned()))?;
    match seconds {
        0..900 => Err(constraint(text, "durationSeconds", "Member must have value greater than or equal to 900")),
        _ if seconds > longest => {
            let rule = format!("Member must have value less than or equal to {longest}");
            Err(constraint(text, "durationSeconds", &rule))
        }
        _ => Ok(Duration::from_secs(seconds)),
    }
}

fn assume(state: &mut State, form: &Form, caller: &Key, now: Timestamp) -> Result<String, No> {
    let asked = asked(form)?;
    let lifetime = duration(form, HOUR, 12 * HOUR)?;
    if caller.principal.assumed && lifetime.as_secs() > HOUR {
        return Err(No::invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    let proven = mfa::proven(&mut state.spent_codes, &state.settings, form)
        .map_err(|words| No(403, "AccessDenied", words.to_owned()))?;
    let wants_proof = state.settings.mfa_roles.contains(&asked.role);
    if state.settings.denied_roles.contains(&asked.role) || (wants_proof && !proven) {
        let words = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::{}:role/{}",
            caller.principal.arn, asked.account, asked.role
        );
        return Err(No(403, "AccessDenied", words));
    }
    Ok(assumed(state, &asked, lifetime, now))
}

fn assume_with_web_identity(state: &mut State, form: &Form, now: Timestamp) -> Result<String, No> {
    let asked = asked(form)?;
    let token = form.field("WebIdentityToken").ok_or_else(|| null("webIdentityToken"))?;
    let lifetime = duration(form, HOUR, 12 * HOUR)?;
    if !state.settings.web_identity_tokens.iter().any(|good| good.expose() == token) {
        let words = "The provided token could not be verified".to_owned();
        return Err(No(400, "InvalidIdentityToken", words));
    }
    if state.settings.denied_roles.contains(&asked.role) {
        let words = "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned();
        return Err(No(403, "AccessDenied", words));
    }
    let subject = element("SubjectFromWebIdentityToken", "system:serviceaccount:default:build");
    let audience = element("Audience", "sts.amazonaws.com");
    Ok(format!("{subject}{audience}{}", assumed(state, &asked, lifetime, now)))
}

fn assumed(state: &mut State, asked: &Asked, lifetime: Duration, now: Timestamp) -> String {
    let role_id = state.mint.key_id("AROA");
    let principal = Principal::role_session(&asked.account, &asked.role, &asked.session, &role_id);
    let user = format!("{}{}", element("Arn", &principal.arn), element("AssumedRoleId", &principal.user_id));
    let credentials = issue(state, principal, lifetime, now);
    format!("<AssumedRoleUser>{user}</AssumedRoleUser>{credentials}")
}

fn session_token(state: &mut State, form: &Form, caller: &Key, now: Timestamp) -> Result<String, No> {
    if caller.token.is_some() {
        let words = "Cannot call GetSessionToken with session credentials".to_owned();
        return Err(No(403, "AccessDenied", words));
    }
    let lifetime = duration(form, 12 * HOUR, 36 * HOUR)?;
    mfa::proven(&mut state.spent_codes, &state.settings, form)
        .map_err(|words| No(403, "AccessDenied", words.to_owned()))?;
    Ok(issue(state, caller.principal.clone(), lifetime, now))
}

fn issue(state: &mut State, principal: Principal, lifetime: Duration, now: Timestamp) -> String {
    let lifetime = state.settings.sts_lifetime.unwrap_or(lifetime);
    let end = whole_second(later(now, lifetime));
    let key = state.issue(principal, end, now);
    let token = key.token.as_ref().map(|token| element("SessionToken", token.expose())).unwrap_or_default();
    format!(
        "<Credentials>{}{}{token}{}</Credentials>",
        element("AccessKeyId", &key.id),
        element("SecretAccessKey", key.secret.expose()),
        element("Expiration", &utc(end))
    )
}
