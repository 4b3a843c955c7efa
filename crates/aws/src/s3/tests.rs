//! S3 calls over a scripted wire.

use std::sync::{Arc, Mutex};

use bowline_base::{BoxFuture, Credentials, FixedIdentity, KeyId, Kind, Unavailable};
use http_body_util::BodyExt;

use super::*;
use crate::{
    Patience,
    scripted::{Act, Scripted, answer, answer_with, keys, region},
};

fn identity() -> FixedIdentity {
    FixedIdentity::new(keys("ASIAEXAMPLE"))
}

/// Has other keys whenever it is asked.
struct Turning(Mutex<u32>);

impl Identity for Turning {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::new(keys(&format!("ASIA{}", self.0.lock().unwrap()))))
    }

    fn renew<'a>(&'a self, rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        assert_eq!(rejected.as_str(), "ASIA0");
        *self.0.lock().unwrap() += 1;
        Box::pin(async { self.current() })
    }
}

#[tokio::test]
async fn a_body_streams_and_the_head_is_read() {
    let headers = [
        ("etag", "\"abc\""),
        ("content-length", "5"),
        ("last-modified", "Sun, 22 Nov 2026 01:00:00 GMT"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-checksum-sha256", "LPJNul+wow4m6Dsqxbning=="),
        ("x-amz-checksum-crc32", "aaaa-3"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    let wire = Scripted::new(vec![answer_with(200, &headers, "hello")]);
    let found = get_object(&wire.aws(), &region(), &identity(), &GetObject::new("corp-maven", "a//[b]")).await.unwrap();
    assert_eq!((found.head.content_length, found.head.etag.as_deref()), (Some(5), Some("\"abc\"")));
    assert_eq!(found.head.checksums.keys().collect::<Vec<_>>(), ["sha256"]);
    assert_eq!(found.head.metadata["owner"], "me");
    assert_eq!(found.body.collect().await.unwrap().to_bytes(), "hello");
    let uri = wire.sent.lock().unwrap()[0].uri().to_string();
    assert_eq!(uri, "https://corp-maven.s3.eu-central-1.amazonaws.com/a//%5Bb%5D");
}

#[tokio::test]
async fn conditions_and_ranges_are_sent_and_the_length_is_the_object_s() {
    let headers = [("etag", "\"abc\""), ("content-range", "bytes 0-9/1234"), ("content-length", "10")];
    let wire = Scripted::new(vec![answer_with(206, &headers, "0123456789"), answer(304, "")]);
    let request = GetObject {
        range: Some("bytes=0-9".to_owned()),
        if_match: Some("\"abc\"".to_owned()),
        ..GetObject::new("corp-maven", "k")
    };
    let found = get_object(&wire.aws(), &region(), &identity(), &request).await.unwrap();
    assert_eq!(found.head.object_length(), Some(1234));
    assert_eq!((wire.header(0, "range"), wire.header(0, "if-match")), ("bytes=0-9".to_owned(), "\"abc\"".to_owned()));
    let request = GetObject { if_none_match: Some("\"abc\"".to_owned()), ..GetObject::new("corp-maven", "k") };
    let error = get_object(&wire.aws(), &region(), &identity(), &request).await.unwrap_err();
    assert!(error.is_not_modified());
}

#[tokio::test]
async fn expired_keys_are_renewed_under_the_request() {
    let expired = answer(400, "<Error><Code>ExpiredToken</Code></Error>");
    let wire = Scripted::new(vec![expired, answer_with(200, &[("etag", "\"e\"")], "x")]);
    let turning = Turning(Mutex::new(0));
    get_object(&wire.aws(), &region(), &turning, &GetObject::new("corp-maven", "k")).await.unwrap();
    assert!(wire.header(1, "authorization").contains("ASIA1/"));
}

#[tokio::test]
async fn a_learnt_clock_is_kept_for_the_next_call() {
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let date = [("date", "Sun, 22 Nov 2026 01:50:00 GMT")];
    let good = || answer_with(200, &[("etag", "\"e\"")], "x");
    let wire = Scripted::new(vec![answer_with(403, &date, skewed), good(), good()]);
    let aws = wire.aws();
    for _ in 0..2 {
        get_object(&aws, &region(), &identity(), &GetObject::new("corp-maven", "k")).await.unwrap();
    }
    assert_eq!(wire.header(2, "x-amz-date"), "20261122T015000Z");
    assert_eq!((aws.drifts()[0].seconds, wire.count()), (-600, 3));
}

#[tokio::test]
async fn a_hanging_host_costs_no_more_than_the_patience() {
    let wire = Scripted::new(vec![Act::Hang]);
    let patience = Patience { total: std::time::Duration::from_secs(40), ..Patience::default() };
    let aws = wire.aws().patience(patience);
    let error = get_object(&aws, &region(), &identity(), &GetObject::new("corp-maven", "k")).await.unwrap_err();
    assert_eq!(error.to_string(), "`GetObject` got no answer from s3 within 40s");
    assert_eq!((error.kind(), aws.now().boot.as_secs()), (Kind::Unreachable, 40));
}

#[tokio::test]
async fn a_hotel_s_sign_in_page_is_no_object() {
    let wire = Scripted::new(vec![answer_with(200, &[("content-type", "text/html")], "<html>")]);
    let error = get_object(&wire.aws(), &region(), &identity(), &GetObject::new("corp-maven", "k")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn an_outage_is_unreachable_with_its_cause() {
    let wire = Scripted::new(vec![Act::Refuse, Act::Break, Act::CutOff(500, "<Err".to_owned())]);
    let error = get_object(&wire.aws(), &region(), &identity(), &GetObject::new("corp-maven", "k")).await.unwrap_err();
    let fault = bowline_base::Fault::from(error);
    assert_eq!((fault.kind, fault.origin.as_str()), (Kind::Unreachable, "s3"));
    assert_eq!(fault.chain(), "`GetObject` got no answer from s3: `x` broke off the exchange: cut");
}

#[tokio::test]
async fn listed_keys_are_decoded() {
    let body = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>n</NextContinuationToken><Contents><Key>a+b/%2B%5B%C3%BC</Key><Size>7</Size>\
        <ETag>&quot;e&quot;</ETag><LastModified>2026-11-22T01:00:00.000Z</LastModified></Contents>\
        <CommonPrefixes><Prefix>x%2Fy/</Prefix></CommonPrefixes></ListBucketResult>";
    let wire = Scripted::new(vec![answer(200, body), answer(200, "<ListBucketResult/>"), answer(200, &body[..300])]);
    let request = ListObjects {
        bucket: "corp.maven".to_owned(),
        prefix: "a b".to_owned(),
        delimiter: Some("/".to_owned()),
        ..ListObjects::default()
    };
    let found = list_objects(&wire.aws(), &region(), &identity(), &request).await.unwrap();
    assert_eq!((found.objects[0].key.as_str(), found.objects[0].size), ("a b/+[ü", 7));
    assert_eq!((found.common_prefixes, found.next.as_deref()), (vec!["x/y/".to_owned()], Some("n")));
    let uri = wire.sent.lock().unwrap()[0].uri().to_string();
    let query = "list-type=2&encoding-type=url&prefix=a%20b&delimiter=%2F";
    assert_eq!(uri, format!("https://s3.eu-central-1.amazonaws.com/corp.maven/?{query}"));
    assert_eq!(list_objects(&wire.aws(), &region(), &identity(), &request).await.unwrap(), Listing::default());
    let error = list_objects(&wire.aws(), &region(), &identity(), &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn an_answer_without_end_is_not_collected() {
    let endless = "x".repeat(MOST_LISTING + 1);
    let wire = Scripted::new(vec![answer(200, &endless)]);
    let request = ListObjects { bucket: "corp-maven".to_owned(), ..ListObjects::default() };
    let error = list_objects(&wire.aws(), &region(), &identity(), &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("as short as"));
}

#[tokio::test]
async fn a_header_cannot_be_smuggled_in() {
    let wire = Scripted::new(vec![]);
    let request =
        GetObject { if_match: Some("a\r\nx-amz-acl: public-read".to_owned()), ..GetObject::new("bucket", "k") };
    let error = get_object(&wire.aws(), &region(), &identity(), &request).await.unwrap_err();
    assert_eq!((error.kind(), wire.count()), (Kind::Config, 0));
}

#[tokio::test]
async fn a_small_object_is_stored_with_its_type() {
    let wire = Scripted::new(vec![answer_with(200, &[("etag", "\"e\"")], "")]);
    let request = PutObject {
        bucket: "corp-maven".to_owned(),
        key: "k".to_owned(),
        body: Bytes::from_static(b"hello"),
        content_type: Some("text/plain".to_owned()),
    };
    let etag = put_object(&wire.aws(), &region(), &identity(), &request).await.unwrap();
    assert_eq!(etag.as_deref(), Some("\"e\""));
    assert_eq!(
        (wire.header(0, "content-type").as_str(), wire.sent.lock().unwrap()[0].method().as_str()),
        ("text/plain", "PUT")
    );
}
