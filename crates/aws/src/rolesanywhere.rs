//! IAM Roles Anywhere: a certificate, traded for the credentials of a role.
//!
//! `CreateSession` is in no public service model. Whoever holds the private key hands in a [`Signer`]; this module
//! knows no file and no key.

use std::{sync::Arc, time::Duration};

use bowline_base::{Credentials, Fault, KeyId, Kind, Secret, parse_timestamp};
use serde_json::json;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    json::Object,
    request::{Auth, Request},
};

/// The family of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA: PKCS#1 v1.5 over SHA-256.
    Rsa,
    /// An elliptic curve: ECDSA over SHA-256, as the DER sequence of two integers.
    Ecdsa,
}

/// A certificate and the use of its private key.
pub trait Signer: Send + Sync {
    /// What the key is.
    fn algorithm(&self) -> Algorithm;
    /// The certificate of the key, DER.
    fn certificate(&self) -> &[u8];
    /// The certificates between it and the trust anchor, DER, the issuer first.
    fn chain(&self) -> &[Vec<u8>];
    /// The certificate's serial number in decimal digits.
    fn serial(&self) -> &str;
    /// Signs `message`, hashing it with SHA-256.
    ///
    /// # Errors
    /// The key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault>;
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSession {
    /// ARN of the trust anchor: the CA that AWS knows.
    pub trust_anchor_arn: String,
    /// ARN of the Roles Anywhere profile.
    pub profile_arn: String,
    /// ARN of the role.
    pub role_arn: String,
    /// Whole seconds, 900 to 43200. The answer may be shorter.
    pub duration: Duration,
    /// Only where the profile accepts one; else the certificate's serial is the name.
    pub session_name: Option<String>,
}

/// A session of a role.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its credentials. `obtained_at` is the wire's clock.
    pub credentials: Credentials,
    /// The assumed role's ARN.
    pub arn: String,
}

/// The region that the service is called in: that of the trust anchor, which the profile must share.
///
/// # Errors
/// A `Config` fault that shows the ARN.
pub fn region_of(trust_anchor_arn: &str, profile_arn: &str) -> Result<Region, Fault> {
    let anchor = region_in(trust_anchor_arn, "trust-anchor")?;
    let profile = region_in(profile_arn, "profile")?;
    if anchor == profile {
        return Ok(anchor);
    }
    let message = format!("the trust anchor is in `{anchor}` and the Roles Anywhere profile in `{profile}`");
    Err(Fault::new(Kind::Config, "rolesanywhere", message).hint("use a profile of the trust anchor's region"))
}

/// Asks for a session. A signature that is refused for its time is repeated once with the host's time.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn create_session(
    aws: &Aws,
    region: &Region,
    signer: Arc<dyn Signer>,
    wanted: &CreateSession,
) -> Result<Session, Error> {
    let base = aws.endpoints().base(Service::RolesAnywhere, region);
    let mut body = json!({ "durationSeconds": wanted.duration.as_secs() });
    if let Some(name) = &wanted.session_name {
        body["roleSessionName"] = name.as_str().into();
    }
    // In the query as the official helper has them, which is the path that is known to work.
    let request = Request::post(Service::RolesAnywhere, "CreateSession", base, "/sessions")
        .query("profileArn", &wanted.profile_arn)
        .query("roleArn", &wanted.role_arn)
        .query("trustAnchorArn", &wanted.trust_anchor_arn)
        .json(&body)
        .auth(Auth::X509 { region: region.clone(), signer });
    let answer = drive(aws, request, None).await?;
    session(aws, &answer).ok_or_else(|| answer.nonsense("a set of credentials from Roles Anywhere"))
}

fn session(aws: &Aws, answer: &Answer) -> Option<Session> {
    let sets = Object::parse(&answer.body)?.objects("credentialSet")?;
    let mut set = sets.into_iter().next()?;
    let mut keys = set.object("credentials")?;
    let arn = set.object("assumedRoleUser").and_then(|mut user| user.text("arn")).unwrap_or_default();
    let credentials = Credentials {
        key_id: KeyId::new(keys.text("accessKeyId")?),
        secret_key: Secret::new(keys.text("secretAccessKey")?),
        session_token: Some(Secret::new(keys.text("sessionToken")?)),
        expires_at: Some(parse_timestamp(&keys.text("expiration")?).ok()?),
        obtained_at: aws.wall(),
        account_id: arn.split(':').nth(4).filter(|account| !account.is_empty()).map(str::to_owned),
    };
    Some(Session { credentials, arn })
}

fn region_in(arn: &str, key: &str) -> Result<Region, Fault> {
    let parts: Vec<&str> = arn.split(':').collect();
    let wrong = || {
        let kind = if key == "profile" { "profile" } else { "trust-anchor" };
        Fault::new(Kind::Config, "rolesanywhere", format!("`{arn}` is not the ARN of a Roles Anywhere {kind}"))
            .hint(format!("write it as arn:aws:rolesanywhere:REGION:ACCOUNT:{kind}/ID"))
    };
    match parts[..] {
        ["arn", _, "rolesanywhere", region, _, resource] if resource.starts_with(key) => Region::parse(region),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::utc;

    use super::*;
    use crate::scripted::{Scripted, answer, answer_with, region, start};

    struct Fixed;

    impl Signer for Fixed {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Rsa
        }
        fn certificate(&self) -> &[u8] {
            b"leaf"
        }
        fn chain(&self) -> &[Vec<u8>] {
            &[]
        }
        fn serial(&self) -> &str {
            "7"
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Ok(vec![1])
        }
    }

    fn wanted() -> CreateSession {
        CreateSession {
            trust_anchor_arn: "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/t".to_owned(),
            profile_arn: "arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/site+1".to_owned(),
            duration: Duration::from_secs(900),
            session_name: None,
        }
    }

    const GOOD: &str = r#"{"credentialSet":[{"assumedRoleUser":{"arn":"arn:aws:sts::111122223333:assumed-role/site/7",
        "assumedRoleId":"AROA:7"},"credentials":{"accessKeyId":"ASIA1","secretAccessKey":"s","sessionToken":"t",
        "expiration":"2026-11-22T02:15:00Z"},"packedPolicySize":3,"sourceIdentity":"CN=x"}],"subjectArn":"a"}"#;

    async fn ask(wire: &Arc<Scripted>) -> Result<Session, Error> {
        create_session(&wire.aws(), &region(), Arc::new(Fixed), &wanted()).await
    }

    #[tokio::test]
    async fn a_session_is_asked_for_with_arns_in_the_query_and_comes_with_201() {
        let wire = Scripted::new(vec![answer(201, GOOD)]);
        let session = ask(&wire).await.unwrap();
        assert_eq!(session.credentials.expires_at.map(utc).as_deref(), Some("2026-11-22T02:15:00Z"));
        assert_eq!(session.credentials.account_id.as_deref(), Some("111122223333"));
        assert_eq!(session.credentials.obtained_at, start());
        let sent = wire.sent.lock().unwrap();
        assert_eq!(
            sent[0].uri().to_string(),
            "https://rolesanywhere.eu-central-1.amazonaws.com/sessions\
             ?profileArn=arn%3Aaws%3Arolesanywhere%3Aeu-central-1%3A111122223333%3Aprofile%2Fp\
             &roleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fsite%2B1\
             &trustAnchorArn=arn%3Aaws%3Arolesanywhere%3Aeu-central-1%3A111122223333%3Atrust-anchor%2Ft"
        );
        assert_eq!(sent[0].body(), r#"{"durationSeconds":900}"#);
    }

    #[tokio::test]
    async fn an_empty_set_is_an_error() {
        for body in [r#"{"credentialSet":[]}"#, "{}", "", r#"{"credentialSet":[{"credentials":{}}]}"#] {
            let error = ask(&Scripted::new(vec![answer(201, body)])).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unreachable, "{body}");
        }
    }

    const DENIED: &str = r#"{"message":"Signature expired"}"#;
    const CODE: (&str, &str) = ("x-amzn-ErrorType", "AccessDeniedException:http://internal.amazon.com/x/");

    #[tokio::test]
    async fn a_refusal_ten_minutes_off_is_asked_again_once_with_the_hosts_time() {
        let date = ("date", "Sun, 22 Nov 2026 02:10:00 GMT");
        let wire = Scripted::new(vec![answer_with(403, &[CODE, date], DENIED), answer(201, GOOD)]);
        ask(&wire).await.unwrap();
        assert_eq!(wire.header(1, "x-amz-date"), "20261122T021000Z");
    }

    #[tokio::test]
    async fn a_refusal_at_the_right_time_is_final() {
        let date = ("date", "Sun, 22 Nov 2026 02:00:03 GMT");
        let wire =
            Scripted::new(vec![answer_with(403, &[CODE, date], r#"{"message":"Untrusted Signing Certificate"}"#)]);
        let error = ask(&wire).await.unwrap_err();
        assert_eq!((error.kind(), wire.count()), (Kind::Refused, 1));
        assert!(error.to_string().contains("Untrusted Signing Certificate"), "{error}");
    }

    #[test]
    fn the_region_is_the_trust_anchors_and_the_profile_must_share_it() {
        let wanted = wanted();
        assert_eq!(region_of(&wanted.trust_anchor_arn, &wanted.profile_arn).unwrap(), region());
        let elsewhere = wanted.profile_arn.replace("eu-central-1", "us-east-1");
        let fault = region_of(&wanted.trust_anchor_arn, &elsewhere).unwrap_err();
        assert!(fault.message.contains("`us-east-1`") && fault.kind == Kind::Config);
        for arn in ["", "arn:aws:iam::1:role/x", &wanted.profile_arn] {
            assert!(region_of(arn, &wanted.profile_arn).unwrap_err().message.contains("trust-anchor"), "{arn}");
        }
    }
}
