//! IAM: users, tags and keys, with the rights and the delays of the fake.

use std::time::Duration;

use bowline_aws::{
    iam::{
        CreateUser, Status, Why, access_key_last_used, create_access_key, create_user, delete_access_key, delete_user,
        delete_user_policy, list_access_keys, list_users, put_user_policy, tag_user, update_access_key, user,
        user_tags,
    },
    sts::{GetSessionToken, caller_identity, session_token},
};
use bowline_base::{FixedIdentity, Kind};
use bowline_fakeaws::{Effect, Fault, Settings};
use serde_json::json;

use crate::World;

fn tag(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_user_lives_from_its_making_to_its_end() {
    let world = World::new(Settings { largest_iam_page: 1, ..Settings::default() }).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    let request = CreateUser { tags: vec![tag("owner", "a b=ü")], ..CreateUser::new("dirk-a+b@c") };
    let made = create_user(aws, region, me, &request).await.unwrap();
    assert_eq!(user(aws, region, me, Some("dirk-a+b@c")).await.unwrap(), made);
    assert_eq!(user(aws, region, me, None).await.unwrap().name, "ci");
    let again = create_user(aws, region, me, &request).await.unwrap_err();
    assert_eq!((Why::of(&again), again.is_ambiguous()), (Some(Why::Exists), false));
    tag_user(aws, region, me, &made.name, &[tag("OWNER", "eve"), tag("team", "")]).await.unwrap();
    let tags = user_tags(aws, region, me, &made.name).await.unwrap();
    assert_eq!(tags, [tag("OWNER", "eve"), tag("team", "")], "two pages of one, and no case in keys");
    let names: Vec<String> = list_users(aws, region, me, None).await.unwrap().into_iter().map(|u| u.name).collect();
    assert_eq!(names, ["ci", "dirk-a+b@c"]);
    let policy =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    put_user_policy(aws, region, me, &made.name, ("p", &policy.to_string())).await.unwrap();
    let stuck = delete_user(aws, region, me, &made.name).await.unwrap_err();
    assert_eq!(Why::of(&stuck), Some(Why::InUse));
    delete_user_policy(aws, region, me, &made.name, "p").await.unwrap();
    delete_user(aws, region, me, &made.name).await.unwrap();
    let gone = user(aws, region, me, Some(&made.name)).await.unwrap_err();
    assert_eq!(Why::of(&gone), Some(Why::Missing));
}

#[tokio::test]
async fn a_key_is_made_used_put_to_sleep_and_deleted() {
    let world = World::new(Settings { largest_iam_page: 1, ..Settings::default() }).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    create_user(aws, region, me, &CreateUser::new("dirk-bedrock")).await.unwrap();
    let name = Some("dirk-bedrock");
    let keys = create_access_key(aws, region, me, name).await.unwrap();
    create_access_key(aws, region, me, name).await.unwrap();
    let third = create_access_key(aws, region, me, name).await.unwrap_err();
    assert_eq!(Why::of(&third), Some(Why::LimitReached));
    let id = keys.key_id.clone();
    let session =
        session_token(aws, region, &FixedIdentity::new(keys.clone()), &GetSessionToken::default()).await.unwrap();
    let session = FixedIdentity::new(session);
    let arn = caller_identity(aws, region, &session).await.unwrap().arn;
    assert!(arn.ends_with(":user/dirk-bedrock"), "{arn}");
    let refused = user(aws, region, &session, None).await.unwrap_err();
    assert_eq!(Why::of(&refused), Some(Why::UnknownKey), "no IAM for a session without MFA");
    let used = access_key_last_used(aws, region, me, &id).await.unwrap();
    assert_eq!((used.user.as_str(), used.service.as_deref()), ("dirk-bedrock", Some("sts")));
    update_access_key(aws, region, me, name, (&id, Status::Inactive)).await.unwrap();
    let listed = list_access_keys(aws, region, me, name).await.unwrap();
    let found = listed.iter().find(|key| key.id == id).unwrap();
    assert_eq!((listed.len(), found.status), (2, Status::Inactive));
    assert!(caller_identity(aws, region, &FixedIdentity::new(keys)).await.is_err());
    delete_access_key(aws, region, me, name, &id).await.unwrap();
    let twice = delete_access_key(aws, region, me, name, &id).await.unwrap_err();
    assert_eq!(Why::of(&twice), Some(Why::Missing));
}

#[tokio::test]
async fn throttling_is_ridden_out_and_a_lost_key_is_owned_up_to() {
    let world = World::new(Settings::default()).await;
    let (aws, region, me) = (&world.aws, &world.region, &world.user());
    create_user(aws, region, me, &CreateUser::new("dirk-a")).await.unwrap();
    world.cloud().fault(Fault::new("iam.*", Effect::Throttle).times(2));
    create_access_key(aws, region, me, Some("dirk-a")).await.unwrap();
    assert_eq!(world.cloud().keys_of("dirk-a").len(), 1);
    world.cloud().fault(Fault::new("iam.CreateAccessKey", Effect::Reset).after_work().times(1));
    let lost = create_access_key(aws, region, me, Some("dirk-a")).await.unwrap_err();
    assert!(lost.is_ambiguous() && lost.kind() == Kind::Unreachable, "{lost}");
    assert_eq!(world.cloud().keys_of("dirk-a").len(), 2, "made once, and not again");
}

#[tokio::test]
async fn a_new_key_takes_a_moment_and_a_foreign_user_never_comes() {
    let settings = Settings { propagation_delay: Duration::from_millis(80), ..Settings::default() };
    let world = World::new(settings).await;
    let (aws, region) = (&world.aws, &world.region);
    let mine = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/dirk-*"}]});
    let manager = FixedIdentity::new(world.cloud().add_limited_user("dirk-mgr", &[mine]).unwrap());
    let refused = create_user(aws, region, &manager, &CreateUser::new("alice")).await.unwrap_err();
    assert_eq!((Why::of(&refused), refused.is_access_denied()), (Some(Why::NotAllowed), true));
    create_user(aws, region, &manager, &CreateUser::new("dirk-a")).await.unwrap();
    let mut made = create_access_key(aws, region, &manager, Some("dirk-a")).await;
    for _ in 0..500 {
        match made {
            Err(error) if Why::of(&error) == Some(Why::Missing) => {
                made = create_access_key(aws, region, &manager, Some("dirk-a")).await;
            }
            _ => break,
        }
    }
    let new = FixedIdentity::new(made.unwrap());
    let mut who = caller_identity(aws, region, &new).await;
    for _ in 0..500 {
        if who.is_err() {
            who = caller_identity(aws, region, &new).await;
        }
    }
    assert!(who.unwrap().arn.ends_with(":user/dirk-a"));
    assert!(world.calls("sts.GetCallerIdentity") > 1, "the first try came too early");
}
