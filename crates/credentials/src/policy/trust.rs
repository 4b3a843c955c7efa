//! Who may become a role, for each way in which a machine gets one: a certificate, an instance, a task, a token of an
//! OIDC provider, another account. Each names the one it trusts as closely as AWS lets it.

use bowline_aws::{Partition, Region};
use bowline_base::policy::{Document, Principal, Statement};

/// What a certificate has to say. Empty: any certificate below the trust anchor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of the subject.
    pub subject_cn: Option<String>,
    /// Organizational unit of the subject.
    pub subject_ou: Option<String>,
    /// Common name of the issuer.
    pub issuer_cn: Option<String>,
    /// A DNS name among the alternative names.
    pub san_dns: Option<String>,
    /// A URI among the alternative names.
    pub san_uri: Option<String>,
}

impl Certificate {
    /// Tag names: the Roles Anywhere user guide, "Trust model".
    fn tags(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("x509Subject/CN", &self.subject_cn),
            ("x509Subject/OU", &self.subject_ou),
            ("x509Issuer/CN", &self.issuer_cn),
            ("x509SAN/DNS", &self.san_dns),
            ("x509SAN/URI", &self.san_uri),
        ];
        fields.into_iter().filter_map(|(tag, value)| Some((tag, value.as_deref()?)))
    }

    /// Whether any certificate below the anchor would do.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.tags().next().is_none()
    }
}

/// IAM Roles Anywhere: certificates below the trust anchor of that ARN.
#[must_use]
pub fn roles_anywhere(trust_anchor_arn: &str, certificate: &Certificate) -> Document {
    let statement = Statement::allow("BecomeByCertificate")
        .principal(Principal::Service("rolesanywhere.amazonaws.com".to_owned()))
        .actions(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"])
        .when("ArnEquals", "aws:SourceArn", [trust_anchor_arn]);
    let narrow = |statement: Statement, (tag, value): (&str, &str)| {
        statement.when_text(&format!("aws:PrincipalTag/{tag}"), value)
    };
    Document::new([certificate.tags().fold(statement, narrow)])
}

/// The instance profile of an EC2 instance. A role cannot be passed to an instance of another account, and EC2 does not
/// promise to say for which account it asks: where it does, it has to be this one.
#[must_use]
pub fn ec2(partition: Partition, account: &str) -> Document {
    let service = if partition == Partition::China { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
    let statement = Statement::allow("BecomeByInstance")
        .principal(Principal::Service(service.to_owned()))
        .actions(["sts:AssumeRole"]);
    Document::new([statement.when("StringEqualsIfExists", "aws:SourceAccount", [account])])
}

/// The task role of an ECS task, in `region` or in any.
#[must_use]
pub fn ecs(partition: Partition, account: &str, region: Option<&Region>) -> Document {
    let region = region.map_or("*", Region::as_str);
    let statement = Statement::allow("BecomeByTask")
        .principal(Principal::Service("ecs-tasks.amazonaws.com".to_owned()))
        .actions(["sts:AssumeRole"])
        .when("StringEquals", "aws:SourceAccount", [account])
        .when("ArnLike", "aws:SourceArn", [format!("arn:{}:ecs:{region}:{account}:*", partition.id())]);
    Document::new([statement])
}

/// Tokens of an OIDC provider for `audience` and `subject` (`*` and `?` stand for others). `issuer` is its URL, with or
/// without `https://`.
#[must_use]
pub fn web_identity(partition: Partition, account: &str, issuer: &str, audience: &str, subject: &str) -> Document {
    let issuer = issuer.trim_start_matches("https://").trim_end_matches('/');
    let provider = format!("arn:{}:iam::{account}:oidc-provider/{issuer}", partition.id());
    let statement = Statement::allow("BecomeByToken")
        .principal(Principal::Federated(provider))
        .actions(["sts:AssumeRoleWithWebIdentity"])
        .when("StringEquals", &format!("{issuer}:aud"), [audience]);
    Document::new([statement.when_text(&format!("{issuer}:sub"), subject)])
}

/// What another account's identity has to bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guest {
    /// The secret word that third parties agree on.
    pub external_id: Option<String>,
    /// A code of an MFA device.
    pub mfa: bool,
}

/// The identity of that ARN: a role, a user, or `arn:aws:iam::ACCOUNT:root` for whomever that account lets.
#[must_use]
pub fn account(principal_arn: &str, guest: &Guest) -> Document {
    let mut statement = Statement::allow("BecomeFromAccount")
        .principal(Principal::Aws(principal_arn.to_owned()))
        .actions(["sts:AssumeRole"]);
    if let Some(word) = &guest.external_id {
        statement = statement.when("StringEquals", "sts:ExternalId", [word]);
    }
    if guest.mfa {
        statement = statement.when("Bool", "aws:MultiFactorAuthPresent", ["true"]);
    }
    Document::new([statement])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn only(document: &Document) -> Value {
        let statements = document.json()["Statement"].clone();
        assert_eq!(statements.as_array().unwrap().len(), 1);
        assert_eq!(statements[0]["Resource"], Value::Null, "a trust document has no resource");
        statements[0].clone()
    }

    const ANCHOR: &str = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/t";

    #[test]
    fn a_certificate_is_trusted_below_one_anchor_and_under_its_names() {
        let certificate = Certificate {
            subject_cn: Some("site-1".to_owned()),
            san_dns: Some("*.example.com".to_owned()),
            ..Certificate::default()
        };
        let statement = only(&roles_anywhere(ANCHOR, &certificate));
        assert_eq!(statement["Principal"], json!({ "Service": "rolesanywhere.amazonaws.com" }));
        assert_eq!(statement["Action"], json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]));
        let expected = json!({
            "ArnEquals": { "aws:SourceArn": ANCHOR },
            "StringEquals": { "aws:PrincipalTag/x509Subject/CN": "site-1" },
            "StringLike": { "aws:PrincipalTag/x509SAN/DNS": "*.example.com" },
        });
        assert_eq!(statement["Condition"], expected);
        assert!(!certificate.is_any() && Certificate::default().is_any());
    }

    #[test]
    fn services_are_trusted_for_one_account() {
        let task = only(&ecs(Partition::Gov, "111122223333", None));
        assert_eq!(task["Condition"]["StringEquals"]["aws:SourceAccount"], "111122223333");
        assert_eq!(task["Condition"]["ArnLike"]["aws:SourceArn"], "arn:aws-us-gov:ecs:*:111122223333:*");
        let instance = only(&ec2(Partition::China, "111122223333"));
        assert_eq!(instance["Principal"], json!({ "Service": "ec2.amazonaws.com.cn" }));
        assert_eq!(instance["Condition"]["StringEqualsIfExists"]["aws:SourceAccount"], "111122223333");
    }

    #[test]
    fn a_token_is_trusted_for_its_audience_and_subject() {
        let issuer = "https://token.actions.githubusercontent.com/";
        let document = web_identity(Partition::Aws, "111122223333", issuer, "sts.amazonaws.com", "repo:corp/app:*");
        let statement = only(&document);
        let provider = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com";
        assert_eq!(statement["Principal"], json!({ "Federated": provider }));
        assert_eq!(statement["Action"], "sts:AssumeRoleWithWebIdentity");
        let expected = json!({
            "StringEquals": { "token.actions.githubusercontent.com:aud": "sts.amazonaws.com" },
            "StringLike": { "token.actions.githubusercontent.com:sub": "repo:corp/app:*" },
        });
        assert_eq!(statement["Condition"], expected);
    }

    #[test]
    fn a_guest_brings_what_was_agreed() {
        let guest = Guest { external_id: Some("word".to_owned()), mfa: true };
        let statement = only(&account("arn:aws:iam::444455556666:root", &guest));
        assert_eq!(statement["Condition"]["StringEquals"]["sts:ExternalId"], "word");
        assert_eq!(statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"], "true");
        assert_eq!(only(&account("arn:aws:iam::444455556666:role/x", &Guest::default()))["Condition"], Value::Null);
    }
}
