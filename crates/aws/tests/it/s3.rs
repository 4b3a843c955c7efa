//! S3: objects with awkward names, renewal and clock skew under a request.

use std::collections::BTreeSet;

use bowline_aws::{
    Region,
    s3::{GetObject, ListObjects, PutObject, get_object, head_object, list_objects, put_object},
};
use bowline_base::{Fault, Kind};
use bowline_fakeaws::{Bucket, Effect, Settings};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::World;

const KEYS: [&str; 7] =
    ["a.jar", "com/x/[a] (b)+c@1.0~.jar", "ü/日本 語.pom", "a//b", "a/../b", "100%25.txt", "!*'();:@&=$,?#"];

fn get(key: &str) -> GetObject {
    GetObject::new("maven", key)
}

async fn put(world: &World, key: &str, body: &'static str) {
    let request = PutObject {
        bucket: "maven".to_owned(),
        key: key.to_owned(),
        body: Bytes::from_static(body.as_bytes()),
        content_type: None,
    };
    put_object(&world.aws, &world.region, &world.session(), &request).await.unwrap();
}

#[tokio::test]
async fn awkward_keys_are_stored_listed_and_read_back() {
    let world = World::new(Settings::default()).await;
    for key in KEYS {
        put(&world, key, "content").await;
        let found = get_object(&world.aws, &world.region, &world.session(), &get(key)).await.unwrap();
        assert_eq!(found.head.content_length, Some(7), "{key}");
        assert_eq!(found.body.collect().await.unwrap().to_bytes(), "content", "{key}");
        let head = head_object(&world.aws, &world.region, &world.session(), &get(key)).await.unwrap();
        assert_eq!((head.content_length, head.etag), (Some(7), found.head.etag), "{key}");
    }
    let mut listed = BTreeSet::new();
    let mut request = ListObjects { bucket: "maven".to_owned(), max_keys: Some(3), ..ListObjects::default() };
    loop {
        let page = list_objects(&world.aws, &world.region, &world.session(), &request).await.unwrap();
        listed.extend(page.objects.into_iter().map(|object| object.key));
        request.continuation_token = page.next;
        if request.continuation_token.is_none() {
            break;
        }
    }
    assert_eq!(listed, KEYS.into_iter().map(str::to_owned).collect());
}

#[tokio::test]
async fn ranges_and_conditions_are_kept() {
    let world = World::new(Settings::default()).await;
    put(&world, "k", "0123456789").await;
    let range = GetObject { range: Some("bytes=2-4".to_owned()), ..get("k") };
    let part = get_object(&world.aws, &world.region, &world.session(), &range).await.unwrap();
    assert_eq!((part.head.content_length, part.head.object_length()), (Some(3), Some(10)));
    assert_eq!(part.body.collect().await.unwrap().to_bytes(), "234");
    let same = GetObject { if_none_match: part.head.etag, ..get("k") };
    let error = get_object(&world.aws, &world.region, &world.session(), &same).await.unwrap_err();
    assert!(error.is_not_modified(), "{error}");
    let error = head_object(&world.aws, &world.region, &world.session(), &same).await.unwrap_err();
    assert!(error.is_not_modified(), "{error}");
    let other = GetObject { if_match: Some("\"other\"".to_owned()), ..get("k") };
    let error = get_object(&world.aws, &world.region, &world.session(), &other).await.unwrap_err();
    assert!(error.is_precondition_failed(), "{error}");
    let behind = GetObject { range: Some("bytes=50-".to_owned()), ..get("k") };
    let error = get_object(&world.aws, &world.region, &world.session(), &behind).await.unwrap_err();
    assert!(error.is_range_unsatisfiable(), "{error}");
}

#[tokio::test]
async fn keys_that_end_are_renewed_under_get_and_head() {
    let world = World::new(Settings::default()).await;
    put(&world, "k", "x").await;
    let session = world.session();
    world.expire_keys();
    get_object(&world.aws, &world.region, &session, &get("k")).await.unwrap();
    world.expire_keys();
    head_object(&world.aws, &world.region, &session, &get("k")).await.unwrap();
    assert_eq!(world.calls("s3.GetObject.400.ExpiredToken"), 2, "one for the GET, one for the HEAD's reason");
}

#[tokio::test]
async fn a_clock_ten_minutes_off_is_found_out_once() {
    let skew = jiff::SignedDuration::from_mins(10);
    let world = World::new(Settings { clock_skew: skew, ..Settings::default() }).await;
    put(&world, "k", "x").await;
    for _ in 0..3 {
        get_object(&world.aws, &world.region, &world.user(), &get("k")).await.unwrap();
    }
    let drift = world.aws.drifts()[0].seconds;
    assert!((598..=602).contains(&drift), "{drift} s");
    assert_eq!(world.calls("s3.GetObject"), 3);
}

#[tokio::test]
async fn missing_means_missing_and_nothing_else() {
    let world = World::new(Settings::default()).await;
    let region = world.scenario.region.clone();
    let mut shut = Bucket::memory(&region);
    shut.list_allowed = false;
    world.cloud().add_bucket("shut", shut);
    let session = world.session();
    let missing = get_object(&world.aws, &world.region, &session, &get("none")).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    let missing = head_object(&world.aws, &world.region, &session, &get("none")).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    let shut = get_object(&world.aws, &world.region, &session, &GetObject::new("shut", "none")).await.unwrap_err();
    assert!(shut.is_access_denied() && !shut.is_missing(), "{shut}");
    let bucket = get_object(&world.aws, &world.region, &session, &GetObject::new("nobody", "k")).await.unwrap_err();
    assert!(!bucket.is_missing() && bucket.code() == Some("NoSuchBucket"), "{bucket}");
    world.cloud().fault(bowline_fakeaws::Fault::new("s3.*", Effect::Html(404)));
    let page = get_object(&world.aws, &world.region, &session, &get("none")).await.unwrap_err();
    assert!(!page.is_missing() && page.kind() == Kind::Unreachable, "{page}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_its_region() {
    let world = World::new(Settings::default()).await;
    world.cloud().add_bucket("far", Bucket::memory("eu-west-1"));
    let request = GetObject::new("far", "k");
    let error = get_object(&world.aws, &world.region, &world.user(), &request).await.unwrap_err();
    assert_eq!(error.right_region(), Some("eu-west-1"), "{error}");
    assert_eq!(Fault::from(error).hint.as_deref(), Some("set the region to `eu-west-1`"));
    let right = Region::parse("eu-west-1").unwrap();
    assert!(get_object(&world.aws, &right, &world.user(), &request).await.unwrap_err().is_missing());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_body() {
    let world = World::new(Settings::default()).await;
    put(&world, "k", "0123456789").await;
    for effect in [Effect::Truncate(4), Effect::Stall(4)] {
        world.cloud().fault(bowline_fakeaws::Fault::new("s3.GetObject", effect.clone()).times(1));
        let found = get_object(&world.aws, &world.region, &world.session(), &get("k")).await.unwrap();
        assert!(found.body.collect().await.is_err(), "{effect:?}");
    }
}

#[tokio::test]
async fn slow_down_is_ridden_out() {
    let world = World::new(Settings::default()).await;
    put(&world, "k", "x").await;
    world.cloud().fault(bowline_fakeaws::Fault::new("s3.GetObject", Effect::Throttle).times(2));
    get_object(&world.aws, &world.region, &world.session(), &get("k")).await.unwrap();
}
