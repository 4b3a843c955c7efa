//! STS: the query protocol in, XML out. Four calls, each as strict as AWS about what it takes.

use std::time::Duration;

use bowline_base::{Timestamp, utc};

use crate::{
    call::{Call, Form},
    cloud::State,
    iam::permission::{Wish, permit},
    keys::{Key, Principal, later, whole_second},
    mfa,
    policy::Context,
    query::{self, No, authenticate, constraint, null},
    reply::Answer,
    xml::element,
};

pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const HOUR: u64 = 3600;

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let form = call.form();
    let action = form.field("Action").unwrap_or_default().to_owned();
    let outcome = act(state, call, &form, &action, now).map(Some);
    query::answer(state, NAMESPACE, &action, outcome)
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
            let signer = authenticate(state, call, "sts", now)?;
            assume(state, form, &signer.key, now)
        }
        "GetCallerIdentity" => Ok(identity(&authenticate(state, call, "sts", now)?.key.principal)),
        "GetSessionToken" => {
            let signer = authenticate(state, call, "sts", now)?;
            session_token(state, form, &signer.key, now)
        }
        _ => Err(No(400, "InvalidAction", format!("Could not find operation {action} for version 2011-06-15"))),
    }
}

fn identity(principal: &Principal) -> String {
    [element("Arn", &principal.arn), element("UserId", &principal.user_id), element("Account", &principal.account)]
        .concat()
}

/// A role and the name of the session that is asked for.
struct Asked {
    account: String,
    arn: String,
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
    let text = str::to_owned;
    Ok(Asked { account: text(account), arn: text(arn), role: text(role), session: text(session) })
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
    may_assume(state, form, &asked, &caller.principal, now)?;
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
    let source = form.field("SourceIdentity").or(caller.principal.source_identity.as_deref()).map(str::to_owned);
    let shown = source.as_ref().map(|name| element("SourceIdentity", name)).unwrap_or_default();
    Ok(format!("{}{shown}", assumed(state, &asked, source, lifetime, now)))
}

/// What the policies of a user say to it. A source identity, once set, cannot become another.
fn may_assume(state: &State, form: &Form, asked: &Asked, caller: &Principal, now: Timestamp) -> Result<(), No> {
    let context =
        ["ExternalId", "RoleSessionName", "SourceIdentity"].into_iter().fold(Context::default(), |context, name| {
            match form.field(name) {
                Some(value) => context.with(&format!("sts:{name}"), value),
                None => context,
            }
        });
    let wish = |action| Wish { action, resource: asked.arn.clone(), context: context.clone() };
    permit(state, caller, wish("sts:AssumeRole"), now)?;
    if form.field("Tags.member.1.Key").is_some() {
        permit(state, caller, wish("sts:TagSession"), now)?;
    }
    let Some(source) = form.field("SourceIdentity") else { return Ok(()) };
    if caller.source_identity.as_deref().is_some_and(|set| set != source) {
        let words = "The source identity of the session cannot be changed".to_owned();
        return Err(No(403, "AccessDenied", words));
    }
    permit(state, caller, wish("sts:SetSourceIdentity"), now)
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
    Ok(format!("{subject}{audience}{}", assumed(state, &asked, None, lifetime, now)))
}

fn assumed(
    state: &mut State,
    asked: &Asked,
    source_identity: Option<String>,
    lifetime: Duration,
    now: Timestamp,
) -> String {
    let role_id = state.mint.key_id("AROA");
    let session = Principal::role_session(&asked.account, &asked.role, &asked.session, &role_id);
    let principal = Principal { source_identity, ..session };
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
    let mfa = mfa::proven(&mut state.spent_codes, &state.settings, form)
        .map_err(|words| No(403, "AccessDenied", words.to_owned()))?;
    Ok(issue(state, Principal { mfa: Some(mfa), ..caller.principal.clone() }, lifetime, now))
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
