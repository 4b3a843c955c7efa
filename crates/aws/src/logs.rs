//! CloudWatch Logs: a stream, lines into it, and the last line that is there. JSON 1.1 both ways.

use bowline_base::{Identity, Timestamp};
use serde_json::{Value, json};

use crate::{Aws, Error, Region, Service, json::Object, json11::Json11, request::Repeat};

const LOGS: Json11 = Json11 { service: Service::Logs, prefix: "Logs_20140328", answer: "a CloudWatch Logs answer" };

/// A stream of a log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The group; it has to be there.
    pub group: String,
    /// The stream in it.
    pub name: String,
}

/// One line with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Sent in whole milliseconds.
    pub at: Timestamp,
    /// The text.
    pub message: String,
}

/// Makes `stream`; one that is there already is as good.
///
/// # Errors
/// [`Error`]; `ResourceNotFoundException` when the group is not there.
pub async fn create_log_stream(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    stream: &Stream,
) -> Result<(), Error> {
    let question = json!({ "logGroupName": stream.group, "logStreamName": stream.name });
    match LOGS.call(aws, region, identity, "CreateLogStream", &question, Repeat::Freely).await {
        Err(error) if error.code() == Some("ResourceAlreadyExistsException") => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Adds `events`, which are in the order of their times, at most 10,000 and 1 MiB (each with 26 bytes more) and within
/// a day. Never repeated by itself: after a lost answer, [`last_event`] tells what arrived. Gives the number of events that
/// AWS refused for being too old or too new.
///
/// # Errors
/// [`Error`]; `ResourceNotFoundException` when the stream is not there.
pub async fn put_log_events(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    stream: &Stream,
    events: &[LogEvent],
) -> Result<usize, Error> {
    let listed: Vec<Value> = events
        .iter()
        .map(|event| json!({ "timestamp": event.at.as_millisecond(), "message": event.message }))
        .collect();
    let question = json!({ "logGroupName": stream.group, "logStreamName": stream.name, "logEvents": listed });
    let (_, mut answer) = LOGS.call(aws, region, identity, "PutLogEvents", &question, Repeat::Never).await?;
    Ok(answer.object("rejectedLogEventsInfo").map_or(0, |rejected| refused(&rejected, events.len())))
}

/// The text of the newest event in `stream`; `None` when there is none.
///
/// # Errors
/// [`Error`]; `ResourceNotFoundException` when the stream is not there.
pub async fn last_event(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    stream: &Stream,
) -> Result<Option<String>, Error> {
    let question =
        json!({ "logGroupName": stream.group, "logStreamName": stream.name, "limit": 1, "startFromHead": false });
    let (answer, mut object) = LOGS.call(aws, region, identity, "GetLogEvents", &question, Repeat::Freely).await?;
    let events = object.objects("events").ok_or_else(|| answer.nonsense("a list of events"))?;
    Ok(events.into_iter().last().and_then(|mut event| event.text("message")))
}

/// Old and expired events are at the beginning, up to an index; too new ones are at the end, from one.
fn refused(info: &Object, sent: usize) -> usize {
    let index = |name| info.integer(name).and_then(|index| usize::try_from(index).ok()).map(|index| index.min(sent));
    let old = index("tooOldLogEventEndIndex").max(index("expiredLogEventEndIndex")).unwrap_or(0);
    old + index("tooNewLogEventStartIndex").map_or(0, |start| sent - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_events_are_counted_from_both_ends() {
        let count = |text: &str| refused(&Object::parse(text.as_bytes()).unwrap(), 10);
        assert_eq!(count("{}"), 0);
        assert_eq!(count(r#"{"tooOldLogEventEndIndex":3,"expiredLogEventEndIndex":2}"#), 3);
        assert_eq!(count(r#"{"tooNewLogEventStartIndex":8}"#), 2);
    }
}
