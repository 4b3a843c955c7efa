//! The console's sign-in: a role's session becomes a token, and the token, within 15 minutes, a way into the console.
//!
//! Refusals are pages for people, as there. A session in an address instead of a body is refused here, though AWS takes
//! it: nobody should.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Secret, Timestamp};
use bytes::Bytes;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::{
    call::{Call, Form},
    cloud::State,
    json,
    keys::{Key, later},
    reply::Answer,
    xml::escape,
};

const LIFE: Duration = Duration::from_secs(15 * 60);
const LENGTHS: std::ops::RangeInclusive<u64> = 900..=43_200;

/// Until when each token lets somebody in.
pub(crate) type Tokens = BTreeMap<String, Timestamp>;

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let answered = match call.method.as_str() {
        "POST" => token(state, &call.form(), now),
        _ => login(state, call, now),
    };
    answered.unwrap_or_else(|why| error(400, why))
}

/// A refusal: a page.
pub(crate) fn error(status: u16, why: &str) -> Answer {
    let page = format!("<!DOCTYPE html><html><body><h1>{status}</h1><p>{}</p></body></html>\n", escape(why));
    Answer::new(status, "text/html;charset=UTF-8", page, "refused")
}

fn token(state: &mut State, form: &Form, now: Timestamp) -> Result<Answer, &'static str> {
    if form.field("Action") != Some("getSigninToken") {
        return Err("unknown action");
    }
    let length = form.field("SessionDuration").map(str::parse::<u64>);
    if length.is_some_and(|length| !length.is_ok_and(|seconds| LENGTHS.contains(&seconds))) {
        return Err("bad session duration");
    }
    let key = session(state, form.field("Session").ok_or("no session")?, now)?;
    if !key.principal.assumed {
        return Err("not the session of a role");
    }
    let token = state.ledger.note(state.mint.token("VCQgs5qZZt3Q6fn8Tr5EXAMPLE"));
    state.signin.insert(token.expose().to_owned(), later(now, LIFE));
    Ok(Answer::new(200, "application/json", json!({ "SigninToken": token.expose() }).to_string(), "ok"))
}

/// The key that the session is of, if all three parts are right.
fn session<'a>(state: &'a State, text: &str, now: Timestamp) -> Result<&'a Key, &'static str> {
    let object = json::object(&Bytes::copy_from_slice(text.as_bytes())).ok_or("the session is no JSON object")?;
    let part = |name| json::text(&object, name).ok_or("the session lacks a part");
    let key = state.keys.find(part("sessionId")?, now).ok_or("unknown key")?;
    let right = |known: &Secret, given: &str| bool::from(known.expose().as_bytes().ct_eq(given.as_bytes()));
    let token = key.token.as_ref().ok_or("long-lived keys are not taken")?;
    if !right(&key.secret, part("sessionKey")?) || !right(token, part("sessionToken")?) {
        return Err("wrong key or token");
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err("the session has ended");
    }
    Ok(key)
}

fn login(state: &State, call: &Call, now: Timestamp) -> Result<Answer, &'static str> {
    if call.query("Action") != Some("login") {
        return Err("unknown action");
    }
    let end = call.query("SigninToken").and_then(|token| state.signin.get(token)).ok_or("unknown sign-in token")?;
    if *end <= now {
        return Err("the sign-in token has ended");
    }
    let destination = call.query("Destination").filter(|to| to.starts_with("https://")).ok_or("no destination")?;
    Ok(Answer::new(302, "text/html;charset=UTF-8", "", "ok").header("location", destination))
}

#[cfg(test)]
mod tests {
    use bowline_base::{Credentials, Now};
    use http::{Request, Response};

    use super::*;
    use crate::{Cloud, Settings, call::escape};

    fn at(seconds: u64) -> Now {
        let boot = Duration::from_secs(seconds);
        Now { boot, wall: "2026-11-22T02:00:00Z".parse::<Timestamp>().unwrap() + boot }
    }

    fn ask(cloud: &Cloud, seconds: u64, keys: &Credentials, more: &str) -> Response<Bytes> {
        let session = json!({
            "sessionId": keys.key_id.as_str(), "sessionKey": keys.secret_key.expose(),
            "sessionToken": keys.session_token.as_ref().map(Secret::expose),
        });
        let body = format!("Action=getSigninToken{more}&Session={}", escape(&session.to_string()));
        cloud.handle(at(seconds), Request::post("/federation").body(Bytes::from(body)).unwrap()).response
    }

    fn enter(cloud: &Cloud, seconds: u64, token: &str) -> Response<Bytes> {
        let uri = format!("/federation?Action=login&Destination=https%3A%2F%2Fx%2F&SigninToken={}", escape(token));
        cloud.handle(at(seconds), Request::get(uri).body(Bytes::new()).unwrap()).response
    }

    #[test]
    fn a_roles_session_opens_the_console_for_a_quarter_of_an_hour() {
        let cloud = Cloud::new(Settings::default(), at(0));
        let keys = cloud.add_session(at(0), "build", Duration::from_secs(3600));
        let answer = ask(&cloud, 0, &keys, "&SessionDuration=900");
        let token = json::object(answer.body()).unwrap()["SigninToken"].as_str().unwrap().to_owned();
        assert_eq!(enter(&cloud, 899, &token).headers()["location"], "https://x/");
        assert_eq!(enter(&cloud, 900, &token).status(), 400);
        assert_eq!(enter(&cloud, 0, "guess").status(), 400);
    }

    #[test]
    fn whatever_is_no_roles_session_is_refused() {
        let cloud = Cloud::new(Settings::default(), at(0));
        let good = cloud.add_session(at(0), "build", Duration::from_secs(3600));
        let another = Credentials { secret_key: Secret::new("x"), ..good.clone() };
        assert_eq!(ask(&cloud, 0, &another, "").status(), 400);
        assert_eq!(ask(&cloud, 0, &cloud.add_user("alex"), "").status(), 400);
        assert_eq!(ask(&cloud, 3600, &good, "").status(), 400, "ended");
        for length in ["899", "43201", "x"] {
            assert_eq!(ask(&cloud, 0, &good, &format!("&SessionDuration={length}")).status(), 400, "{length}");
        }
        assert_eq!(ask(&cloud, 0, &good, "").status(), 200);
    }
}
