//! The documents are evaluated, not read.

use bowline_fakeaws::policy::{Document, Question, Verdict, judge};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::namespace::Namespace;

const MANAGER_NAME: &str = "dirk-mgr";
const BOUNDARY: &str = "arn:aws:iam::111122223333:policy/Bound";

fn scope() -> Scope {
    let prefix = Prefix::parse("dirk").unwrap();
    Scope { partition: "aws", account: "111122223333".to_owned(), prefix }
}

fn user(name: &str) -> String {
    format!("arn:aws:iam::111122223333:user/{name}")
}

/// Everything in our own style.
fn ours() -> Vec<(&'static str, Document)> {
    let read = |value: Value| Document::from_json(&value).unwrap();
    vec![
        ("admin", read(admin(&scope(), None))),
        ("admin with a boundary", read(admin(&scope(), Some(BOUNDARY)))),
        ("refresh", read(refresh(&scope()))),
        ("lambda", read(lambda(&scope()))),
    ]
}

fn theirs() -> Vec<(&'static str, Document)> {
    let read = |value: Value| Document::from_json(&value).unwrap();
    vec![
        ("iam-sorry's admin", read(iam_sorry_admin(&scope()))),
        ("iam-sorry's refresh", read(iam_sorry_refresh(&scope()))),
        ("iam-sorry's lambda", read(iam_sorry_lambda(&scope(), true))),
    ]
}

/// `action` on `resource`, by the manager, with every tag and boundary that could help.
fn questions(action: &str, resource: &str) -> Vec<Question> {
    let bare = Question::new(action, resource).with("aws:username", MANAGER_NAME);
    let made = tagged(&bare, MANAGER_NAME).with("iam:PermissionsBoundary", BOUNDARY);
    let owned = |question: &Question, owner: &str| question.clone().with("iam:ResourceTag/owner", owner);
    vec![
        owned(&bare, MANAGER_NAME),
        owned(&bare, "eve"),
        owned(&made, MANAGER_NAME),
        owned(&made, "eve"),
        made,
        bare.clone().with("iam:PassedToService", "lambda.amazonaws.com"),
        bare,
    ]
}

/// With the two tags that a new user gets.
fn tagged(question: &Question, owner: &str) -> Question {
    let question = question.clone().with("aws:RequestTag/owner", owner).with("aws:TagKeys", "owner");
    question.with("aws:RequestTag/delegated-by", MANAGER_NAME).with("aws:TagKeys", "delegated-by")
}

fn ever_allowed(document: &Document, action: &str, resource: &str) -> bool {
    let allowed = |question: &Question| judge(std::slice::from_ref(document), None, question) == Verdict::Allowed;
    questions(action, resource).iter().any(allowed)
}

fn by_admin(boundary: Option<&str>, question: &Question) -> Verdict {
    judge(&[Document::from_json(&admin(&scope(), boundary)).unwrap()], None, question)
}

const GROUPS: [&str; 12] = [
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:CreateGroup",
    "iam:DeleteGroup",
    "iam:DeleteGroupPolicy",
    "iam:DetachGroupPolicy",
    "iam:GetGroup",
    "iam:ListGroups",
    "iam:ListGroupsForUser",
    "iam:PutGroupPolicy",
    "iam:RemoveUserFromGroup",
    "iam:UpdateGroup",
];
const UNTAG: [&str; 3] = ["iam:UntagUser", "iam:UntagRole", "iam:UntagPolicy"];
/// Ours do not let the tags of anything else be removed either.
const UNTAG_ALL: [&str; 3] = ["lambda:UntagResource", "dynamodb:UntagResource", "s3:PutBucketTagging"];
const POWERS: [&str; 22] = [
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicy",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:DeleteAccessKey",
    "iam:DeleteUser",
    "iam:DeleteUserPermissionsBoundary",
    "iam:GetAccessKeyLastUsed",
    "iam:GetUser",
    "iam:ListAccessKeys",
    "iam:ListUserTags",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:TagUser",
    "iam:UpdateAccessKey",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateUser",
    "sts:AssumeRole",
];

#[test]
fn no_document_allows_group_calls_or_the_removal_of_tags() {
    let resources =
        ["*".to_owned(), user("dirk-a"), user("alice"), "arn:aws:iam::111122223333:group/dirk-g".to_owned()];
    for (name, document) in ours().into_iter().chain(theirs()) {
        for (action, resource) in GROUPS.iter().chain(&UNTAG).flat_map(|a| resources.iter().map(move |r| (a, r))) {
            assert!(!ever_allowed(&document, action, resource), "{name}: {action} on {resource}");
        }
    }
    for (name, document) in ours() {
        for (action, service) in UNTAG_ALL.iter().zip(["lambda:r:1:function:", "dynamodb:r:1:table/", "s3:::"]) {
            let resource = format!("arn:aws:{service}dirk-x").replace(":1:", ":111122223333:");
            assert!(!ever_allowed(&document, action, &resource), "{name}: {action} on {resource}");
        }
    }
}

/// SHA-256 of what iam-sorry f29313d generates for `dirk` in the same account, without white space.
#[test]
fn the_predecessors_style_is_equal_to_the_predecessors_documents() {
    for (value, expected) in [
        (iam_sorry_admin(&scope()), "16d0425df13b097df7711960435ac379db9d3bf6ec9f4ac22bcdf1779ed03db8"),
        (iam_sorry_refresh(&scope()), "c70e14340ab2c3af55e0ce634ce2ceb9a36c374981c6b60ffcca7637bbabbb45"),
        (iam_sorry_lambda(&scope(), true), "94263d6fd753afb07bd43e4dee0e2dec28d4f903ce3def506adc10a99daf6713"),
        (iam_sorry_lambda(&scope(), false), "9cc74a374d41e2da8106a1400c66840cfea568c85fc4cf81868aef4bd5261f79"),
    ] {
        let digest: String = Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected, "{value:#}");
    }
}

#[test]
fn nothing_of_ours_reaches_outside_the_namespace() {
    let arn = |text: &str| format!("arn:aws:{text}");
    let outside = [
        user("alice"),
        user("dirkx"),
        user("Dirk-a"),
        user("team/dirk-a"),
        user("dirk/x"),
        arn("iam::111122223333:role/admin"),
        arn("iam::111122223333:role/iam-sorry-dirk-x"),
        arn("iam::111122223333:policy/dirk-x"),
        arn("iam::999999999999:user/dirk-a"),
        arn("iam::999999999999:role/dirk-a"),
    ];
    for (name, document) in ours() {
        for (action, resource) in POWERS.iter().flat_map(|a| outside.iter().map(move |r| (a, r))) {
            assert!(!ever_allowed(&document, action, resource), "{name}: {action} on {resource}");
        }
    }
    let document = Document::from_json(&lambda(&scope())).unwrap();
    for (action, resource) in [
        ("lambda:UpdateFunctionCode", arn("lambda:eu-west-1:111122223333:function:alice-f")),
        ("s3:GetObject", arn("s3:::dirk/x")),
        ("s3:GetObject", arn("s3:::alice-x/dirk-y/z")),
        ("dynamodb:Scan", arn("dynamodb:eu-west-1:999999999999:table/dirk-t")),
        ("logs:GetLogEvents", arn("logs:eu-west-1:111122223333:log-group:/aws/lambda/alice-f")),
    ] {
        assert!(!ever_allowed(&document, action, &resource), "{action} on {resource}");
    }
    assert!(ever_allowed(
        &document,
        "lambda:UpdateFunctionCode",
        &arn("lambda:eu-west-1:111122223333:function:dirk-f")
    ));
    assert!(ever_allowed(&document, "iam:PassRole", &arn("iam::111122223333:role/dirk-f")));
}

#[test]
fn a_manager_makes_tags_gives_away_and_cannot_take_back() {
    let ask = |action: &str, name: &str| Question::new(action, &user(name)).with("aws:username", MANAGER_NAME);
    let create = ask("iam:CreateUser", "dirk-a");
    assert_eq!(by_admin(None, &tagged(&create, MANAGER_NAME)), Verdict::Allowed);
    assert_eq!(by_admin(None, &create), Verdict::NotAllowed, "not without tags");
    assert_eq!(
        by_admin(None, &tagged(&create, "bob").with("aws:TagKeys", "admin")),
        Verdict::NotAllowed,
        "nor with more"
    );
    assert_eq!(
        by_admin(Some(BOUNDARY), &tagged(&create, MANAGER_NAME)),
        Verdict::NotAllowed,
        "nor without its boundary"
    );
    let bounded = tagged(&create, MANAGER_NAME).with("iam:PermissionsBoundary", BOUNDARY);
    assert_eq!(by_admin(Some(BOUNDARY), &bounded), Verdict::Allowed);
    let tag = tagged(&ask("iam:TagUser", "dirk-a"), "bob");
    let owned_by = |owner: &str| tag.clone().with("iam:ResourceTag/owner", owner);
    assert_eq!(by_admin(None, &tag), Verdict::Allowed);
    assert_eq!(by_admin(None, &owned_by(MANAGER_NAME)), Verdict::Allowed);
    assert_eq!(by_admin(None, &owned_by("bob")), Verdict::Denied);
    let shouted = ask("iam:TagUser", "dirk-a").with("aws:RequestTag/OWNER", "eve").with("aws:TagKeys", "OWNER");
    assert_eq!(by_admin(None, &shouted.with("iam:ResourceTag/owner", "bob")), Verdict::Denied, "another case");
    let forged =
        ask("iam:TagUser", "dirk-a").with("aws:RequestTag/delegated-by", "eve").with("aws:TagKeys", "delegated-by");
    assert_eq!(by_admin(None, &forged), Verdict::NotAllowed, "delegated by somebody else");
    let keys = |owner: &str| ask("iam:CreateAccessKey", "dirk-a").with("iam:ResourceTag/owner", owner);
    assert_eq!(
        [MANAGER_NAME, "bob"].map(|owner| by_admin(None, &keys(owner))),
        [Verdict::Allowed, Verdict::NotAllowed]
    );
    assert_eq!(by_admin(None, &ask("iam:CreateAccessKey", "dirk-a")), Verdict::NotAllowed, "nobody's user");
}

#[test]
fn a_manager_rotates_its_own_keys_and_touches_no_other_manager() {
    let ask = |action: &str, name: &str| Question::new(action, &user(name)).with("aws:username", MANAGER_NAME);
    let own = |action: &str| ask(action, MANAGER_NAME).with("iam:ResourceTag/bowline:manager", "dirk");
    for action in ["iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"] {
        assert_eq!(by_admin(None, &own(action)), Verdict::Allowed, "{action}");
        let other = ask(action, "dirk-deputy").with("iam:ResourceTag/owner", MANAGER_NAME);
        assert_eq!(by_admin(None, &other.with("iam:ResourceTag/bowline:manager", "dirk")), Verdict::Denied, "{action}");
        let iam_sorry = ask(action, "dirk-iam-sorry").with("iam:ResourceTag/owner", MANAGER_NAME);
        assert_eq!(by_admin(None, &iam_sorry), Verdict::Denied, "{action}");
    }
    assert_eq!(by_admin(None, &tagged(&own("iam:TagUser"), MANAGER_NAME)), Verdict::Denied);
    for action in POWERS.iter().filter(|action| !action.contains("AccessKey")) {
        let verdict = by_admin(None, &own(action));
        assert!(verdict != Verdict::Allowed || ["iam:GetUser", "iam:ListUserTags"].contains(action), "{action}");
    }
}

#[test]
fn documents_fit_into_managed_policies_and_know_their_partition() {
    for value in [admin(&scope(), Some(BOUNDARY)), refresh(&scope()), lambda(&scope())] {
        let length = value.to_string().chars().filter(|letter| !letter.is_whitespace()).count();
        assert!(length < 6144, "{length}");
    }
    let china = Scope { partition: "aws-cn", ..scope() };
    for value in [admin(&china, None), refresh(&china), lambda(&china), iam_sorry_admin(&china)] {
        assert!(!value.to_string().contains("arn:aws:"), "{value}");
    }
}

proptest! {
    /// The rule before the call and the policy after it agree about every name.
    #[test]
    fn rule_and_policy_agree(name in "(dirk|dirk-|Dirk|alice|)[a-z-]{0,4}|dirk-mgr|dirk-iam-sorry") {
        let rule = Namespace::of(MANAGER_NAME).unwrap().admit(&name).is_ok();
        let create = Question::new("iam:CreateUser", &user(&name)).with("aws:username", MANAGER_NAME);
        let policy = by_admin(None, &tagged(&create, MANAGER_NAME)) == Verdict::Allowed;
        prop_assert!(policy || !rule, "the policy refuses `{}`, which the rule admits", name);
        // A policy cannot ask that a name does not end with a hyphen.
        prop_assert!(rule || !policy || name.ends_with('-'), "the policy allows `{}`, which the rule refuses", name);
    }
}
