//! Policies judged: every operator, missing keys, sets, and what is refused when it is read.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MANAGER: &str = "arn:aws:iam::111122223333:user/dirk-mgr";
const TARGET: &str = "arn:aws:iam::111122223333:user/dirk-bedrock";

fn document(value: Value) -> Document {
    Document::from_json(&value).unwrap()
}

fn statement(statement: Value) -> Document {
    document(json!({"Version": "2012-10-17", "Statement": [statement]}))
}

/// Whether a statement that allows `iam:TagUser` under `condition` allows it.
fn met(condition: Value, context: &[(&str, &str)]) -> bool {
    let policy =
        statement(json!({"Effect": "Allow", "Action": "iam:TagUser", "Resource": "*", "Condition": condition}));
    let start = Question::new("iam:TagUser", TARGET);
    let question = context.iter().fold(start, |question, (key, value)| question.with(key, value));
    judge(&[policy], None, &question) == Verdict::Allowed
}

#[test]
fn a_deny_wins_and_a_boundary_only_narrows() {
    let ask = |policies: &[Document], boundary: Option<&Document>| {
        judge(policies, boundary, &Question::new("iam:createuser", TARGET))
    };
    let allow =
        statement(json!({"Effect": "Allow", "Action": "iam:Create*", "Resource": "arn:aws:iam::*:user/dirk-*"}));
    let deny = statement(json!({"Effect": "Deny", "NotAction": "sts:*", "Resource": "*"}));
    let narrow = statement(json!({"Effect": "Allow", "Action": ["s3:*", "bedrock:*"], "Resource": "*"}));
    let everything = statement(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
    assert_eq!(ask(&[], None), Verdict::NotAllowed);
    assert_eq!(ask(std::slice::from_ref(&allow), None), Verdict::Allowed);
    assert_eq!(ask(&[allow.clone(), deny.clone()], None), Verdict::Denied);
    assert_eq!(ask(std::slice::from_ref(&allow), Some(&deny)), Verdict::Denied);
    assert_eq!(ask(std::slice::from_ref(&allow), Some(&narrow)), Verdict::OutsideBoundary);
    assert_eq!(ask(&[], Some(&everything)), Verdict::NotAllowed, "a boundary gives nothing");
}

#[test]
fn resources_are_matched_with_their_case_and_can_be_all_but_some() {
    let ask = |policy: &Value, resource: &str| {
        let question = Question::new("iam:CreateAccessKey", resource).with("aws:username", "dirk-mgr");
        judge(&[statement(policy.clone())], None, &question) == Verdict::Allowed
    };
    let own = json!({"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/${aws:username}"});
    assert!(ask(&own, MANAGER) && !ask(&own, TARGET));
    let others = json!({"Effect": "Allow", "Action": "iam:*", "NotResource": "arn:aws:iam::*:user/${aws:username}"});
    assert!(!ask(&others, MANAGER) && ask(&others, TARGET));
    let namespace = json!({"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/dirk-*"});
    assert!(ask(&namespace, TARGET) && !ask(&namespace, "arn:aws:iam::111122223333:user/Dirk-x"));
}

#[test]
fn a_missing_key_meets_only_what_aws_says_it_meets() {
    let met_by_nothing = |operator: &str| met(json!({operator: {"iam:ResourceTag/owner": "dirk"}}), &[]);
    for operator in ["StringEquals", "StringLike", "ArnLike", "NumericLessThan", "Bool", "ForAnyValue:StringEquals"] {
        assert!(!met_by_nothing(operator), "{operator}");
    }
    for operator in [
        "StringNotEquals",
        "StringNotLike",
        "ArnNotLike",
        "StringEqualsIfExists",
        "BoolIfExists",
        "ForAllValues:StringEquals",
    ] {
        assert!(met_by_nothing(operator), "{operator}");
    }
    assert!(met(json!({"Null": {"iam:ResourceTag/owner": "true"}}), &[]));
    assert!(!met(json!({"Null": {"iam:ResourceTag/owner": true}}), &[("iam:resourcetag/OWNER", "dirk")]));
    assert!(met(json!({"Null": {"iam:ResourceTag/owner": "false"}}), &[("iam:ResourceTag/owner", "")]));
}

#[test]
fn sets_are_compared_value_by_value() {
    let keys = json!(["owner", "delegated-by"]);
    let tagged = |names: &[&str], operator: &str| {
        let context: Vec<_> = names.iter().map(|name| ("aws:TagKeys", *name)).collect();
        met(json!({operator: {"aws:TagKeys": keys}}), &context)
    };
    assert!(tagged(&["owner", "delegated-by"], "ForAllValues:StringEquals"));
    assert!(!tagged(&["owner", "team"], "ForAllValues:StringEquals"));
    assert!(!tagged(&["Owner"], "ForAllValues:StringEquals"), "values have case, names of keys have none");
    assert!(tagged(&["owner", "team"], "ForAnyValue:StringEquals"));
    assert!(tagged(&["owner", "team"], "ForAnyValue:StringNotEquals"));
    assert!(!tagged(&["owner", "team"], "ForAllValues:StringNotEquals"));
    assert!(!tagged(&["owner", "team"], "StringNotEquals"));
}

#[test]
fn every_operator_compares_as_its_name_says() {
    let context = [
        ("aws:username", "dirk-mgr"),
        ("aws:PrincipalTag/team", "blue"),
        ("aws:RequestTag/owner", "dirk-mgr"),
        ("aws:MultiFactorAuthPresent", "true"),
        ("aws:MultiFactorAuthAge", "90"),
        ("aws:CurrentTime", "2026-11-22T02:00:00Z"),
        ("iam:PermissionsBoundary", "arn:aws:iam::111122223333:policy/Boundary"),
    ];
    for (condition, expected) in [
        (json!({"StringEquals": {"aws:RequestTag/owner": "${aws:username}"}}), true),
        (json!({"StringEquals": {"aws:RequestTag/owner": "${aws:PrincipalTag/none}"}}), false),
        (json!({"StringEquals": {"aws:PrincipalTag/team": ["red", "blue"]}}), true),
        (json!({"StringEquals": {"aws:PrincipalTag/team": "b*"}}), false),
        (json!({"StringNotEquals": {"aws:PrincipalTag/team": ["red", "blue"]}}), false),
        (json!({"StringEqualsIgnoreCase": {"aws:PrincipalTag/team": "BLUE"}}), true),
        (json!({"StringLike": {"aws:PrincipalTag/team": "b?u*"}}), true),
        (json!({"ArnLike": {"iam:PermissionsBoundary": "arn:aws:iam::*:policy/Bound*"}}), true),
        (json!({"ArnNotEquals": {"iam:PermissionsBoundary": "arn:aws:iam::*:policy/Other"}}), true),
        (json!({"Bool": {"aws:MultiFactorAuthPresent": true}}), true),
        (json!({"NumericLessThan": {"aws:MultiFactorAuthAge": 90}}), false),
        (json!({"NumericLessThanEquals": {"aws:MultiFactorAuthAge": "90"}}), true),
        (json!({"NumericNotEquals": {"aws:MultiFactorAuthAge": "90.0"}}), false),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-22T01:59:59Z"}}), true),
        (json!({"DateLessThan": {"aws:CurrentTime": "1700000000"}}), false),
        (json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}, "StringEquals": {"aws:username": "x"}}), false),
    ] {
        assert_eq!(met(condition.clone(), &context), expected, "{condition}");
    }
}

#[test]
fn what_is_not_understood_is_refused_when_it_is_read() {
    let refused = |value: Value| Document::from_json(&value).unwrap_err().to_string();
    let with = |name: &str, value: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"});
        statement[name] = value;
        refused(json!({"Version": "2012-10-17", "Statement": [statement]}))
    };
    assert!(with("Principal", json!("*")).contains("Principal"));
    assert!(with("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})).contains("IpAddress"));
    assert!(with("Condition", json!({"ForSome:StringEquals": {"aws:x": "y"}})).contains("ForSome"));
    assert!(with("Action", json!("CreateUser")).contains("vendor"));
    assert!(with("NotAction", json!("iam:*")).contains("one of Action and NotAction"));
    assert!(with("Resource", json!("user/dirk")).contains("ARN"));
    assert!(with("Resource", json!([])).contains("Syntax"));
    assert!(with("Effect", json!("allow")).contains("effect"));
    assert!(refused(json!({"Version": "2012-10-18", "Statement": []})).contains("version"));
    assert!(Document::parse("{\"Version\":").is_err());
    let twice = json!({"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"});
    assert!(refused(json!({"Statement": [twice, twice]})).contains("unique"));
}

proptest! {
    #[test]
    fn a_deny_of_everything_leaves_nothing(action in "[a-z]{2,4}:[A-Za-z]{1,8}", resource in "[a-z:/*-]{0,30}") {
        let all = |effect: &str| statement(json!({"Effect": effect, "Action": "*", "Resource": "*"}));
        let question = Question::new(&action, &resource);
        prop_assert_eq!(judge(&[all("Allow"), all("Deny")], None, &question), Verdict::Denied);
        prop_assert_eq!(judge(&[all("Allow")], None, &question), Verdict::Allowed);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\":,a-zA-Z*]{0,60}") {
        let _ = Document::parse(&text);
    }
}
