//! One object: conditions, ranges, reading, storing, deleting.

use bowline_base::Timestamp;
use bytes::Bytes;
use http::Method;

use crate::{Bucket, buckets::Facts, call::Call, reply::Answer, s3_error::S3Error};

/// What part of an object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// First and last byte.
    Bytes(u64, u64),
    Unsatisfiable,
}

/// GET or HEAD of an object.
pub(crate) fn read(bucket: &mut Bucket, key: &str, call: &Call) -> Result<Answer, S3Error> {
    let facts = bucket.facts(key).ok_or_else(|| missing(bucket, key))?;
    check_conditions(&facts, call)?;
    let (status, first, last) = match part(call.header("range"), facts.size) {
        Part::Whole => (200, 0, facts.size),
        Part::Bytes(first, last) => (206, first, last + 1),
        Part::Unsatisfiable => {
            return Err(S3Error::new(416, "InvalidRange", "The requested range is not satisfiable")
                .with("RangeRequested", call.header("range").unwrap_or_default())
                .with("ActualObjectSize", facts.size.to_string())
                .header("content-range", format!("bytes */{}", facts.size)));
        }
    };
    let body = match call.method {
        Method::HEAD => Bytes::new(),
        _ => slice(&bucket.body(key).ok_or_else(|| missing(bucket, key))?, first, last),
    };
    let mut answer = Answer::new(status, "binary/octet-stream", body, status.to_string());
    for (name, value) in &facts.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            answer.response.headers_mut().insert(name, value);
        }
    }
    if status == 206 {
        answer = answer.header("content-range", &format!("bytes {first}-{}/{}", last - 1, facts.size));
    }
    Ok(answer
        .header("content-length", &(last - first).to_string())
        .header("accept-ranges", "bytes")
        .header("etag", &facts.etag)
        .header("last-modified", &httpdate::fmt_http_date(facts.modified.into())))
}

/// PUT of an object. `If-None-Match: *` refuses to replace one.
pub(crate) fn put(bucket: &mut Bucket, key: &str, call: &Call, body: Bytes, now: Timestamp) -> Result<Answer, S3Error> {
    if call.query("uploadId").is_some() || call.header("x-amz-copy-source").is_some() {
        return Err(S3Error::new(501, "NotImplemented", "Multipart uploads and copies are not served here"));
    }
    if call.header("if-none-match") == Some("*") && bucket.facts(key).is_some() {
        return Err(precondition("If-None-Match"));
    }
    let kept = |name: &str| name == "content-type" || name == "cache-control" || name.starts_with("x-amz-meta-");
    let headers = call.headers.iter().filter(|(name, _)| kept(name.as_str()));
    let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    if !bucket.put(key, body, headers.collect(), now) {
        return Err(S3Error::denied());
    }
    let etag = bucket.facts(key).map(|facts| facts.etag).unwrap_or_default();
    Ok(Answer::new(200, "application/xml", "", "200").header("etag", &etag))
}

/// DELETE of an object: no error if it was not there.
pub(crate) fn delete(bucket: &mut Bucket, key: &str) -> Result<Answer, S3Error> {
    if bucket.delete(key) { Ok(Answer::new(204, "application/xml", "", "204")) } else { Err(S3Error::denied()) }
}

/// Who may not list may not learn that a key is missing.
fn missing(bucket: &Bucket, key: &str) -> S3Error {
    match bucket.list_allowed {
        true => S3Error::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key),
        false => S3Error::denied(),
    }
}

fn precondition(name: &str) -> S3Error {
    let words = "At least one of the pre-conditions you specified did not hold";
    S3Error::new(412, "PreconditionFailed", words).with("Condition", name)
}

/// RFC 9110 section 13.2.2: a tag that was compared makes the date beside it irrelevant.
fn check_conditions(facts: &Facts, call: &Call) -> Result<(), S3Error> {
    let date = |name| call.header(name).and_then(|text| httpdate::parse_http_date(text).ok());
    let modified = facts.modified.into();
    match (call.header("if-match"), date("if-unmodified-since")) {
        (Some(tags), _) if !tags_match(tags, &facts.etag) => return Err(precondition("If-Match")),
        (None, Some(since)) if modified > since => return Err(precondition("If-Unmodified-Since")),
        _ => {}
    }
    let unchanged = match (call.header("if-none-match"), date("if-modified-since")) {
        (Some(tags), _) => tags_match(tags, &facts.etag),
        (None, Some(since)) => modified <= since,
        (None, None) => false,
    };
    if unchanged {
        let last_modified = httpdate::fmt_http_date(modified);
        let error = S3Error::new(304, "NotModified", "Not Modified").header("etag", facts.etag.clone());
        return Err(error.header("last-modified", last_modified));
    }
    Ok(())
}

fn tags_match(tags: &str, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    tags.trim() == "*" || tags.split(',').any(|tag| bare(tag) == bare(etag))
}

/// A single range; several, or text that is no range, ask for the whole, as in S3.
fn part(header: Option<&str>, size: u64) -> Part {
    let Some(range) = header.and_then(|text| text.strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = range.split_once('-') else { return Part::Whole };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if last < first => Part::Whole,
        (Ok(first), _) if first >= size && (last.is_empty() || last.parse::<u64>().is_ok()) => Part::Unsatisfiable,
        (Ok(first), Ok(last)) => Part::Bytes(first, last.min(size - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Part::Bytes(first, size - 1),
        (Err(_), Ok(tail)) if first.is_empty() && (tail == 0 || size == 0) => Part::Unsatisfiable,
        (Err(_), Ok(tail)) if first.is_empty() => Part::Bytes(size.saturating_sub(tail), size - 1),
        _ => Part::Whole,
    }
}

/// A file may have shrunk since its size was read: then less is given than was promised, and the client notices.
fn slice(body: &Bytes, first: u64, last: u64) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
    body.slice(place(first)..place(last).max(place(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_s3_reads_them() {
        let cases = [
            ("bytes=0-4", Part::Bytes(0, 4)),
            ("bytes=5-", Part::Bytes(5, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-30", Part::Bytes(0, 9)),
            ("bytes=8-99", Part::Bytes(8, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-12", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=4-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=x-", Part::Whole),
        ];
        for (text, expected) in cases {
            assert_eq!(part(Some(text), 10), expected, "{text}");
        }
        assert_eq!((part(None, 10), part(Some("bytes=-1"), 0)), (Part::Whole, Part::Unsatisfiable));
    }
}
