//! S3: objects of a bucket. REST with XML around it; bodies stream past the engine untouched.
//!
//! A key that does not exist answers 404 `NoSuchKey` only to those who may list the bucket; to all others it is 403
//! `AccessDenied`. [`Error::is_missing`] is true for the former alone, and never for a missing bucket.

use std::collections::BTreeMap;

use bowline_base::{Identity, Timestamp, wire::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use percent_encoding::percent_decode_str;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive, open},
    request::{Auth, Request, encode_path},
    xml::Element,
};

/// What to fetch, and on which condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetObject {
    /// Bucket's name.
    pub bucket: String,
    /// The key as S3 knows it, not encoded.
    pub key: String,
    /// As the `Range` header has it: `bytes=0-99`.
    pub range: Option<String>,
    /// Only when the ETag is not this one ([`Error::is_not_modified`]).
    pub if_none_match: Option<String>,
    /// Only when changed since, as HTTP writes dates ([`Error::is_not_modified`]).
    pub if_modified_since: Option<String>,
    /// Only when the ETag is still this one ([`Error::is_precondition_failed`]).
    pub if_match: Option<String>,
}

impl GetObject {
    /// The whole object, without conditions.
    #[must_use]
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), ..Self::default() }
    }
}

/// What S3 says of an object before its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes in this answer's body (of the object, for [`head_object`]).
    pub content_length: Option<u64>,
    /// With its quotes, as it came. Not an MD5 for multipart or KMS objects.
    pub etag: Option<String>,
    /// As HTTP writes dates, as it came.
    pub last_modified: Option<String>,
    /// As it came; often `binary/octet-stream`.
    pub content_type: Option<String>,
    /// As it came, where the object was stored with one.
    pub content_encoding: Option<String>,
    /// Which part this is of how much: `bytes 0-99/1234`.
    pub content_range: Option<String>,
    /// `sha256`, `crc32`, … to base64, of the whole object, where S3 keeps them.
    pub checksums: BTreeMap<String, String>,
    /// What was stored as `x-amz-meta-NAME`, by NAME.
    pub metadata: BTreeMap<String, String>,
    /// Encrypted with a key of KMS or of the customer: the ETag is no MD5, whatever it looks like.
    pub etag_is_opaque: bool,
    /// In versioned buckets.
    pub version_id: Option<String>,
}

impl ObjectHead {
    /// The object's full length: from the range where there is one.
    #[must_use]
    pub fn object_length(&self) -> Option<u64> {
        match &self.content_range {
            Some(range) => range.rsplit_once('/').and_then(|(_, total)| total.parse().ok()),
            None => self.content_length,
        }
    }
}

/// An object on its way.
pub struct Object {
    /// What came before the bytes.
    pub head: ObjectHead,
    /// The bytes. They may break off: count them against `content_length`.
    pub body: Body,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Which keys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjects {
    /// Bucket's name.
    pub bucket: String,
    /// Only keys that begin with this; may be empty.
    pub prefix: String,
    /// Keys that have this after the prefix are folded into one common prefix.
    pub delimiter: Option<String>,
    /// From the page before.
    pub continuation_token: Option<String>,
    /// 1 to 1000; S3 takes 1000 when absent.
    pub max_keys: Option<u32>,
}

/// One page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In S3's order: UTF-8 bytes.
    pub objects: Vec<Listed>,
    /// What the delimiter folded.
    pub common_prefixes: Vec<String>,
    /// There is another page behind this token.
    pub next: Option<String>,
}

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Decoded.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// With its quotes.
    pub etag: Option<String>,
    /// When it was stored.
    pub last_modified: Option<Timestamp>,
}

/// A small object to store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutObject {
    /// Bucket's name.
    pub bucket: String,
    /// The key as S3 knows it, not encoded.
    pub key: String,
    /// All of it.
    pub body: Bytes,
    /// S3 takes `binary/octet-stream` when absent.
    pub content_type: Option<String>,
}

/// Fetches an object. The call ends with the head; the body streams on.
///
/// # Errors
/// [`Error`]: missing, access denied, not modified, wrong region, or unreachable.
pub async fn get_object(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &GetObject,
) -> Result<Object, Error> {
    let outgoing = conditional(object(aws, region, Method::GET, "GetObject", &request.bucket, &request.key)?, request)?;
    let answer = open(aws, outgoing.streamed(), Some(identity)).await?;
    let (parts, body) = answer.into_parts();
    if !from_s3(&parts.headers) {
        let status = Some(parts.status.as_u16());
        return Err(Error::nonsense(Service::S3, "GetObject", status, "an S3 object"));
    }
    Ok(Object { head: object_head(&parts.headers), body })
}

/// Asks what [`get_object`] would answer, without the bytes. The range does not matter.
///
/// # Errors
/// As [`get_object`]. S3 gives no reason with a refused HEAD, so the engine asks once more for a single byte.
pub async fn head_object(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &GetObject,
) -> Result<ObjectHead, Error> {
    let whole = GetObject { range: None, ..request.clone() };
    let outgoing = object(aws, region, Method::HEAD, "HeadObject", &request.bucket, &request.key)?;
    let answer = drive(aws, conditional(outgoing, &whole)?, Some(identity)).await?;
    if from_s3(&answer.head.headers) {
        Ok(object_head(&answer.head.headers))
    } else {
        Err(answer.nonsense("an S3 object"))
    }
}

/// Lists one page of keys.
///
/// # Errors
/// [`Error`]: access denied, no such bucket, wrong region, or unreachable.
pub async fn list_objects(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &ListObjects,
) -> Result<Listing, Error> {
    let max_keys = request.max_keys.map(|most| most.to_string());
    let mut outgoing = object(aws, region, Method::GET, "ListObjectsV2", &request.bucket, "")?
        .query("list-type", "2")
        .query("encoding-type", "url")
        .query("prefix", &request.prefix)
        .at_most(MOST_LISTING);
    for (name, value) in [
        ("delimiter", request.delimiter.as_deref()),
        ("continuation-token", request.continuation_token.as_deref()),
        ("max-keys", max_keys.as_deref()),
    ] {
        if let Some(value) = value {
            outgoing = outgoing.query(name, value);
        }
    }
    let answer = drive(aws, outgoing, Some(identity)).await?;
    listing(&answer).ok_or_else(|| answer.nonsense("an S3 listing"))
}

/// Stores a small object and answers with its ETag.
///
/// # Errors
/// [`Error`]: access denied, no such bucket, wrong region, or unreachable.
pub async fn put_object(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &PutObject,
) -> Result<Option<String>, Error> {
    let mut outgoing =
        object(aws, region, Method::PUT, "PutObject", &request.bucket, &request.key)?.body(request.body.clone());
    if let Some(text) = &request.content_type {
        outgoing = outgoing.text_header(header::CONTENT_TYPE, text)?;
    }
    let answer = drive(aws, outgoing, Some(identity)).await?;
    if from_s3(&answer.head.headers) {
        Ok(text(&answer.head.headers, "etag"))
    } else {
        Err(answer.nonsense("an S3 object"))
    }
}

/// A thousand keys of 1,024 bytes, each byte encoded in three, and what stands around them.
const MOST_LISTING: usize = 6 << 20;
const CHECKSUM: &str = "x-amz-checksum-";
const ENCRYPTION: &str = "x-amz-server-side-encryption";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-algorithm";
const METADATA: &str = "x-amz-meta-";

fn object(
    aws: &Aws,
    region: &Region,
    method: Method,
    operation: &'static str,
    bucket: &str,
    key: &str,
) -> Result<Request, Error> {
    let (base, root) = aws.endpoints().bucket(region, bucket)?;
    let path = format!("{root}/{}", encode_path(key));
    Ok(Request::new(Service::S3, operation, method, base, &path).auth(Auth::signed(region, Service::S3)))
}

fn conditional(mut outgoing: Request, request: &GetObject) -> Result<Request, Error> {
    let headers = [
        (header::RANGE, &request.range),
        (header::IF_NONE_MATCH, &request.if_none_match),
        (header::IF_MODIFIED_SINCE, &request.if_modified_since),
        (header::IF_MATCH, &request.if_match),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            outgoing = outgoing.text_header(name, value)?;
        }
    }
    if request.range.is_none() {
        outgoing = outgoing.text_header(HeaderName::from_static("x-amz-checksum-mode"), "ENABLED")?;
    }
    Ok(outgoing)
}

/// A captive portal answers 200 to anything; S3 and what speaks like it sends an ETag or headers of its own.
fn from_s3(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.keys().any(|name| name.as_str().starts_with("x-amz-"))
}

fn object_head(headers: &HeaderMap) -> ObjectHead {
    let prefixed = |prefix: &str| {
        let named = headers.keys().filter_map(|name| name.as_str().strip_prefix(prefix));
        named.filter_map(|name| Some((name.to_owned(), text(headers, &format!("{prefix}{name}"))?))).collect()
    };
    let mut checksums: BTreeMap<String, String> = prefixed(CHECKSUM);
    // A composite checksum is one of the parts' checksums: it cannot be compared with the bytes.
    checksums.retain(|name, value| name != "type" && !value.contains('-'));
    ObjectHead {
        content_length: text(headers, "content-length").and_then(|digits| digits.parse().ok()),
        etag: text(headers, "etag"),
        last_modified: text(headers, "last-modified"),
        content_type: text(headers, "content-type"),
        content_encoding: text(headers, "content-encoding"),
        content_range: text(headers, "content-range"),
        checksums,
        metadata: prefixed(METADATA),
        etag_is_opaque: text(headers, ENCRYPTION).is_some_and(|kind| kind.starts_with("aws:kms"))
            || headers.contains_key(CUSTOMER_KEY),
        version_id: text(headers, "x-amz-version-id"),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn listing(answer: &Answer) -> Option<Listing> {
    let document = Element::parse(&answer.body).ok().filter(|root| root.name() == "ListBucketResult")?;
    let encoded = document.text_at(&["EncodingType"]) == Some("url");
    let key = |element: &Element, name| element.text_at(&[name]).map(|text| decode(text, encoded));
    let mut found = Listing::default();
    for element in document.children("Contents") {
        found.objects.push(Listed {
            key: key(element, "Key")?,
            size: element.text_at(&["Size"])?.parse().ok()?,
            etag: element.text_at(&["ETag"]).map(str::to_owned),
            last_modified: element.text_at(&["LastModified"]).and_then(|at| bowline_base::parse_timestamp(at).ok()),
        });
    }
    for element in document.children("CommonPrefixes") {
        found.common_prefixes.push(key(element, "Prefix")?);
    }
    if document.text_at(&["IsTruncated"]) == Some("true") {
        found.next = Some(document.text_at(&["NextContinuationToken"])?.to_owned());
    }
    Some(found)
}

/// S3's `encoding-type=url` writes a space as `+`, and `+` as `%2B`.
fn decode(text: &str, encoded: bool) -> String {
    if encoded { percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
