//! A manager with the generated policy at the fake AWS, which evaluates it: real calls, real refusals.

#![allow(clippy::unwrap_used, reason = "a test binary: a failure here is the test's")]

use std::sync::Arc;

use bowline_aws::{
    Aws, Endpoints, Region,
    iam::{self, CreateUser, Status, Why},
    sts::{GetSessionToken, caller_identity, session_token},
};
use bowline_base::{Credentials, FixedIdentity};
use bowline_delegation::{
    namespace::{Namespace, Prefix},
    policy::{DELEGATED_BY, MANAGER, OWNER, Scope, admin, refresh},
};
use bowline_fakeaws::{FakeAws, Settings};
use bowline_host::{HttpWire, client::Outside};
use serde_json::{Value, json};

struct World {
    fake: FakeAws,
    aws: Aws,
    region: Region,
    scope: Scope,
}

impl World {
    async fn new() -> Self {
        let fake = FakeAws::start(Settings::default()).await.unwrap();
        let endpoints = Endpoints::everything_at(&fake.endpoint()).unwrap();
        let aws = Aws::new(Arc::new(HttpWire::new(&Outside::default()).unwrap()), endpoints);
        let prefix = Prefix::parse("dirk").unwrap();
        let scope = Scope { partition: "aws", account: "111122223333".to_owned(), prefix };
        Self { fake, aws, region: Region::parse("us-east-1").unwrap(), scope }
    }

    fn user(&self, name: &str, policy: &Value) -> FixedIdentity {
        let keys: Credentials = self.fake.cloud().add_limited_user(name, std::slice::from_ref(policy)).unwrap();
        FixedIdentity::new(keys)
    }
}

fn delegated(name: &str, owner: &str, manager: &str, boundary: Option<&str>) -> CreateUser {
    let tags = vec![(OWNER.to_owned(), owner.to_owned()), (DELEGATED_BY.to_owned(), manager.to_owned())];
    CreateUser { tags, boundary: boundary.map(str::to_owned), ..CreateUser::new(name) }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, bowline_aws::Error>) {
    assert_eq!(Why::of(&answer.unwrap_err()), Some(Why::NotAllowed));
}

#[tokio::test]
async fn a_manager_makes_a_user_whose_session_is_that_user() {
    let world = World::new().await;
    let narrow =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    let bound = world.fake.cloud().add_policy("Bound", &narrow).unwrap();
    let manager = world.user("dirk-mgr", &admin(&world.scope, Some(&bound)));
    let (aws, region) = (&world.aws, &world.region);
    Namespace::of("dirk-mgr").unwrap().admit("dirk-bedrock").unwrap();
    let asked = delegated("dirk-bedrock", "dirk-mgr", "dirk-mgr", Some(&bound));
    let made = iam::create_user(aws, region, &manager, &asked).await.unwrap();
    assert_eq!((made.tags.len(), made.boundary.as_deref()), (2, Some(bound.as_str())));
    let key = iam::create_access_key(aws, region, &manager, Some("dirk-bedrock")).await.unwrap();
    let id = key.key_id.clone();
    let session = session_token(aws, region, &FixedIdentity::new(key), &GetSessionToken::default()).await.unwrap();
    iam::delete_access_key(aws, region, &manager, Some("dirk-bedrock"), &id).await.unwrap();
    let who = caller_identity(aws, region, &FixedIdentity::new(session)).await.unwrap();
    assert_eq!(who.arn, "arn:aws:iam::111122223333:user/dirk-bedrock");
    assert_eq!(world.fake.cloud().keys_of("dirk-bedrock"), []);
}

#[tokio::test]
async fn what_the_rule_refuses_the_policy_refuses_too() {
    let world = World::new().await;
    let manager = world.user("dirk-mgr", &admin(&world.scope, None));
    let (aws, region) = (&world.aws, &world.region);
    let rule = Namespace::of("dirk-mgr").unwrap();
    for name in ["alice", "dirkx", "Dirk-a", "dirk-iam-sorry"] {
        assert!(rule.admit(name).is_err());
        refused(iam::create_user(aws, region, &manager, &delegated(name, "dirk-mgr", "dirk-mgr", None)).await);
        refused(iam::create_access_key(aws, region, &manager, Some(name)).await);
    }
    refused(iam::create_user(aws, region, &manager, &CreateUser::new("dirk-bare")).await);
    refused(iam::create_user(aws, region, &manager, &delegated("dirk-forged", "dirk-mgr", "eve", None)).await);
    refused(iam::put_user_policy(aws, region, &manager, "dirk-mgr", ("all", "{}")).await);
    assert_eq!(world.fake.cloud().users(), ["dirk-mgr"]);
}

#[tokio::test]
async fn a_user_that_was_given_away_is_its_owners_and_no_longer_the_managers() {
    let world = World::new().await;
    let manager = world.user("dirk-mgr", &admin(&world.scope, None));
    let bob = world.user("bob", &refresh(&world.scope));
    let (aws, region) = (&world.aws, &world.region);
    let asked = delegated("dirk-a", "dirk-mgr", "dirk-mgr", None);
    iam::create_user(aws, region, &manager, &asked).await.unwrap();
    refused(iam::create_access_key(aws, region, &bob, Some("dirk-a")).await);
    let owner = |name: &str| [(OWNER.to_owned(), name.to_owned())];
    iam::tag_user(aws, region, &manager, "dirk-a", &owner("bob")).await.unwrap();
    refused(iam::tag_user(aws, region, &manager, "dirk-a", &owner("dirk-mgr")).await);
    refused(iam::create_access_key(aws, region, &manager, Some("dirk-a")).await);
    let key = iam::create_access_key(aws, region, &bob, Some("dirk-a")).await.unwrap();
    let owned = iam::access_key_last_used(aws, region, &manager, &key.key_id).await.unwrap();
    assert_eq!(owned.user, "dirk-a", "whose key it is may be asked all the same");
}

#[tokio::test]
async fn a_manager_rotates_its_own_key_and_no_other_managers() {
    let world = World::new().await;
    let cloud = world.fake.cloud();
    let manager = world.user("dirk-mgr", &admin(&world.scope, None));
    let _deputy = world.user("dirk-deputy", &admin(&world.scope, None));
    for name in ["dirk-mgr", "dirk-deputy"] {
        cloud.tag_user(name, MANAGER, "dirk");
    }
    let (aws, region) = (&world.aws, &world.region);
    refused(iam::create_access_key(aws, region, &manager, Some("dirk-deputy")).await);
    refused(iam::tag_user(aws, region, &manager, "dirk-deputy", &[(OWNER.to_owned(), "dirk-mgr".to_owned())]).await);
    let fresh = iam::create_access_key(aws, region, &manager, None).await.unwrap();
    let (id, new) = (fresh.key_id.clone(), FixedIdentity::new(fresh));
    let keys = iam::list_access_keys(aws, region, &new, None).await.unwrap();
    let old = keys.iter().find(|key| key.id != id).unwrap();
    iam::update_access_key(aws, region, &new, None, (&old.id, Status::Inactive)).await.unwrap();
    assert!(caller_identity(aws, region, &manager).await.is_err(), "the old key is asleep");
    iam::delete_access_key(aws, region, &new, None, &old.id).await.unwrap();
    assert_eq!(cloud.keys_of("dirk-mgr"), [(id.as_str().to_owned(), true)]);
}
