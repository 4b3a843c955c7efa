//! Keys work from their first moment to their last second, and every service words its refusal in its own way.

use std::time::Duration;

use bowline_base::{Credentials, KeyId, Secret};
use bowline_fakeaws::{Bucket, WrongRegion};
use proptest::prelude::*;
use serde_json::json;

use crate::requests::{cloud, get, signed, start, sts, text};

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const ASSUME: &str =
    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fbuild&RoleSessionName=ci";

fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{tag}>")).unwrap();
    rest.split_once('<').unwrap().0
}

#[test]
fn an_assumed_role_is_refused_from_the_second_that_was_printed() {
    let (cloud, now) = (cloud(json!({"sts_lifetime": "1s"})), start());
    cloud.add_bucket("maven", Bucket::memory("us-east-1"));
    cloud.put_object(now, "maven", "a.jar", "jar");
    let user = cloud.add_user("ci");
    let (status, answer) = sts(&cloud, now, &user, ASSUME);
    assert_eq!((status, between(&answer, "Expiration")), (200, "2026-11-22T02:00:01Z"));
    let session = Credentials {
        key_id: KeyId::new(between(&answer, "AccessKeyId")),
        secret_key: Secret::new(between(&answer, "SecretAccessKey")),
        session_token: Some(Secret::new(between(&answer, "SessionToken"))),
        ..user
    };
    let last = now.after(Duration::from_millis(999));
    assert!(sts(&cloud, last, &session, WHO).1.contains("assumed-role/build/ci"));
    assert_eq!(get(&cloud, last, &session, "/maven/a.jar").response.status(), 200);
    let over = now.after(Duration::from_secs(1));
    let (status, refusal) = sts(&cloud, over, &session, WHO);
    assert_eq!((status, between(&refusal, "Code")), (403, "ExpiredToken"));
    let refusal = get(&cloud, over, &session, "/maven/a.jar");
    assert_eq!((refusal.response.status().as_u16(), between(&text(&refusal), "Code")), (400, "ExpiredToken"));
    let head = cloud.handle(over, signed(over, &session, "s3", "HEAD", "/maven/a.jar", ""));
    assert_eq!((head.response.status().as_u16(), text(&head).as_str()), (400, ""));
}

#[test]
fn a_new_key_is_unknown_until_it_has_spread() {
    let (cloud, now) = (cloud(json!({"propagation_delay": "500ms"})), start());
    let session = cloud.add_session(now, "build", Duration::from_secs(60));
    let (status, refusal) = sts(&cloud, now.after(Duration::from_millis(499)), &session, WHO);
    assert_eq!((status, between(&refusal, "Code")), (403, "InvalidClientTokenId"));
    assert_eq!(sts(&cloud, now.after(Duration::from_millis(500)), &session, WHO).0, 200);
}

#[test]
fn a_clock_ten_minutes_off_is_named_with_both_times() {
    let (cloud, now) = (cloud(json!({"clock_skew": "10m"})), start());
    let user = cloud.add_user("ci");
    let (status, refusal) = sts(&cloud, now, &user, WHO);
    assert_eq!((status, between(&refusal, "Code")), (403, "SignatureDoesNotMatch"));
    assert_eq!(
        between(&refusal, "Message"),
        "Signature expired: 20261122T020000Z is now earlier than 20261122T020500Z (20261122T021000Z - 5 min.)"
    );
    let refusal = get(&cloud, now, &user, "/maven/a.jar");
    assert_eq!(between(&text(&refusal), "Code"), "RequestTimeTooSkewed");
    assert_eq!(refusal.response.headers()["date"], "Sun, 22 Nov 2026 02:10:00 GMT");
}

#[test]
fn a_bucket_elsewhere_tells_its_region() {
    let (cloud, now) = (cloud(json!({})), start());
    let user = cloud.add_user("ci");
    let mut bucket = Bucket::memory("eu-west-1");
    bucket.wrong_region = WrongRegion::Redirect;
    cloud.add_bucket("far", bucket);
    let reply = get(&cloud, now, &user, "/far/a.jar");
    assert_eq!((reply.response.status().as_u16(), between(&text(&reply), "Code")), (301, "PermanentRedirect"));
    assert_eq!(reply.response.headers()["x-amz-bucket-region"], "eu-west-1");
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_the_cloud_panic(
        method in prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("HEAD"), Just("DELETE")],
        path in "/[a-z_/%0-9]{0,24}(\\?[a-z-]{0,12}=[%a-z0-9-]{0,8})?",
        authorization in "(AWS4-HMAC-SHA256 Credential=[A-Z/a-z0-9_]{0,40}, SignedHeaders=[a-z;]{0,9}, Signature=[0-9a-f]{0,4})?",
        body in "[ -~]{0,40}",
    ) {
        let cloud = cloud(json!({}));
        let Ok(request) = http::Request::builder()
            .method(method).uri(path).header("authorization", authorization).body(bytes::Bytes::from(body)) else {
            return Ok(());
        };
        let reply = cloud.handle(start(), request);
        prop_assert!(reply.response.status().as_u16() >= 200);
    }
}
