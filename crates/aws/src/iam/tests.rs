//! IAM calls against a script: what is sent, what is made of the answers, and what is never sent twice.

use bowline_base::{Fault, FixedIdentity, KeyId, Kind};

use super::*;
use crate::scripted::{Act, Scripted, answer, keys, region};

const USER: &str = "<Path>/t/</Path><UserName>dirk-a</UserName><UserId>AIDA1</UserId>\
    <Arn>arn:aws:iam::123456789012:user/t/dirk-a</Arn><CreateDate>2026-11-22T02:00:00Z</CreateDate>";

fn me() -> FixedIdentity {
    FixedIdentity::new(keys("AKIAMANAGER"))
}

fn wrapped(operation: &str, inner: &str) -> Act {
    let xml = format!("<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>");
    answer(200, &xml)
}

fn refused(status: u16, code: &str) -> Act {
    answer(status, &format!("<ErrorResponse><Error><Code>{code}</Code><Message>No.</Message></Error></ErrorResponse>"))
}

fn body(wire: &Scripted, index: usize) -> String {
    String::from_utf8(wire.sent.lock().unwrap()[index].body().to_vec()).unwrap()
}

#[tokio::test]
async fn a_user_is_made_with_its_tags_and_boundary_in_one_call() {
    let tags = "<PermissionsBoundary><PermissionsBoundaryArn>arn:b</PermissionsBoundaryArn></PermissionsBoundary>\
                <Tags><member><Key>owner</Key><Value/></member></Tags>";
    let wire = Scripted::new(vec![wrapped("CreateUser", &format!("<User>{USER}{tags}</User>"))]);
    let request = CreateUser {
        path: Some("/t/".to_owned()),
        tags: vec![("owner".to_owned(), "a b".to_owned())],
        boundary: Some("arn:b".to_owned()),
        ..CreateUser::new("dirk-a")
    };
    let user = create_user(&wire.aws(), &region(), &me(), &request).await.unwrap();
    assert_eq!((user.name.as_str(), user.boundary.as_deref()), ("dirk-a", Some("arn:b")));
    assert_eq!(user.tags, [("owner".to_owned(), String::new())]);
    assert_eq!(
        body(&wire, 0),
        "Action=CreateUser&Version=2010-05-08&UserName=dirk-a&Path=%2Ft%2F&PermissionsBoundary=arn%3Ab\
         &Tags.member.1.Key=owner&Tags.member.1.Value=a%20b"
    );
    let sent = wire.sent.lock().unwrap();
    assert_eq!(sent[0].uri(), "https://iam.amazonaws.com/");
    let authorization = sent[0].headers()["authorization"].to_str().unwrap();
    assert!(
        authorization.contains("/us-east-1/iam/aws4_request"),
        "the caller's region is eu-central-1: {authorization}"
    );
}

#[tokio::test]
async fn all_pages_are_walked_and_a_list_without_end_is_refused() {
    let page = |more: &str| wrapped("ListUsers", &format!("<Users><member>{USER}</member></Users>{more}"));
    let next = "<IsTruncated>true</IsTruncated><Marker>m=1</Marker>";
    let wire = Scripted::new(vec![page(next), page("<IsTruncated>false</IsTruncated>")]);
    let users = list_users(&wire.aws(), &region(), &me(), None).await.unwrap();
    assert_eq!((users.len(), users[0].path.as_str()), (2, "/t/"));
    assert!(body(&wire, 1).ends_with("&MaxItems=1000&Marker=m%3D1"), "{}", body(&wire, 1));
    let wire = Scripted::new((0..=MOST_PAGES).map(|_| page(next)).collect());
    let error = list_users(&wire.aws(), &region(), &me(), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let wire = Scripted::new(vec![page("<IsTruncated>true</IsTruncated>")]);
    assert!(list_users(&wire.aws(), &region(), &me(), None).await.is_err(), "truncated, and no way on");
}

#[tokio::test]
async fn a_key_is_made_again_only_when_none_was_made() {
    let made = "<AccessKey><AccessKeyId>AKIANEW</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey></AccessKey>";
    let wire = Scripted::new(vec![refused(400, "Throttling"), Act::Refuse, wrapped("CreateAccessKey", made)]);
    let new = create_access_key(&wire.aws(), &region(), &me(), Some("dirk-a")).await.unwrap();
    assert_eq!((new.key_id.as_str(), new.secret_key.expose(), wire.count()), ("AKIANEW", "s/+", 3));
    let cut = || Act::CutOff(200, "<Create".to_owned());
    for lost in [Act::Break, refused(500, "ServiceFailure"), answer(502, "<html></html>"), cut(), wrapped("X", "")] {
        let wire = Scripted::new(vec![lost]);
        let error = create_access_key(&wire.aws(), &region(), &me(), None).await.unwrap_err();
        assert!(error.is_ambiguous() && wire.count() == 1, "{error}");
    }
    let wire = Scripted::new(vec![refused(409, "LimitExceeded")]);
    let error = create_access_key(&wire.aws(), &region(), &me(), None).await.unwrap_err();
    assert!(!error.is_ambiguous() && Why::of(&error) == Some(Why::LimitReached));
}

#[tokio::test]
async fn a_key_that_was_never_used_has_an_owner_all_the_same() {
    let never = "<UserName>dirk-a</UserName><AccessKeyLastUsed><ServiceName>N/A</ServiceName><Region>N/A</Region></AccessKeyLastUsed>";
    let wire = Scripted::new(vec![wrapped("GetAccessKeyLastUsed", never)]);
    let used = access_key_last_used(&wire.aws(), &region(), &me(), &KeyId::new("AKIAX")).await.unwrap();
    assert_eq!(used, LastUsed { user: "dirk-a".to_owned(), at: None, service: None, region: None });
}

#[tokio::test]
async fn every_refusal_has_its_reason_its_kind_and_its_fix() {
    for (status, code, why, kind) in [
        (404, "NoSuchEntity", Why::Missing, Kind::Refused),
        (409, "EntityAlreadyExists", Why::Exists, Kind::Refused),
        (409, "LimitExceeded", Why::LimitReached, Kind::Refused),
        (403, "AccessDenied", Why::NotAllowed, Kind::Refused),
        (409, "DeleteConflict", Why::InUse, Kind::Refused),
        (400, "MalformedPolicyDocument", Why::BadPolicy, Kind::Refused),
        (400, "Throttling", Why::Busy, Kind::Unreachable),
        (409, "ConcurrentModification", Why::Busy, Kind::Unreachable),
    ] {
        let wire = Scripted::new((0..3).map(|_| refused(status, code)).collect());
        let error = user(&wire.aws(), &region(), &me(), Some("x")).await.unwrap_err();
        assert_eq!((Why::of(&error), error.kind()), (Some(why), kind), "{code}");
        let fault = Fault::from(error);
        assert_eq!(fault.hint.as_deref(), Some(why.fix()), "{code}");
    }
}

#[tokio::test]
async fn an_answer_to_another_call_is_no_answer() {
    let wire = Scripted::new(vec![answer(200, "<TagUserResponse/>"), answer(200, "<UntagUserResponse/>")]);
    let tag = [("owner".to_owned(), "dirk".to_owned())];
    tag_user(&wire.aws(), &region(), &me(), "dirk-a", &tag).await.unwrap();
    assert!(tag_user(&wire.aws(), &region(), &me(), "dirk-a", &tag).await.is_err());
}
