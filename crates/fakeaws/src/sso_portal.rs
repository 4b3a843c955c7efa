//! The portal of IAM Identity Center: accounts, roles, and credentials for a bearer token.

use bowline_base::Timestamp;
use serde_json::{Value, json};

use crate::{
    call::Call,
    cloud::State,
    keys::{Principal, later, whole_second},
    reply::Answer,
};

/// Why the portal says no: status, exception, words.
struct No(u16, &'static str, &'static str);

const NO_SESSION: No = No(401, "UnauthorizedException", "Session token not found or invalid");
const NO_ACCESS: No = No(403, "ForbiddenException", "No access");

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let result = match call.header("x-amz-sso_bearer_token") {
        Some(token) if state.oidc.admits(token, now) => route(state, call, token, now),
        _ => Err(NO_SESSION),
    };
    match result {
        Ok(body) => Answer::new(200, "application/json", body.to_string(), "ok"),
        Err(No(status, code, words)) => error(state, status, code, words),
    }
}

/// An error in this service's form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"message": message, "__type": format!("com.amazonaws.switchboard.portal#{code}")}).to_string();
    let kind = format!("{code}:http://internal.amazon.com/coral/com.amazonaws.switchboard.portal/");
    let answer = Answer::new(status, "application/json", body, code).header("x-amzn-errortype", &kind);
    answer.header("x-amzn-requestid", &state.mint.request_id())
}

fn route(state: &mut State, call: &Call, token: &str, now: Timestamp) -> Result<Value, No> {
    match call.path.as_str() {
        "/federation/credentials" => role_credentials(state, call, now),
        "/assignment/accounts" => accounts(state, call),
        "/assignment/roles" => roles(state, call),
        _ => {
            state.oidc.log_out(token);
            Ok(json!({}))
        }
    }
}

fn role_credentials(state: &mut State, call: &Call, now: Timestamp) -> Result<Value, No> {
    let missing = |what| No(400, "InvalidRequestException", what);
    let role = call.query("role_name").ok_or(missing("role_name is required"))?;
    let id = call.query("account_id").ok_or(missing("account_id is required"))?;
    let assigned = |account: &crate::Account| account.id == id && account.roles.iter().any(|name| name == role);
    if !state.settings.accounts.iter().any(assigned) {
        return Err(NO_ACCESS);
    }
    let reserved = format!("AWSReservedSSO_{role}_0123456789abcdef");
    let role_id = state.mint.key_id("AROA");
    let principal = Principal::role_session(id, &reserved, &state.sso_user().0, &role_id);
    let milliseconds = whole_second(later(now, state.settings.role_lifetime)).as_millisecond();
    let end = Timestamp::from_millisecond(milliseconds).unwrap_or(now);
    let key = state.issue(principal, end, now);
    Ok(json!({"roleCredentials": {
        "accessKeyId": key.id,
        "secretAccessKey": key.secret.expose(),
        "sessionToken": key.token.as_ref().map(bowline_base::Secret::expose),
        "expiration": milliseconds,
    }}))
}

fn accounts(state: &State, call: &Call) -> Result<Value, No> {
    let all: Vec<Value> = state
        .settings
        .accounts
        .iter()
        .map(|account| json!({"accountId": account.id, "accountName": account.name, "emailAddress": account.email}))
        .collect();
    page(call, "accountList", &all)
}

fn roles(state: &State, call: &Call) -> Result<Value, No> {
    let id = call.query("account_id").ok_or(No(400, "InvalidRequestException", "account_id is required"))?;
    let account = state.settings.accounts.iter().find(|account| account.id == id).ok_or(NO_ACCESS)?;
    let all: Vec<Value> = account.roles.iter().map(|role| json!({"roleName": role, "accountId": account.id})).collect();
    page(call, "roleList", &all)
}

/// One page of a list. The token is the number of the next item, in words that no client should read.
fn page(call: &Call, name: &str, all: &[Value]) -> Result<Value, No> {
    let size =
        call.query("max_result").map_or(Some(100), |size| size.parse().ok()).filter(|size| (1..=100).contains(size));
    let size = size.ok_or(No(400, "InvalidRequestException", "max_result is not between 1 and 100"))?;
    let start = match call.query("next_token") {
        None => Some(0),
        Some(token) => token.strip_prefix("fake-page-").and_then(|number| number.parse::<usize>().ok()),
    };
    let start = start.ok_or(No(400, "InvalidRequestException", "next_token is not ours"))?;
    let items: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let next = start + items.len();
    let token = (next < all.len()).then(|| format!("fake-page-{next}"));
    Ok(json!({name: items, "nextToken": token}))
}
