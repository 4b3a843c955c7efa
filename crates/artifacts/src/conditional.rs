//! Conditions and ranges of a request against one known file: RFC 9110 sections 13 and 14, decided without a body.

use std::{ops::Range, time::SystemTime};

use http::{HeaderMap, HeaderName, header};

/// Without any of these there is nothing to decide. `If-Range` says nothing without `Range`.
const CONDITIONS: [HeaderName; 5] =
    [header::IF_MATCH, header::IF_UNMODIFIED_SINCE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE];

/// What the answer is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes, never empty.
    Part(Range<u64>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// What conditions are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) etag: Option<&'a str>,
    pub(crate) last_modified: Option<&'a str>,
    pub(crate) length: u64,
}

/// Reads the conditions of `request` in the order of RFC 9110, 13.2.2.
pub(crate) fn portion(request: &HeaderMap, facts: Facts<'_>) -> Portion {
    if CONDITIONS.iter().all(|name| !request.contains_key(name)) {
        return Portion::Whole;
    }
    if !precondition_holds(request, facts) {
        return Portion::PreconditionFailed;
    }
    if is_unmodified(request, facts) {
        return Portion::NotModified;
    }
    match text(request, &header::RANGE) {
        Some(range) if range_applies(request, facts) => ranged(range, facts.length),
        _ => Portion::Whole,
    }
}

fn precondition_holds(request: &HeaderMap, facts: Facts<'_>) -> bool {
    if let Some(wanted) = text(request, &header::IF_MATCH) {
        return facts.etag.is_some_and(|etag| lists(wanted, etag, Comparison::Strong));
    }
    let modified = date(facts.last_modified);
    let limit = date(text(request, &header::IF_UNMODIFIED_SINCE));
    !matches!((modified, limit), (Some(modified), Some(limit)) if modified > limit)
}

fn is_unmodified(request: &HeaderMap, facts: Facts<'_>) -> bool {
    if let Some(known) = text(request, &header::IF_NONE_MATCH) {
        return facts.etag.is_some_and(|etag| lists(known, etag, Comparison::Weak));
    }
    let modified = date(facts.last_modified);
    let since = date(text(request, &header::IF_MODIFIED_SINCE));
    matches!((modified, since), (Some(modified), Some(since)) if modified <= since)
}

/// `If-Range`: the part is wanted only of the same file; else all of it.
fn range_applies(request: &HeaderMap, facts: Facts<'_>) -> bool {
    match text(request, &header::IF_RANGE) {
        None => true,
        Some(etag) if etag.starts_with('"') => facts.etag == Some(etag),
        Some(weak) if weak.starts_with("W/") => false,
        Some(stamp) => date(Some(stamp)).is_some_and(|stamp| date(facts.last_modified) == Some(stamp)),
    }
}

/// One range. Several are answered whole, which every client must take; a range that is no range is ignored.
fn ranged(text: &str, length: u64) -> Portion {
    let Some(spec) = text.trim().strip_prefix("bytes=").map(str::trim) else { return Portion::Whole };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Portion::Whole };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Portion::Whole;
    }
    // Saturating: more digits than a u64 holds is still only "beyond the end".
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (first, last) {
        ("", last) => length.saturating_sub(number(last))..length,
        (first, "") => number(first)..length,
        (first, last) if number(last) < number(first) => return Portion::Whole,
        (first, last) => number(first)..number(last).saturating_add(1).min(length),
    };
    if range.start < range.end { Portion::Part(range) } else { Portion::Unsatisfiable }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn lists(list: &str, etag: &str, comparison: Comparison) -> bool {
    let plain = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*"
        || list.split(',').any(|one| match comparison {
            Comparison::Strong => one.trim() == etag && !etag.starts_with("W/"),
            Comparison::Weak => plain(one) == plain(etag),
        })
}

fn date(text: Option<&str>) -> Option<SystemTime> {
    httpdate::parse_http_date(text?).ok()
}

fn text<'a>(request: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    request.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_header_asks_for_bytes_that_are_not_there(text in "(bytes=)?[0-9,-]{0,30}", length in 0_u64..2000) {
            let headers = HeaderMap::from_iter([(header::RANGE, text.parse().unwrap())]);
            if let Portion::Part(range) = portion(&headers, Facts { length, ..FACTS }) {
                proptest::prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }

    const STAMP: &str = "Sun, 22 Nov 2026 02:02:02 GMT";
    const LATER: &str = "Sun, 22 Nov 2026 02:02:03 GMT";
    const FACTS: Facts<'static> = Facts { etag: Some("\"abc\""), last_modified: Some(STAMP), length: 100 };

    fn of(headers: &[(HeaderName, &str)]) -> Portion {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        portion(&headers, FACTS)
    }

    fn range(text: &str) -> Portion {
        of(&[(header::RANGE, text)])
    }

    #[test]
    fn single_suffix_and_open_ranges() {
        assert_eq!(range("bytes=0-0"), Portion::Part(0..1));
        assert_eq!(range("bytes=10-"), Portion::Part(10..100));
        assert_eq!(range("bytes=90-1000"), Portion::Part(90..100));
        assert_eq!(range("bytes=-10"), Portion::Part(90..100));
        assert_eq!(range("bytes=-1000"), Portion::Part(0..100));
    }

    #[test]
    fn a_range_beyond_the_end_is_unsatisfiable() {
        for text in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(range(text), Portion::Unsatisfiable, "{text}");
        }
    }

    #[test]
    fn several_ranges_and_nonsense_are_answered_whole() {
        for text in ["bytes=0-1,5-6", "bytes=5-1", "bytes=a-b", "bytes=-", "lines=1-2", "bytes=1", "bytes=+1-2"] {
            assert_eq!(range(text), Portion::Whole, "{text}");
        }
    }

    #[test]
    fn if_range_with_another_file_asks_for_everything() {
        let with = |tag| of(&[(header::RANGE, "bytes=1-"), (header::IF_RANGE, tag)]);
        assert_eq!(with("\"abc\""), Portion::Part(1..100));
        assert_eq!(with(STAMP), Portion::Part(1..100));
        for other in ["\"abd\"", "W/\"abc\"", LATER, "soon"] {
            assert_eq!(with(other), Portion::Whole, "{other}");
        }
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again_and_the_etag_outranks_the_date() {
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]), Portion::NotModified);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "*")]), Portion::NotModified);
        assert_eq!(of(&[(header::IF_MODIFIED_SINCE, STAMP)]), Portion::NotModified);
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, LATER)]), Portion::Whole);
        assert_eq!(of(&[(header::IF_MODIFIED_SINCE, "Sun, 22 Nov 2026 02:02:01 GMT")]), Portion::Whole);
    }

    #[test]
    fn a_resume_of_a_changed_file_is_refused() {
        assert_eq!(of(&[(header::IF_MATCH, "\"other\"")]), Portion::PreconditionFailed);
        assert_eq!(of(&[(header::IF_UNMODIFIED_SINCE, "Sun, 22 Nov 2026 02:02:01 GMT")]), Portion::PreconditionFailed);
        assert_eq!(of(&[(header::IF_UNMODIFIED_SINCE, STAMP), (header::RANGE, "bytes=50-")]), Portion::Part(50..100));
    }

    #[test]
    fn an_empty_file_has_no_part() {
        let headers = HeaderMap::from_iter([(header::RANGE, "bytes=0-".parse().unwrap())]);
        assert_eq!(portion(&headers, Facts { length: 0, ..FACTS }), Portion::Unsatisfiable);
    }
}
