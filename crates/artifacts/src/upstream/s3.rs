//! A bucket, or a part of one. Retries, renewal of credentials and clock skew are the aws crate's; here its answers
//! are translated, and the prefix is put before every key and taken off again.
//!
//! What is not S3 (a captive portal's 200) is told in three steps: the aws crate wants an ETag or an `x-amz-` header,
//! here a web page under a name that is none is refused, and the fill compares the MD5 that the ETag promises.

use std::{sync::Arc, time::Duration};

use base64::Engine as _;
use bowline_aws::{
    Aws, Error, Patience, Region,
    s3::{self, GetObject, ListObjects, ObjectHead},
};
use bowline_base::{
    BoxFuture, Identity, Kind,
    wire::{Limits, WireError},
};

use super::{Answer, Head, Listed, Page, Trouble, Upstream, Want, is_page};
use crate::checksum::hex;

/// Everything below `s3://bucket/prefix`.
pub struct S3 {
    name: String,
    aws: Aws,
    identity: Arc<dyn Identity>,
    region: Region,
    bucket: String,
    prefix: String,
    timeout: Duration,
}

impl S3 {
    /// Reads `bucket` as `identity`. `prefix` may have slashes at its ends and may be empty; `timeout` is for one
    /// call with its retries, up to the head of the answer.
    #[must_use]
    pub fn new(
        aws: &Aws,
        identity: Arc<dyn Identity>,
        region: Region,
        bucket: &str,
        prefix: &str,
        timeout: Duration,
    ) -> Self {
        let limits = Limits { head: timeout, idle: timeout };
        let inner = prefix.trim_matches('/');
        let prefix = if inner.is_empty() { String::new() } else { format!("{inner}/") };
        Self {
            name: format!("s3://{bucket}/{inner}"),
            aws: aws.patience(Patience { limits, total: timeout }),
            identity,
            region,
            bucket: bucket.to_owned(),
            prefix,
            timeout,
        }
    }

    fn object(&self, key: &str) -> GetObject {
        GetObject::new(&self.bucket, format!("{}{key}", self.prefix))
    }

    async fn fetch(&self, want: &Want) -> Result<Answer, Trouble> {
        let request = GetObject {
            range: (want.from > 0).then(|| format!("bytes={}-", want.from)),
            if_match: want.if_match.clone(),
            if_none_match: want.if_none_match.clone(),
            ..self.object(&want.key)
        };
        let object = match s3::get_object(&self.aws, &self.region, &*self.identity, &request).await {
            Ok(object) => object,
            Err(error) if error.is_not_modified() => return Ok(Answer::Unchanged),
            Err(error) => return Err(self.trouble(&error)),
        };
        if first_byte(&object.head) != Some(want.from) {
            return Err(Trouble::Broken("the answer does not begin where it was asked to".to_owned()));
        }
        Ok(Answer::File(head(&want.key, &object.head)?, object.body))
    }

    async fn page(&self, prefix: &str, after: Option<&str>, most: Option<u32>) -> Result<Page, Trouble> {
        let full = format!("{}{prefix}", self.prefix);
        let request = ListObjects {
            bucket: self.bucket.clone(),
            prefix: full.clone(),
            delimiter: Some("/".to_owned()),
            continuation_token: after.map(str::to_owned),
            max_keys: most,
        };
        let listing = s3::list_objects(&self.aws, &self.region, &*self.identity, &request)
            .await
            .map_err(|error| if error.is_access_denied() { Trouble::ListingDenied } else { self.trouble(&error) })?;
        let name = |key: &str| key.strip_prefix(&full).filter(|name| !name.is_empty()).map(str::to_owned);
        let file = |listed: &s3::Listed| {
            let modified = listed.last_modified.map(bowline_base::utc);
            Some(Listed { name: name(&listed.key)?, length: listed.size, modified })
        };
        Ok(Page {
            folders: listing.common_prefixes.iter().filter_map(|prefix| name(prefix.trim_end_matches('/'))).collect(),
            files: listing.objects.iter().filter_map(file).collect(),
            next: listing.next,
        })
    }

    fn trouble(&self, error: &Error) -> Trouble {
        let text = error.to_string();
        if error.is_missing() {
            Trouble::Missing
        } else if error.is_precondition_failed() || error.is_range_unsatisfiable() {
            Trouble::Changed
        } else if error.is_credential_failure() {
            let hint = (error.kind() == Kind::LoginRequired).then(|| "sign in with `bowline login`".to_owned());
            Trouble::Credentials { why: text, hint }
        } else if error.is_access_denied() {
            Trouble::Denied
        } else {
            self.weather(error, text)
        }
    }

    /// What has nothing to do with the key.
    fn weather(&self, error: &Error, text: String) -> Trouble {
        match (error.status(), error.kind()) {
            (Some(429), _) => Trouble::Busy,
            (Some(503), _) if matches!(error.code(), Some("SlowDown" | "ServiceUnavailable")) => Trouble::Busy,
            (Some(status), Kind::Unreachable) if status >= 500 => Trouble::Server(status),
            (Some(_), Kind::Unreachable) => Trouble::NotS3(text),
            (Some(_), _) => Trouble::Refused(text),
            (None, _) if is_late(error) => Trouble::TimedOut(self.timeout),
            (None, Kind::Config) => Trouble::Refused(text),
            (None, _) => Trouble::Unreachable(text),
        }
    }
}

impl Upstream for S3 {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_sidecars(&self) -> bool {
        true
    }

    fn get<'a>(&'a self, want: &'a Want) -> BoxFuture<'a, Result<Answer, Trouble>> {
        Box::pin(self.fetch(want))
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Head, Trouble>> {
        Box::pin(async move {
            let answer = s3::head_object(&self.aws, &self.region, &*self.identity, &self.object(key)).await;
            answer.map_err(|error| self.trouble(&error)).and_then(|found| head(key, &found))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, Trouble>> {
        Box::pin(self.page(prefix, after, None))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move { self.page("", None, Some(1)).await.map(drop) })
    }
}

/// The wire's limit was passed, or the whole call's, which is the only other unreachable thing without a cause.
fn is_late(error: &Error) -> bool {
    match std::error::Error::source(error) {
        Some(cause) => matches!(cause.downcast_ref(), Some(WireError::TimedOut { .. })),
        None => error.kind() == Kind::Unreachable,
    }
}

fn head(key: &str, found: &ObjectHead) -> Result<Head, Trouble> {
    if is_page(key, found.content_type.as_deref()) {
        return Err(Trouble::NotS3("a web page".to_owned()));
    }
    let length = found.object_length().ok_or_else(|| Trouble::NotS3("an object without a length".to_owned()))?;
    Ok(Head {
        length,
        etag: found.etag.clone(),
        last_modified: found.last_modified.clone(),
        content_type: found.content_type.clone(),
        content_encoding: found.content_encoding.clone(),
        md5: found.etag.as_deref().filter(|_| !found.etag_is_opaque).and_then(md5_of),
        checksums: found.checksums.iter().filter_map(|(kind, sum)| Some((kind.clone(), hex_of(sum)?))).collect(),
    })
}

/// S3 writes them in base64.
fn hex_of(sum: &str) -> Option<String> {
    base64::engine::general_purpose::STANDARD.decode(sum).ok().map(|bytes| hex(&bytes))
}

/// An ETag that looks like an MD5. It is none for objects that are encrypted with KMS or a customer's key; where the
/// headers do not say so, the fill finds out.
fn md5_of(etag: &str) -> Option<String> {
    let hex = etag.trim_matches('"');
    (hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hex.to_ascii_lowercase())
}

/// 0 for a whole answer, else the beginning of `bytes 5-9/10`.
fn first_byte(head: &ObjectHead) -> Option<u64> {
    let Some(range) = head.content_range.as_deref() else { return Some(0) };
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_etag_is_taken_for_an_md5() {
        assert_eq!(md5_of("\"0123456789ABCDEF0123456789abcdef\"").unwrap(), "0123456789abcdef0123456789abcdef");
        assert_eq!(md5_of("\"0123456789abcdef0123456789abcdef-3\""), None);
    }

    #[test]
    fn a_web_page_where_a_jar_should_be_is_not_s3() {
        let page = ObjectHead {
            content_type: Some("text/html; charset=utf-8".to_owned()),
            content_length: Some(5),
            ..ObjectHead::default()
        };
        for key in ["g/a/1/a-1.jar", "g/a/maven-metadata.xml", "g/a/1/a-1.pom.sha1"] {
            assert!(matches!(head(key, &page), Err(Trouble::NotS3(_))), "{key}");
        }
        assert!(head("site/index.html", &page).is_ok() && head("site/index", &page).is_ok());
    }

    #[test]
    fn an_encrypted_object_s_etag_promises_nothing_and_its_checksums_do() {
        let found = ObjectHead {
            etag: Some("\"0123456789abcdef0123456789abcdef\"".to_owned()),
            content_length: Some(5),
            checksums: [("crc32c".to_owned(), "4waSgw==".to_owned()), ("sha1".to_owned(), "?".to_owned())].into(),
            ..ObjectHead::default()
        };
        assert!(head("k", &found).unwrap().md5.is_some());
        let encrypted = head("k", &ObjectHead { etag_is_opaque: true, ..found }).unwrap();
        assert_eq!(encrypted.md5, None);
        assert_eq!(encrypted.checksums, [("crc32c".to_owned(), "e3069283".to_owned())].into());
    }

    #[test]
    fn the_encoding_that_an_object_is_stored_in_is_kept() {
        let stored =
            ObjectHead { content_encoding: Some("gzip".to_owned()), content_length: Some(5), ..ObjectHead::default() };
        assert_eq!(head("x.json", &stored).unwrap().content_encoding.as_deref(), Some("gzip"));
    }

    #[test]
    fn a_part_is_told_from_the_whole_by_its_range() {
        let part = ObjectHead { content_range: Some("bytes 5-9/10".to_owned()), ..ObjectHead::default() };
        assert_eq!((first_byte(&part), head("k", &part).unwrap().length), (Some(5), 10));
        assert_eq!(first_byte(&ObjectHead::default()), Some(0));
        assert!(matches!(head("k", &ObjectHead::default()), Err(Trouble::NotS3(_))));
    }
}
