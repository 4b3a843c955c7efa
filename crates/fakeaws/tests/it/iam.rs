//! IAM in virtual time: who may do what, quotas, pages, and how slowly things are seen.

use std::time::Duration;

use bowline_base::{Credentials, KeyId, Now, Secret, Timestamp};
use bowline_fakeaws::Cloud;
use serde_json::{Value, json};

use crate::requests::{cloud, signed, start, sts, text};

fn iam(cloud: &Cloud, now: Now, keys: &Credentials, form: &str) -> (u16, String) {
    let form = format!("{form}&Version=2010-05-08");
    let reply = cloud.handle(now, signed(now, keys, "iam", "POST", "/", &form));
    (reply.response.status().as_u16(), text(&reply))
}

#[track_caller]
fn good(cloud: &Cloud, now: Now, keys: &Credentials, form: &str) -> String {
    let (status, body) = iam(cloud, now, keys, form);
    assert_eq!(status, 200, "{form}: {body}");
    body
}

#[track_caller]
fn bad(cloud: &Cloud, now: Now, keys: &Credentials, form: &str, code: &str) -> String {
    let (_, body) = iam(cloud, now, keys, form);
    assert!(body.contains(&format!("<Code>{code}</Code>")), "{form}: {body}");
    body
}

fn part<'a>(body: &'a str, name: &str) -> &'a str {
    let (_, rest) = body.split_once(&format!("<{name}>")).unwrap();
    rest.split_once("</").unwrap().0
}

/// The keys in the answer of `CreateAccessKey` or `GetSessionToken`.
fn keys_in(body: &str) -> Credentials {
    Credentials {
        key_id: KeyId::new(part(body, "AccessKeyId")),
        secret_key: Secret::new(part(body, "SecretAccessKey")),
        session_token: body.contains("<SessionToken>").then(|| Secret::new(part(body, "SessionToken"))),
        expires_at: None,
        obtained_at: Timestamp::UNIX_EPOCH,
        account_id: None,
    }
}

fn later(now: Now, seconds: u64) -> Now {
    let time = Duration::from_secs(seconds);
    Now { boot: now.boot + time, wall: now.wall + time }
}

/// What a careful administrator would give to the manager of `dirk-*`.
fn manager() -> Value {
    let namespace = ["arn:aws:iam::*:user/dirk", "arn:aws:iam::*:user/dirk-*"];
    let own = json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/dirk-mgr"}});
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:CreateUser", "Resource": namespace, "Condition": {
            "ArnLike": {"iam:PermissionsBoundary": "arn:aws:iam::*:policy/Bound"},
            "StringEquals": {"aws:RequestTag/owner": "${aws:username}"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["owner"]}}},
        {"Effect": "Allow", "Action": ["iam:*AccessKey*", "iam:GetUser", "iam:ListUserTags"], "Resource": namespace},
        {"Effect": "Allow", "Action": "iam:TagUser", "Resource": namespace,
            "Condition": {"Null": {"iam:ResourceTag/owner": "true"}}},
        {"Effect": "Deny", "Action": ["iam:CreateAccessKey", "iam:TagUser"],
            "Resource": "arn:aws:iam::*:user/${aws:username}", "Condition": own},
    ]})
}

const CREATE: &str = "Action=CreateUser&UserName=dirk-bedrock&Tags.member.1.Key=owner&Tags.member.1.Value=dirk-mgr\
                      &PermissionsBoundary=arn:aws:iam::111122223333:policy/Bound";

fn world(patch: Value) -> (Cloud, Credentials) {
    let cloud = cloud(patch);
    let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    cloud.add_policy("Bound", &all).unwrap();
    let keys = cloud.add_limited_user("dirk-mgr", &[manager()]).unwrap();
    (cloud, keys)
}

#[test]
fn a_manager_has_its_namespace_and_nothing_else() {
    let (cloud, keys) = world(json!({}));
    let now = start();
    let made = good(&cloud, now, &keys, CREATE);
    assert!(made.contains("<PermissionsBoundaryArn>arn:aws:iam::111122223333:policy/Bound<"), "{made}");
    bad(&cloud, now, &keys, CREATE, "EntityAlreadyExists");
    let denied = bad(&cloud, now, &keys, &CREATE.replace("dirk-bedrock", "alice"), "AccessDenied");
    assert!(denied.contains("because no identity-based policy allows the iam:CreateUser action"), "{denied}");
    bad(&cloud, now, &keys, &CREATE.replace("policy/Bound", "policy/Other"), "AccessDenied");
    bad(&cloud, now, &keys, &CREATE.replace("=dirk-mgr", "=eve"), "AccessDenied");
    bad(&cloud, now, &keys, "Action=CreateUser&UserName=dirk-bare", "AccessDenied");
    let explicit = bad(&cloud, now, &keys, "Action=CreateAccessKey", "AccessDenied");
    assert!(explicit.contains("with an explicit deny"), "{explicit}");
    // Neither the same tag again nor the same in another case.
    for key in ["owner", "Owner"] {
        let form = format!("Action=TagUser&UserName=dirk-bedrock&Tags.member.1.Key={key}&Tags.member.1.Value=eve");
        bad(&cloud, now, &keys, &form, "AccessDenied");
    }
    bad(&cloud, now, &keys, "Action=UntagUser&UserName=dirk-bedrock&TagKeys.member.1=owner", "AccessDenied");
    bad(&cloud, now, &keys, "Action=ListUsers", "AccessDenied");
    bad(&cloud, now, &keys, "Action=AddUserToGroup&UserName=dirk-bedrock&GroupName=x", "InvalidAction");
}

#[test]
fn a_delegated_user_gets_a_session_that_is_that_user_and_knows_no_iam() {
    let (cloud, manager) = world(json!({}));
    let now = start();
    good(&cloud, now, &manager, CREATE);
    let user = keys_in(&good(&cloud, now, &manager, "Action=CreateAccessKey&UserName=dirk-bedrock"));
    let (status, body) = sts(&cloud, now, &user, "Action=GetSessionToken&DurationSeconds=3600&Version=2011-06-15");
    assert_eq!(status, 200, "{body}");
    let session = keys_in(&body);
    let form = format!("Action=DeleteAccessKey&UserName=dirk-bedrock&AccessKeyId={}", user.key_id);
    good(&cloud, now, &manager, &form);
    let who = |keys: &Credentials| sts(&cloud, now, keys, "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(who(&session).1.contains("<Arn>arn:aws:iam::111122223333:user/dirk-bedrock</Arn>"), "outlives its key");
    assert_eq!(who(&user).0, 403);
    bad(&cloud, now, &session, "Action=GetUser", "InvalidClientTokenId");
    assert_eq!(sts(&cloud, now, &session, "Action=GetSessionToken&Version=2011-06-15").0, 403);
    let role = "Action=AssumeRole&RoleArn=arn:aws:iam::111122223333:role/build&RoleSessionName=x1&Version=2011-06-15";
    let (status, body) = sts(&cloud, now, &session, role);
    assert!(status == 403 && body.contains("sts:AssumeRole"), "{body}");
}

#[test]
fn with_a_device_a_session_may_call_iam() {
    let (cloud, manager) = world(json!({"mfa_devices": {"arn:m": ["123456"]}}));
    let form = "Action=GetSessionToken&SerialNumber=arn:m&TokenCode=123456&Version=2011-06-15";
    let session = keys_in(&sts(&cloud, start(), &manager, form).1);
    good(&cloud, start(), &session, CREATE);
}

#[test]
fn a_source_identity_needs_a_right_of_its_own_and_stays() {
    let (cloud, now) = (cloud(json!({})), start());
    let may = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    let half = cloud.add_limited_user("half", &[may(&["sts:AssumeRole"])]).unwrap();
    let whole = cloud.add_limited_user("whole", &[may(&["sts:AssumeRole", "sts:SetSourceIdentity"])]).unwrap();
    let role = "Action=AssumeRole&RoleArn=arn:aws:iam::111122223333:role/build&RoleSessionName=x1&Version=2011-06-15";
    let named = format!("{role}&SourceIdentity=dirk-bedrock");
    assert_eq!((sts(&cloud, now, &half, role).0, sts(&cloud, now, &half, &named).0), (200, 403));
    let (_, body) = sts(&cloud, now, &whole, &named);
    assert!(body.contains("<SourceIdentity>dirk-bedrock</SourceIdentity>"), "{body}");
    let session = keys_in(&body);
    assert!(sts(&cloud, now, &session, role).1.contains("<SourceIdentity>dirk-bedrock<"), "over a chain too");
    assert_eq!(sts(&cloud, now, &session, &format!("{role}&SourceIdentity=eve")).0, 403);
}

#[test]
fn what_is_written_is_seen_only_after_the_delay() {
    let (cloud, manager) = world(json!({"propagation_delay": "5s"}));
    let at = |seconds| later(start(), seconds);
    good(&cloud, at(0), &manager, CREATE);
    let (get, key) = ("Action=GetUser&UserName=dirk-bedrock", "Action=CreateAccessKey&UserName=dirk-bedrock");
    bad(&cloud, at(4), &manager, get, "NoSuchEntity");
    bad(&cloud, at(4), &manager, key, "NoSuchEntity");
    bad(&cloud, at(4), &manager, CREATE, "EntityAlreadyExists");
    good(&cloud, at(5), &manager, get);
    let new = keys_in(&good(&cloud, at(5), &manager, key));
    let known = |now, keys: &Credentials| {
        let (status, body) = sts(&cloud, now, keys, "Action=GetCallerIdentity&Version=2011-06-15");
        assert!(status == 200 || body.contains("<Code>InvalidClientTokenId</Code>"), "{body}");
        status == 200
    };
    assert_eq!([at(9), at(10)].map(|now| known(now, &new)), [false, true]);
    let list = |now| good(&cloud, now, &manager, "Action=ListAccessKeys&UserName=dirk-bedrock");
    assert!(!list(at(9)).contains("AKIA") && list(at(10)).contains(new.key_id.as_str()));
    let key = format!("UserName=dirk-bedrock&AccessKeyId={}", new.key_id);
    good(&cloud, at(10), &manager, &format!("Action=UpdateAccessKey&Status=Inactive&{key}"));
    assert_eq!([at(14), at(15)].map(|now| known(now, &new)), [true, false]);
    assert!(list(at(15)).contains("<Status>Inactive</Status>"));
    good(&cloud, at(15), &manager, &format!("Action=UpdateAccessKey&Status=Active&{key}"));
    good(&cloud, at(20), &manager, &format!("Action=DeleteAccessKey&{key}"));
    assert_eq!([at(24), at(25)].map(|now| known(now, &new)), [true, false]);
    assert_eq!(cloud.keys_of("dirk-bedrock"), []);
}

#[test]
fn two_keys_are_the_most_even_while_nobody_sees_them() {
    let (cloud, manager) = world(json!({"propagation_delay": "5s"}));
    good(&cloud, start(), &manager, CREATE);
    let now = later(start(), 5);
    let create = "Action=CreateAccessKey&UserName=dirk-bedrock";
    let first = keys_in(&good(&cloud, now, &manager, create));
    good(&cloud, now, &manager, create);
    bad(&cloud, now, &manager, create, "LimitExceeded");
    assert_eq!(cloud.keys_of("dirk-bedrock").len(), 2);
    let owner = format!("Action=GetAccessKeyLastUsed&AccessKeyId={}", first.key_id);
    let now = later(now, 5);
    let never = good(&cloud, now, &manager, &owner);
    assert!(never.contains("<UserName>dirk-bedrock</UserName>") && never.contains("N/A"), "{never}");
    let (_, _) = sts(&cloud, now, &first, "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(good(&cloud, now, &manager, &owner).contains("<ServiceName>sts</ServiceName>"));
    bad(&cloud, now, &manager, "Action=GetAccessKeyLastUsed&AccessKeyId=AKIANOBODY", "AccessDenied");
}

#[test]
fn a_boundary_narrows_what_a_policy_gives() {
    let (cloud, now) = (cloud(json!({})), start());
    let admin = cloud.add_user("admin");
    let narrow =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    let arn = cloud.add_policy("Narrow", &narrow).unwrap();
    good(&cloud, now, &admin, &format!("Action=CreateUser&UserName=bound&PermissionsBoundary={arn}"));
    let everything = "Action=AttachUserPolicy&UserName=bound&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess";
    good(&cloud, now, &admin, everything);
    let keys = keys_in(&good(&cloud, now, &admin, "Action=CreateAccessKey&UserName=bound"));
    let denied = bad(&cloud, now, &keys, "Action=ListUsers", "AccessDenied");
    assert!(denied.contains("because no permissions boundary allows"), "{denied}");
    good(&cloud, now, &admin, "Action=DeleteUserPermissionsBoundary&UserName=bound");
    good(&cloud, now, &keys, "Action=ListUsers");
}

#[test]
fn names_tags_and_documents_are_checked_as_aws_does() {
    let (cloud, now) = (cloud(json!({})), start());
    let admin = cloud.add_user("admin");
    bad(&cloud, now, &admin, "Action=CreateUser&UserName=a%20b", "ValidationError");
    bad(&cloud, now, &admin, "Action=CreateUser&UserName=", "ValidationError");
    bad(&cloud, now, &admin, "Action=CreateUser&UserName=ADMIN", "EntityAlreadyExists");
    let twice = "Action=TagUser&UserName=admin&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=A&Tags.member.2.Value=2";
    bad(&cloud, now, &admin, twice, "InvalidInput");
    let policy = "Action=PutUserPolicy&UserName=admin&PolicyName=p&PolicyDocument=";
    bad(&cloud, now, &admin, &format!("{policy}%7B%7D"), "MalformedPolicyDocument");
    let long: Vec<String> = (0..60).map(|n| format!("s3:Get{}{n}", "x".repeat(40))).collect();
    let long = json!({"Statement": [{"Effect": "Allow", "Action": long, "Resource": "*"}]});
    bad(&cloud, now, &admin, &format!("{policy}{long}"), "LimitExceeded");
    bad(&cloud, now, &admin, "Action=DeleteUser&UserName=admin", "DeleteConflict");
    bad(&cloud, now, &admin, "Action=UpdateAccessKey&AccessKeyId=AKIAX&Status=Off", "ValidationError");
    bad(&cloud, now, &admin, "Action=ListUsers&MaxItems=0", "ValidationError");
    bad(&cloud, now, &admin, "Action=ListUsers&Marker=zzz", "ValidationError");
    let role = cloud.add_session(now, "build", Duration::from_secs(900));
    let words = bad(&cloud, now, &role, "Action=GetUser", "ValidationError");
    assert!(words.contains("non-User credentials"), "{words}");
}
