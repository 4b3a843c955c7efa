//! STS: role sessions, and who we are. The query protocol: a form goes out, XML comes back.

use std::time::Duration;

use bowline_base::{Credentials, Identity, KeyId, Secret, parse_timestamp};

use crate::{
    Aws, Error, Region, Service,
    drive::drive,
    request::{Auth, Request},
    xml::Element,
};

/// What to ask of `AssumeRole`.
#[derive(Clone, Debug)]
pub struct AssumeRole {
    /// `arn:aws:iam::123456789012:role/deploy`.
    pub role_arn: String,
    /// 2 to 64 of `[\w+=,.@-]`; shows in CloudTrail.
    pub session_name: String,
    /// Length of the session, 15 min to 12 h; AWS takes 1 h when absent.
    pub duration: Option<Duration>,
    /// What the role's trust policy asks of third parties.
    pub external_id: Option<String>,
    /// An inline policy (JSON) that narrows the session.
    pub policy: Option<String>,
    /// Serial number or ARN of the MFA device, with `token_code`.
    pub serial_number: Option<String>,
    /// The six digits that the MFA device shows now.
    pub token_code: Option<Secret>,
    /// Shows in CloudTrail across role chains.
    pub source_identity: Option<String>,
    /// ARNs of managed policies that narrow the session.
    pub policy_arns: Vec<String>,
    /// Session tags, key and value.
    pub tags: Vec<(String, String)>,
    /// Keys of tags that a role assumed from this one keeps.
    pub transitive_tags: Vec<String>,
}

impl AssumeRole {
    /// Asks for `role_arn` under `session_name` and nothing else.
    #[must_use]
    pub fn new(role_arn: impl Into<String>, session_name: impl Into<String>) -> Self {
        Self {
            role_arn: role_arn.into(),
            session_name: session_name.into(),
            duration: None,
            external_id: None,
            policy: None,
            serial_number: None,
            token_code: None,
            source_identity: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            transitive_tags: Vec::new(),
        }
    }

    /// The query protocol counts lists from 1: `Tags.member.1.Key`.
    fn lists(&self) -> Vec<(String, &str)> {
        let policies =
            (1..).zip(&self.policy_arns).map(|(n, arn)| (format!("PolicyArns.member.{n}.arn"), arn.as_str()));
        let tags = (1..).zip(&self.tags).flat_map(|(n, (key, value))| {
            [(format!("Tags.member.{n}.Key"), key.as_str()), (format!("Tags.member.{n}.Value"), value.as_str())]
        });
        let kept =
            (1..).zip(&self.transitive_tags).map(|(n, key)| (format!("TransitiveTagKeys.member.{n}"), key.as_str()));
        policies.chain(tags).chain(kept).collect()
    }
}

/// What to ask of `GetSessionToken`.
#[derive(Clone, Debug, Default)]
pub struct GetSessionToken {
    /// Length of the session, 15 min to 36 h; AWS takes 12 h when absent.
    pub duration: Option<Duration>,
    /// Serial number or ARN of the MFA device, with `token_code`.
    pub serial_number: Option<String>,
    /// The six digits that the MFA device shows now.
    pub token_code: Option<Secret>,
}

/// What to ask of `AssumeRoleWithWebIdentity`.
#[derive(Clone, Debug)]
pub struct AssumeRoleWithWebIdentity {
    /// `arn:aws:iam::123456789012:role/deploy`.
    pub role_arn: String,
    /// 2 to 64 of `[\w+=,.@-]`; shows in CloudTrail.
    pub session_name: String,
    /// The OIDC token. Its file rotates: read it anew before every call.
    pub token: Secret,
    /// Length of the session, 15 min to 12 h; AWS takes 1 h when absent.
    pub duration: Option<Duration>,
}

/// A role session.
#[derive(Clone, Debug)]
pub struct AssumedRole {
    /// With the account of the role and `obtained_at` from the wire's clock.
    pub credentials: Credentials,
    /// `arn:aws:sts::123456789012:assumed-role/deploy/session`.
    pub arn: String,
}

/// Who AWS takes us for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Twelve digits.
    pub account: String,
    /// The user's or the session's ARN.
    pub arn: String,
    /// The unique id of the user or role session.
    pub user_id: String,
}

/// Signs in as a role with the keys of `identity`.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn assume_role(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &AssumeRole,
) -> Result<AssumedRole, Error> {
    let seconds = request.duration.map(|time| time.as_secs().to_string());
    let lists = request.lists();
    let mut form = vec![
        ("RoleArn", Some(request.role_arn.as_str())),
        ("RoleSessionName", Some(&request.session_name)),
        ("DurationSeconds", seconds.as_deref()),
        ("ExternalId", request.external_id.as_deref()),
        ("Policy", request.policy.as_deref()),
        ("SerialNumber", request.serial_number.as_deref()),
        ("TokenCode", request.token_code.as_ref().map(Secret::expose)),
        ("SourceIdentity", request.source_identity.as_deref()),
    ];
    form.extend(lists.iter().map(|(name, value)| (name.as_str(), Some(*value))));
    let result = query(aws, region, Some(identity), "AssumeRole", &form).await?;
    session(aws, "AssumeRole", &result)
}

/// Trades a web identity token for a role session. Not signed: the token is the proof.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn assume_role_with_web_identity(
    aws: &Aws,
    region: &Region,
    request: &AssumeRoleWithWebIdentity,
) -> Result<AssumedRole, Error> {
    let seconds = request.duration.map(|time| time.as_secs().to_string());
    let form = [
        ("RoleArn", Some(request.role_arn.as_str())),
        ("RoleSessionName", Some(&request.session_name)),
        ("WebIdentityToken", Some(request.token.expose())),
        ("DurationSeconds", seconds.as_deref()),
    ];
    let result = query(aws, region, None, "AssumeRoleWithWebIdentity", &form).await?;
    session(aws, "AssumeRoleWithWebIdentity", &result)
}

/// Trades the long-lived keys of `identity` for a session, with the proof of an MFA device if there is one.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn session_token(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &GetSessionToken,
) -> Result<Credentials, Error> {
    let seconds = request.duration.map(|time| time.as_secs().to_string());
    let form = [
        ("DurationSeconds", seconds.as_deref()),
        ("SerialNumber", request.serial_number.as_deref()),
        ("TokenCode", request.token_code.as_ref().map(Secret::expose)),
    ];
    let result = query(aws, region, Some(identity), "GetSessionToken", &form).await?;
    credentials(aws, "GetSessionToken", &result, None)
}

/// Asks AWS who `identity` is; needs no permission.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn caller_identity(aws: &Aws, region: &Region, identity: &dyn Identity) -> Result<CallerIdentity, Error> {
    let operation = "GetCallerIdentity";
    let result = query(aws, region, Some(identity), operation, &[]).await?;
    let text = |name| result.text_at(&[name]).map(str::to_owned).ok_or_else(|| nonsense(operation));
    Ok(CallerIdentity { account: text("Account")?, arn: text("Arn")?, user_id: text("UserId")? })
}

async fn query(
    aws: &Aws,
    region: &Region,
    identity: Option<&dyn Identity>,
    operation: &'static str,
    form: &[(&str, Option<&str>)],
) -> Result<Element, Error> {
    let base = aws.endpoints().base(Service::Sts, region);
    let mut request = Request::post(Service::Sts, operation, base, "/").form("2011-06-15", form);
    if identity.is_some() {
        request = request.auth(Auth::signed(region, Service::Sts));
    }
    let answer = drive(aws, request, identity).await?;
    let document = Element::parse(&answer.body).map_err(|_| answer.nonsense("an STS answer"))?;
    let result = format!("{operation}Result");
    document.take(&result).ok_or_else(|| answer.nonsense("an STS answer"))
}

fn session(aws: &Aws, operation: &'static str, result: &Element) -> Result<AssumedRole, Error> {
    let text = |path: &[&str]| result.text_at(path).map(str::to_owned).ok_or_else(|| nonsense(operation));
    let arn = text(&["AssumedRoleUser", "Arn"])?;
    let credentials = credentials(aws, operation, result, account_of(&arn))?;
    Ok(AssumedRole { credentials, arn })
}

fn credentials(
    aws: &Aws,
    operation: &'static str,
    result: &Element,
    account_id: Option<String>,
) -> Result<Credentials, Error> {
    let text = |path: &[&str]| result.text_at(path).map(str::to_owned).ok_or_else(|| nonsense(operation));
    let end = text(&["Credentials", "Expiration"])?;
    Ok(Credentials {
        key_id: KeyId::new(text(&["Credentials", "AccessKeyId"])?),
        secret_key: Secret::new(text(&["Credentials", "SecretAccessKey"])?),
        session_token: Some(Secret::new(text(&["Credentials", "SessionToken"])?)),
        expires_at: Some(parse_timestamp(&end).map_err(|_| nonsense(operation))?),
        obtained_at: aws.wall(),
        account_id,
    })
}

fn nonsense(operation: &'static str) -> Error {
    Error::nonsense(Service::Sts, operation, Some(200), "an STS answer")
}

/// The account in an ARN: `arn:partition:service:region:ACCOUNT:rest`.
fn account_of(arn: &str) -> Option<String> {
    arn.split(':').nth(4).filter(|account| !account.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use bowline_base::{FixedIdentity, Kind, utc};

    use super::*;
    use crate::scripted::{Scripted, answer, keys, region, start};

    const SESSION: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/deploy/s</Arn></AssumedRoleUser>
        <Credentials><AccessKeyId>ASIANEW</AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey>
        <SessionToken>t&amp;t</SessionToken><Expiration>2026-11-22T03:00:00Z</Expiration></Credentials>
        <News>ignored</News></AssumeRoleResult></AssumeRoleResponse>"#;

    fn identity() -> FixedIdentity {
        FixedIdentity::new(keys("ASIAEXAMPLE"))
    }

    #[tokio::test]
    async fn a_role_session_comes_with_its_times_and_account() {
        let wire = Scripted::new(vec![answer(200, SESSION)]);
        let mut request = AssumeRole::new("arn:aws:iam::123456789012:role/deploy", "a b");
        request.duration = Some(Duration::from_secs(900));
        let role = assume_role(&wire.aws(), &region(), &identity(), &request).await.unwrap();
        assert_eq!((role.credentials.key_id.as_str(), role.credentials.obtained_at), ("ASIANEW", start()));
        assert_eq!(role.credentials.session_token.unwrap().expose(), "t&t");
        assert_eq!(role.credentials.account_id.as_deref(), Some("123456789012"));
        assert_eq!(role.credentials.expires_at.map(utc).as_deref(), Some("2026-11-22T03:00:00Z"));
        let sent = wire.sent.lock().unwrap();
        assert_eq!(
            sent[0].body(),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeploy\
             &RoleSessionName=a%20b&DurationSeconds=900"
        );
    }

    #[tokio::test]
    async fn lists_are_counted_from_one() {
        let wire = Scripted::new(vec![answer(200, SESSION)]);
        let mut request = AssumeRole::new("r", "s");
        request.tags = vec![("team".to_owned(), "a b".to_owned()), ("stage".to_owned(), String::new())];
        request.transitive_tags = vec!["team".to_owned()];
        request.policy_arns = vec!["arn:p".to_owned()];
        assume_role(&wire.aws(), &region(), &identity(), &request).await.unwrap();
        let body = String::from_utf8(wire.sent.lock().unwrap()[0].body().to_vec()).unwrap();
        let lists = "&PolicyArns.member.1.arn=arn%3Ap&Tags.member.1.Key=team&Tags.member.1.Value=a%20b\
                     &Tags.member.2.Key=stage&Tags.member.2.Value=&TransitiveTagKeys.member.1=team";
        assert!(body.ends_with(lists), "{body}");
    }

    #[tokio::test]
    async fn a_session_token_goes_with_the_proof_of_the_device() {
        let wire = Scripted::new(vec![answer(200, &SESSION.replace("AssumeRoleRes", "GetSessionTokenRes"))]);
        let request = GetSessionToken {
            serial_number: Some("arn:m".to_owned()),
            token_code: Some(Secret::new("123456")),
            ..GetSessionToken::default()
        };
        let session = session_token(&wire.aws(), &region(), &identity(), &request).await.unwrap();
        assert_eq!((session.key_id.as_str(), session.account_id), ("ASIANEW", None));
        let body = wire.sent.lock().unwrap()[0].body().clone();
        assert!(body.ends_with(b"&SerialNumber=arn%3Am&TokenCode=123456"), "{body:?}");
    }

    #[tokio::test]
    async fn a_web_identity_is_not_signed() {
        let wire = Scripted::new(vec![answer(200, &SESSION.replace("AssumeRoleRes", "AssumeRoleWithWebIdentityRes"))]);
        let request = AssumeRoleWithWebIdentity {
            role_arn: "arn:aws:iam::123456789012:role/deploy".to_owned(),
            session_name: "s".to_owned(),
            token: Secret::new("jwt"),
            duration: None,
        };
        assume_role_with_web_identity(&wire.aws(), &region(), &request).await.unwrap();
        assert_eq!((wire.header(0, "authorization"), wire.header(0, "x-amz-date")), (String::new(), String::new()));
    }

    #[tokio::test]
    async fn nonsense_is_said_to_be_nonsense() {
        let cut = &SESSION[..300];
        let without_keys = SESSION.replace("SecretAccessKey", "Other");
        let soon = SESSION.replace("2026-11-22T03:00:00Z", "soon");
        for body in ["", "<html>Welcome", "{}", cut, &without_keys, &soon] {
            let wire = Scripted::new(vec![answer(200, body)]);
            let error = assume_role(&wire.aws(), &region(), &identity(), &AssumeRole::new("r", "s")).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unreachable, "{body}");
            let told = "`AssumeRole`: sts answered with something that is not an STS answer (status 200)";
            assert_eq!(error.to_string(), told, "{body}");
        }
    }

    #[tokio::test]
    async fn a_refusal_tells_what_aws_said() {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User x\n is not \
                    authorized.</Message></Error><RequestId>r-1</RequestId></ErrorResponse>";
        let wire = Scripted::new(vec![answer(403, body)]);
        let error = caller_identity(&wire.aws(), &region(), &identity()).await.unwrap_err();
        let told =
            "`GetCallerIdentity` refused by sts: User x is not authorized (AccessDenied, status 403, request r-1)";
        assert_eq!((error.to_string().as_str(), error.request_id()), (told, Some("r-1")));
    }
}
