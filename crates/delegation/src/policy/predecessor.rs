//! iam-sorry's documents for managers and for those who refresh, equal as JSON: what is attached today can be told from
//! what is ours. They reach over the whole account; `docs/concepts` says where.

use serde_json::Value;

use super::{Scope, allow, deny, document};

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
