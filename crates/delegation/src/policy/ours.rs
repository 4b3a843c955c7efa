//! Our own documents: everything in the namespace, nothing beside it.

use serde_json::{Value, json};

use super::{DELEGATED_BY, MANAGER, OWNER, Scope, allow, deny, document, when};

/// Whoever asks, by name: documents need no editing when another manager gets them.
const ME: &str = "${aws:username}";
const KEYS: [&str; 4] = ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys", "iam:UpdateAccessKey"];
const LOOK: [&str; 3] = ["iam:GetAccessKeyLastUsed", "iam:GetUser", "iam:ListUserTags"];

pub(super) fn admin(scope: &Scope, boundary: Option<&str>) -> Value {
    let users = scope.users();
    let oneself = scope.iam(&format!("user/{ME}"));
    let mut made = json!({
        "StringEquals": { request(DELEGATED_BY): ME },
        "Null": { request(OWNER): "false" },
        "ForAllValues:StringEquals": { "aws:TagKeys": [OWNER, DELEGATED_BY] },
    });
    if let Some(arn) = boundary {
        made["ArnEquals"] = json!({ "iam:PermissionsBoundary": arn });
    }
    document(vec![
        when(allow("CreateTagged", &["iam:CreateUser"], users.to_vec()), made),
        when(
            allow("TagUnowned", &["iam:TagUser"], users.to_vec()),
            tags(json!({ "Null": { resource(OWNER): "true" } })),
        ),
        when(
            allow("GiveAway", &["iam:TagUser"], users.to_vec()),
            tags(json!({ "StringEquals": { resource(OWNER): ME } })),
        ),
        when(allow("KeysOfOwned", &KEYS, users.to_vec()), json!({ "StringEquals": { resource(OWNER): ME } })),
        allow("Look", &[&KEYS[2..3], &LOOK].concat(), users.to_vec()),
        allow("RotateOwnKeys", &[&KEYS[..], &LOOK].concat(), oneself.clone()),
        allow("ListUsers", &["iam:ListUsers"], "*"),
        when(
            deny("KeepOwners", &["iam:TagUser"], "*"),
            json!({ "Null": { resource(OWNER): "false" }, "StringNotEquals": { resource(OWNER): ME } }),
        ),
        deny("KeepTags", &["iam:UntagUser"], "*"),
        deny("NotOneself", &["iam:CreateUser", "iam:TagUser"], oneself.clone()),
        not_other_managers(&oneself),
        not_the_predecessors_manager(scope),
    ])
}

pub(super) fn refresh(scope: &Scope) -> Value {
    let users = scope.users();
    let oneself = scope.iam(&format!("user/{ME}"));
    document(vec![
        when(allow("KeysOfOwned", &KEYS, users.to_vec()), json!({ "StringEquals": { resource(OWNER): ME } })),
        allow("Look", &[&KEYS[2..3], &LOOK].concat(), users.to_vec()),
        not_other_managers(&oneself),
        not_the_predecessors_manager(scope),
    ])
}

pub(super) fn lambda(scope: &Scope) -> Value {
    let prefix = &scope.prefix;
    let named = format!("{prefix}-*");
    let function = scope.regional("lambda", &format!("function:{named}"));
    let layer = scope.regional("lambda", &format!("layer:{named}"));
    let logs = scope.regional("logs", &format!("log-group:/aws/lambda/{named}"));
    let table = scope.regional("dynamodb", &format!("table/{named}"));
    let (bucket, objects) = (scope.s3(&named), scope.s3(&format!("{named}/*")));
    document(vec![
        allow("Functions", FUNCTIONS, function),
        allow("Layers", LAYERS, layer),
        allow("Logs", &["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"], logs),
        when(
            allow("PassRole", &["iam:PassRole"], scope.iam(&format!("role/{named}"))),
            json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } }),
        ),
        allow("Buckets", BUCKETS, bucket),
        allow("Objects", &["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"], objects),
        allow("Tables", TABLES, json!([table, format!("{table}/index/*")])),
        allow("Lists", &["dynamodb:ListTables", "lambda:ListFunctions", "s3:ListAllMyBuckets"], "*"),
    ])
}

const FUNCTIONS: &[&str] = &[
    "lambda:CreateAlias",
    "lambda:CreateFunction",
    "lambda:CreateFunctionUrlConfig",
    "lambda:DeleteAlias",
    "lambda:DeleteFunction",
    "lambda:DeleteFunctionUrlConfig",
    "lambda:Get*",
    "lambda:InvokeFunction",
    "lambda:ListAliases",
    "lambda:ListTags",
    "lambda:ListVersionsByFunction",
    "lambda:PublishVersion",
    "lambda:PutFunctionConcurrency",
    "lambda:UpdateAlias",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
    "lambda:UpdateFunctionUrlConfig",
];
const LAYERS: &[&str] =
    &["lambda:DeleteLayerVersion", "lambda:GetLayerVersion", "lambda:ListLayerVersions", "lambda:PublishLayerVersion"];
const BUCKETS: &[&str] =
    &["s3:CreateBucket", "s3:DeleteBucket", "s3:GetBucketLocation", "s3:ListBucket", "s3:PutBucketVersioning"];
const TABLES: &[&str] = &[
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:CreateTable",
    "dynamodb:DeleteItem",
    "dynamodb:DeleteTable",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
    "dynamodb:UpdateTable",
];

/// Whoever an administrator marked as a manager is out of reach, but for oneself.
fn not_other_managers(oneself: &str) -> Value {
    json!({
        "Sid": "NotOtherManagers", "Effect": "Deny", "Action": "iam:*", "NotResource": oneself,
        "Condition": { "Null": { resource(MANAGER): "false" } },
    })
}

/// The predecessor's managers bear no mark, but a name.
fn not_the_predecessors_manager(scope: &Scope) -> Value {
    let name = format!("{}-iam-sorry", scope.prefix);
    let statement = deny("NotIamSorry", &["iam:*"], scope.iam(&format!("user/{name}")));
    when(statement, json!({ "StringNotEquals": { "aws:username": name } }))
}

/// A tag may say who the owner is and who delegated, and the latter truthfully.
fn tags(mut conditions: Value) -> Value {
    conditions["ForAllValues:StringEquals"] = json!({ "aws:TagKeys": [OWNER, DELEGATED_BY] });
    conditions["StringEqualsIfExists"] = json!({ request(DELEGATED_BY): ME });
    conditions
}

fn request(tag: &str) -> String {
    format!("aws:RequestTag/{tag}")
}

fn resource(tag: &str) -> String {
    format!("iam:ResourceTag/{tag}")
}
