//! ListObjectsV2: keys and common prefixes in byte order, page by page.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bowline_base::Timestamp;

use crate::{
    Bucket,
    call::{Call, escape_path},
    reply::Answer,
    s3,
    s3_error::S3Error,
    xml::element,
};

/// S3's own page size, and the most it gives.
const PAGE: usize = 1000;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Key(String),
    Prefix(String),
}

impl Entry {
    fn text(&self) -> &str {
        match self {
            Self::Key(text) | Self::Prefix(text) => text,
        }
    }
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    entries: Vec<Entry>,
    /// The last entry, if there is more after it.
    next: Option<String>,
}

/// Answers a list of `bucket`.
pub(crate) fn list(bucket: &mut Bucket, name: &str, call: &Call) -> Result<Answer, S3Error> {
    if call.query("list-type") != Some("2") {
        return Err(S3Error::new(501, "NotImplemented", "Only version 2 of the list is served here"));
    }
    if !bucket.list_allowed {
        return Err(S3Error::denied());
    }
    let invalid = |what: &str| S3Error::new(400, "InvalidArgument", what);
    let asked = call.query("max-keys").map_or(Some(PAGE), |text| text.parse().ok());
    let asked = asked.ok_or_else(|| invalid("Provided max-keys not an integer or within integer range"))?;
    let token = call.query("continuation-token");
    let after = match token.map(decode_token) {
        Some(after) => Some(after.ok_or_else(|| invalid("The continuation token provided is incorrect"))?),
        None => call.query("start-after").map(str::to_owned),
    };
    let (prefix, delimiter) = (call.query("prefix").unwrap_or_default(), call.query("delimiter").unwrap_or_default());
    let page = cut(&bucket.keys(prefix), prefix, delimiter, after.as_deref(), asked.min(PAGE));
    Ok(s3::xml("ListBucketResult", &body(bucket, name, call, &page, asked.min(PAGE))))
}

/// `2026-11-22T02:02:03.000Z`, as S3 writes times in XML.
pub(crate) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// Folds keys at the delimiter, drops what is not after `after`, takes at most `size` entries.
fn cut(keys: &[String], prefix: &str, delimiter: &str, after: Option<&str>, size: usize) -> Page {
    let mut entries: Vec<Entry> = Vec::new();
    for key in keys {
        let entry = fold(key, prefix, delimiter);
        let passed = match (&entry, after) {
            (_, None) => false,
            (Entry::Key(key), Some(after)) => key.as_str() <= after,
            // A prefix stands for all keys below it; it was given already if the last entry was it or lies in it.
            (Entry::Prefix(text), Some(after)) => text.as_str() <= after,
        };
        if passed || entries.last() == Some(&entry) {
            continue;
        }
        if entries.len() == size {
            let next = entries.last().map(|entry| entry.text().to_owned());
            return Page { entries, next };
        }
        entries.push(entry);
    }
    Page { entries, next: None }
}

fn fold(key: &str, prefix: &str, delimiter: &str) -> Entry {
    let rest = &key[prefix.len()..];
    match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
        Some(at) => Entry::Prefix(key[..prefix.len() + at + delimiter.len()].to_owned()),
        None => Entry::Key(key.to_owned()),
    }
}

fn body(bucket: &mut Bucket, name: &str, call: &Call, page: &Page, size: usize) -> String {
    let url = call.query("encoding-type") == Some("url");
    let coded = |text: &str| if url { escape_path(text) } else { text.to_owned() };
    let mut out = element("Name", name);
    out += &element("Prefix", &coded(call.query("prefix").unwrap_or_default()));
    for (parameter, tag) in [("delimiter", "Delimiter"), ("start-after", "StartAfter")] {
        out += &call.query(parameter).map(|text| element(tag, &coded(text))).unwrap_or_default();
    }
    out += &element("KeyCount", &page.entries.len().to_string());
    out += &element("MaxKeys", &size.to_string());
    out += &element("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if url {
        out += &element("EncodingType", "url");
    }
    out += &call.query("continuation-token").map(|token| element("ContinuationToken", token)).unwrap_or_default();
    out += &page.next.as_ref().map(|next| element("NextContinuationToken", &URL_SAFE.encode(next))).unwrap_or_default();
    for entry in &page.entries {
        out += &match entry {
            Entry::Prefix(text) => format!("<CommonPrefixes>{}</CommonPrefixes>", element("Prefix", &coded(text))),
            Entry::Key(key) => contents(bucket, key, &coded(key)),
        };
    }
    out
}

fn contents(bucket: &mut Bucket, key: &str, shown: &str) -> String {
    // A file that vanished between listing and looking is left out, as an object deleted in between would be.
    let Some(facts) = bucket.facts(key) else { return String::new() };
    format!(
        "<Contents>{}{}{}{}{}</Contents>",
        element("Key", shown),
        element("LastModified", &instant(facts.modified)),
        element("ETag", &facts.etag),
        element("Size", &facts.size.to_string()),
        element("StorageClass", "STANDARD")
    )
}

fn decode_token(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE.decode(token).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(page: &Page) -> Vec<&str> {
        page.entries.iter().map(Entry::text).collect()
    }

    #[test]
    fn keys_fold_at_the_delimiter_in_byte_order() {
        let keys: Vec<String> = ["a.txt", "a/1", "a/2", "b/1/x", "z", "é"].map(str::to_owned).to_vec();
        assert_eq!(texts(&cut(&keys, "", "/", None, 10)), ["a.txt", "a/", "b/", "z", "é"]);
        assert_eq!(texts(&cut(&keys[1..3], "a/", "/", None, 10)), ["a/1", "a/2"]);
        assert_eq!(texts(&cut(&keys, "", "", Some("a/1"), 2)), ["a/2", "b/1/x"]);
        assert_eq!(cut(&keys, "", "/", None, 2).next.as_deref(), Some("a/"));
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole_list(
            keys in proptest::collection::btree_set("[ab/é.]{1,6}", 0..30),
            size in 1_usize..7,
            delimiter in prop_oneof![Just(""), Just("/")],
        ) {
            let keys: Vec<String> = keys.into_iter().collect();
            let whole = cut(&keys, "", delimiter, None, 1000).entries;
            let (mut together, mut after) = (Vec::new(), None);
            loop {
                let page = cut(&keys, "", delimiter, after.as_deref(), size);
                prop_assert!(page.entries.len() <= size);
                together.extend(page.entries);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(together, whole);
        }
    }
}
