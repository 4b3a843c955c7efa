//! CloudWatch Logs: JSON 1.1, four calls, with AWS's limits on a batch.

use std::collections::BTreeMap;

use bowline_base::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    call::Call,
    cloud::State,
    json,
    mint::hex,
    reply::Answer,
    sigv4::{Refusal, Verifier},
};

/// Groups, their streams, and the events in each: time in milliseconds, and text.
pub(crate) type Groups = BTreeMap<String, BTreeMap<String, Vec<(i64, String)>>>;

const MOST_EVENTS: usize = 10_000;
const MOST_BYTES: usize = 1_048_576;
const OVERHEAD: usize = 26;
const DAY: i64 = 86_400_000;

/// Why the service says no: status, code, words.
struct No(u16, &'static str, String);

impl No {
    fn parameter(words: &str) -> Self {
        Self(400, "InvalidParameterException", words.to_owned())
    }
}

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    match authenticate(state, call, now).and_then(|()| act(state, call, now)) {
        Ok(value) => {
            let body = if value.is_null() { String::new() } else { value.to_string() };
            Answer::new(200, "application/x-amz-json-1.1", body, "ok")
                .header("x-amzn-requestid", &state.mint.request_id())
        }
        Err(No(status, code, words)) => error(state, status, code, &words),
    }
}

/// An error in this service's form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "__type": code, "message": message }).to_string();
    Answer::new(status, "application/x-amz-json-1.1", body, code).header("x-amzn-requestid", &state.mint.request_id())
}

fn authenticate(state: &State, call: &Call, now: Timestamp) -> Result<(), No> {
    let verifier = Verifier { keys: &state.keys, service: "logs", now, window: state.settings.signature_window };
    let no = |code, words: &str| No(400, code, words.to_owned());
    verifier.verify(call, &hex(&Sha256::digest(&call.body))).map(drop).map_err(|refusal| match refusal {
        Refusal::Missing => no("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Refusal::UnknownKey(_) | Refusal::WrongToken => {
            no("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        Refusal::Expired => no("ExpiredTokenException", "The security token included in the request is expired"),
        Refusal::Malformed(words) => No(400, "IncompleteSignatureException", words),
        Refusal::Skewed { .. } | Refusal::NotSigned(_) | Refusal::WrongService | Refusal::BadSignature { .. } => {
            no("InvalidSignatureException", "The request signature we calculated does not match the one you provided.")
        }
    })
}

fn act(state: &mut State, call: &Call, now: Timestamp) -> Result<Value, No> {
    let body = json::object(&call.body).ok_or_else(|| No(400, "SerializationException", "no JSON".to_owned()))?;
    let name = |field| json::text(&body, field).ok_or_else(|| No::parameter(&format!("{field} is missing")));
    let group = name("logGroupName")?;
    match call.header("x-amz-target").and_then(|target| target.strip_prefix("Logs_20140328.")) {
        Some("CreateLogGroup") => create_group(&mut state.logs, group),
        Some("CreateLogStream") => create_stream(&mut state.logs, group, name("logStreamName")?),
        Some("PutLogEvents") => put(stream(&mut state.logs, group, name("logStreamName")?)?, &body, now),
        Some("GetLogEvents") => Ok(events(stream(&mut state.logs, group, name("logStreamName")?)?, &body)),
        _ => Err(No(400, "UnknownOperationException", String::new())),
    }
}

fn create_group(groups: &mut Groups, group: &str) -> Result<Value, No> {
    if groups.contains_key(group) {
        return Err(No(400, "ResourceAlreadyExistsException", "The specified log group already exists".to_owned()));
    }
    groups.insert(group.to_owned(), BTreeMap::new());
    Ok(Value::Null)
}

fn create_stream(groups: &mut Groups, group: &str, name: &str) -> Result<Value, No> {
    let streams = groups.get_mut(group).ok_or_else(|| missing("group"))?;
    if streams.contains_key(name) {
        return Err(No(400, "ResourceAlreadyExistsException", "The specified log stream already exists".to_owned()));
    }
    streams.insert(name.to_owned(), Vec::new());
    Ok(Value::Null)
}

fn stream<'a>(groups: &'a mut Groups, group: &str, name: &str) -> Result<&'a mut Vec<(i64, String)>, No> {
    groups.get_mut(group).ok_or_else(|| missing("group"))?.get_mut(name).ok_or_else(|| missing("stream"))
}

fn missing(what: &str) -> No {
    No(400, "ResourceNotFoundException", format!("The specified log {what} does not exist."))
}

fn put(stream: &mut Vec<(i64, String)>, body: &Value, now: Timestamp) -> Result<Value, No> {
    let listed = body["logEvents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let event = |event: &Value| Some((event["timestamp"].as_i64()?, event["message"].as_str()?.to_owned()));
    let events: Option<Vec<(i64, String)>> = listed.iter().map(event).collect();
    let events = events.filter(|events| !events.is_empty()).ok_or_else(|| No::parameter("logEvents"))?;
    let bytes: usize = events.iter().map(|(_, text)| text.len() + OVERHEAD).sum();
    if events.len() > MOST_EVENTS || bytes > MOST_BYTES {
        return Err(No::parameter("Upload too large"));
    }
    if !events.is_sorted_by_key(|(at, _)| *at) {
        return Err(No::parameter("Log events in a single PutLogEvents request must be in chronological order."));
    }
    if events.last().zip(events.first()).is_some_and(|(last, first)| last.0 - first.0 > DAY) {
        return Err(No::parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    let (oldest, newest) = (now.as_millisecond() - 14 * DAY, now.as_millisecond() + DAY / 12);
    let old = events.iter().filter(|(at, _)| *at < oldest).count();
    let good = events.iter().filter(|(at, _)| *at <= newest).count();
    let mut info = serde_json::Map::new();
    if old > 0 {
        info.insert("tooOldLogEventEndIndex".to_owned(), old.into());
    }
    if good < events.len() {
        info.insert("tooNewLogEventStartIndex".to_owned(), good.into());
    }
    stream.extend(events.into_iter().take(good).skip(old));
    let token = json!({ "nextSequenceToken": format!("{:056}", stream.len()) });
    Ok(if info.is_empty() { token } else { json!({ "rejectedLogEventsInfo": info }) })
}

/// The newest ones, or the oldest with `startFromHead`, in the order of their times.
fn events(stream: &[(i64, String)], body: &Value) -> Value {
    let limit = body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST_EVENTS);
    let skipped = if body["startFromHead"] == true { 0 } else { stream.len().saturating_sub(limit) };
    let shown: Vec<Value> =
        stream.iter().skip(skipped).take(limit).map(|(at, text)| json!({ "timestamp": at, "message": text })).collect();
    json!({ "events": shown, "nextForwardToken": "f/1", "nextBackwardToken": "b/1" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_at(groups: &mut Groups, times: &[i64]) -> Result<Value, &'static str> {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let event = |at: &i64| json!({ "timestamp": now.as_millisecond() + at, "message": at.to_string() });
        let body = json!({ "logEvents": times.iter().map(event).collect::<Vec<_>>() });
        let stream = stream(groups, "g", "s").map_err(|no| no.1)?;
        put(stream, &body, now).map_err(|no| no.1)
    }

    #[test]
    fn events_stay_in_order_and_the_limits_are_those_of_aws() {
        let mut groups = Groups::new();
        assert_eq!(put_at(&mut groups, &[0]), Err("ResourceNotFoundException"));
        assert_eq!(create_stream(&mut groups, "g", "s").map_err(|no| no.1), Err("ResourceNotFoundException"));
        assert!(create_group(&mut groups, "g").is_ok() && create_stream(&mut groups, "g", "s").is_ok());
        assert_eq!(create_stream(&mut groups, "g", "s").map_err(|no| no.1), Err("ResourceAlreadyExistsException"));
        assert!(put_at(&mut groups, &[0, 0, 5]).is_ok());
        for bad in [&[5, 4][..], &[0, DAY + 1], &[], &vec![0; MOST_EVENTS + 1]] {
            assert_eq!(put_at(&mut groups, bad), Err("InvalidParameterException"), "{} events", bad.len());
        }
        let info = |answer: Result<Value, _>| answer.unwrap()["rejectedLogEventsInfo"].clone();
        assert_eq!(info(put_at(&mut groups, &[-15 * DAY])), json!({ "tooOldLogEventEndIndex": 1 }));
        assert_eq!(info(put_at(&mut groups, &[DAY / 8])), json!({ "tooNewLogEventStartIndex": 0 }));
        let last = events(&groups["g"]["s"], &json!({ "limit": 1 }));
        assert_eq!((last["events"][0]["message"].as_str(), groups["g"]["s"].len()), (Some("5"), 3));
    }
}
