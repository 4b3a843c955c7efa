//! iam-sorry's documents, equal as JSON, for those who have them attached and want to tell what changed. They reach over
//! the whole account: a manager makes and tags anybody, and who deploys passes any role to Lambda.

use serde_json::{Value, json};

use super::{Scope, allow, deny, document, when};

pub(super) fn admin(scope: &Scope) -> Value {
    let users = scope.users().to_vec();
    let prefix = &scope.prefix;
    let roles = ["", "-*"].map(|end| scope.iam(&format!("role/iam-sorry-{prefix}{end}"))).to_vec();
    let anybody = format!("arn:{}:iam::*:user/*", scope.partition);
    let tags = ["iam:TagUser", "iam:ListUserTags"];
    document(vec![
        allow("CreateUsers", &["iam:CreateUser"], users.clone()),
        allow("CreateUsersDelegation", &["iam:CreateUser"], anybody.clone()),
        allow("ManageUserCredentials", CREDENTIALS, users.clone()),
        allow("ListUsersForLookup", &["iam:ListUsers", "iam:ListAccessKeys", "iam:GetUser"], "*"),
        allow("STSGetSessionToken", &["sts:GetSessionToken"], "*"),
        allow("ManageRestrictionTags", &tags, users.clone()),
        allow("ManageRestrictionTagsDelegation", &tags, anybody),
        deny("PreventTagRemovalOrModification", &["iam:UntagUser"], users),
        allow("ManageRoles", ROLES, roles),
        allow("ListRolesForLookup", LOOKUP, "*"),
    ])
}

pub(super) fn refresh(scope: &Scope) -> Value {
    let look = ["iam:GetUser", "iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"];
    document(vec![
        allow("GetCallerIdentity", &["sts:GetCallerIdentity"], "*"),
        allow("RefreshOwnCredentials", &["sts:GetSessionToken"], "*"),
        allow("ReadUserInfo", &look, scope.users().to_vec()),
    ])
}

/// `namespaced`: the role is one of iam-sorry's own, so that buckets and tables of the namespace are its too.
pub(super) fn lambda(scope: &Scope, namespaced: bool) -> Value {
    let mut pass = allow("IAMPassRoleForLambda", &[], scope.iam("role/*"));
    pass["Action"] = "iam:PassRole".into();
    let mut statements = vec![
        all("LambdaFunctionManagement", "lambda", FUNCTIONS, scope.regional("lambda", "function:*")),
        all("LambdaServiceOperations", "lambda", "ListFunctions", "*"),
        all("LambdaLayerManagement", "lambda", LAYERS, "*"),
        all("CloudFrontManagement", "cloudfront", CLOUD_FRONT, "*"),
        all("ACMCertificateManagement", "acm", CERTIFICATES, "*"),
        all("Route53Management", "route53", ZONES, "*"),
        when(pass, json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } })),
        all("IAMReadOnlyForRoles", "iam", "GetRole ListRoles ListRolePolicies GetRolePolicy", "*"),
    ];
    if namespaced {
        let named = format!("{}-*", scope.prefix);
        let table = |end: &str| scope.regional("dynamodb", &format!("table/{named}{end}"));
        let tables = json!([table(""), table("/index/*"), table("/stream/*")]);
        statements.extend([
            all("S3BucketManagement", "s3", BUCKETS, scope.s3(&named)),
            all("S3ObjectManagement", "s3", OBJECTS, scope.s3(&format!("{named}/*"))),
            all("S3ServiceOperations", "s3", "ListAllMyBuckets GetBucketLocation", "*"),
            all("DynamoDBTableManagement", "dynamodb", TABLES, tables),
            all("DynamoDBServiceOperations", "dynamodb", "ListTables DescribeLimits", "*"),
        ]);
    }
    document(statements)
}

/// Allows calls of one service, by their names.
fn all(sid: &str, service: &str, calls: &str, resources: impl Into<Value>) -> Value {
    let actions: Vec<String> = calls.split_whitespace().map(|call| format!("{service}:{call}")).collect();
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    allow(sid, &actions, resources)
}

const CREDENTIALS: &[&str] = &[
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:UpdateAccessKey",
    "iam:ListAccessKeys",
    "iam:GetAccessKeyLastUsed",
];
const ROLES: &[&str] =
    &["iam:CreateRole", "iam:GetRole", "iam:DeleteRole", "iam:UpdateAssumeRolePolicy", "iam:TagRole"];
const LOOKUP: &[&str] = &["iam:ListRoles", "iam:GetRole", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"];
const FUNCTIONS: &str = "CreateFunction DeleteFunction UpdateFunctionCode UpdateFunctionConfiguration GetFunction \
    GetFunctionConfiguration ListVersionsByFunction PublishVersion CreateAlias UpdateAlias DeleteAlias GetAlias ListAliases \
    AddPermission RemovePermission GetPolicy PutFunctionConcurrency DeleteFunctionConcurrency TagResource UntagResource \
    ListTags CreateFunctionUrlConfig DeleteFunctionUrlConfig UpdateFunctionUrlConfig GetFunctionUrlConfig";
const LAYERS: &str = "PublishLayerVersion DeleteLayerVersion GetLayerVersion ListLayerVersions ListLayers";
const CLOUD_FRONT: &str = "CreateDistribution UpdateDistribution DeleteDistribution GetDistribution \
    GetDistributionConfig ListDistributions CreateInvalidation GetInvalidation ListInvalidations TagResource UntagResource \
    ListTagsForResource CreateOriginAccessControl GetOriginAccessControl DeleteOriginAccessControl \
    UpdateOriginAccessControl";
const CERTIFICATES: &str = "RequestCertificate DescribeCertificate ListCertificates GetCertificate DeleteCertificate \
    AddTagsToCertificate ListTagsForCertificate RemoveTagsFromCertificate";
const ZONES: &str = "ListHostedZones GetHostedZone ListResourceRecordSets ChangeResourceRecordSets GetChange";
const BUCKETS: &str = "CreateBucket DeleteBucket ListBucket GetBucketLocation GetBucketVersioning PutBucketVersioning \
    GetBucketCORS PutBucketCORS GetBucketWebsite PutBucketWebsite DeleteBucketWebsite GetBucketPolicy PutBucketPolicy \
    DeleteBucketPolicy GetBucketTagging PutBucketTagging";
const OBJECTS: &str = "GetObject PutObject DeleteObject GetObjectVersion DeleteObjectVersion GetObjectAttributes \
    PutObjectAcl GetObjectAcl ListMultipartUploadParts AbortMultipartUpload";
const TABLES: &str = "CreateTable DeleteTable DescribeTable UpdateTable GetItem PutItem UpdateItem DeleteItem Query Scan \
    BatchGetItem BatchWriteItem ConditionCheckItem DescribeTimeToLive UpdateTimeToLive TagResource UntagResource \
    ListTagsOfResource";
