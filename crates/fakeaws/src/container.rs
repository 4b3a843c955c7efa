//! The credential endpoint of ECS and EKS: a path, a token, one JSON object.

use bowline_base::{Timestamp, utc};
use serde_json::json;

use crate::{
    call::Call,
    cloud::State,
    keys::{Principal, later, whole_second},
    reply::Answer,
};

/// Answers a call of a container.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    if call.method != http::Method::GET {
        return error(405, "MethodNotAllowed", "only GET is known here");
    }
    let wanted = state.settings.container_token.as_ref().map(|token| token.expose().to_owned());
    if wanted.is_some() && call.header("authorization") != wanted.as_deref() {
        return error(401, "Unauthorized", "the authorization token is missing or not the one that is expected");
    }
    let role_id = state.mint.key_id("AROA");
    let principal = Principal::role_session(&state.home_account(), &state.settings.task_role.clone(), "task", &role_id);
    let (account, arn) = (principal.account.clone(), principal.arn.clone());
    let end = whole_second(later(now, state.settings.role_lifetime));
    let key = state.issue(principal, end, now);
    let body = json!({
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret.expose(),
        "Token": key.token.as_ref().map(bowline_base::Secret::expose),
        "Expiration": utc(end),
        "AccountId": account,
        "RoleArn": arn,
    });
    Answer::new(200, "application/json", body.to_string(), "ok")
}

/// An error in this endpoint's form.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(status, "application/json", json!({"Code": code, "Message": message}).to_string(), code)
}
