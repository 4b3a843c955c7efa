//! The console's sign-in: a role's session, traded for an address that opens the console as that role.
//!
//! `getSigninToken` is in no service model; source: the IAM user guide, "Enable custom identity broker access to the AWS
//! console". The session goes in the body of a POST, never in an address that somebody may write down. The address that
//! comes of it lets in whoever has it for 15 minutes: it is a secret like the keys.

use std::time::Duration;

use bowline_base::{Credentials, Fault, Kind, Secret};
use bytes::Bytes;
use http::{HeaderValue, Uri};
use serde_json::json;

use crate::{
    Aws, Error, Partition, Region, Service,
    drive::drive,
    json::Object,
    request::{Request, encode},
};

/// The shortest and the longest length of a console session that may be asked for.
pub const SESSION_LENGTHS: [Duration; 2] = [Duration::from_secs(15 * 60), Duration::from_secs(12 * 3600)];

/// For how long the address lets somebody in.
pub const ADDRESS_LIFE: Duration = Duration::from_secs(15 * 60);

/// A page of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(String);

impl Destination {
    /// Reads what a person names in `region`: nothing is the console's home, `s3` is a service's home, an https address
    /// is itself.
    ///
    /// # Errors
    /// A `Config` fault: neither an https address nor the name of a service.
    pub fn parse(text: Option<&str>, region: &Region) -> Result<Self, Fault> {
        let text = text.unwrap_or("console");
        if text.contains("://") {
            let uri: Option<Uri> = text.parse().ok();
            let https = uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
            return if https { Ok(Self(text.to_owned())) } else { Err(wrong(text)) };
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        if text.is_empty() || text.starts_with('/') || !text.chars().all(allowed) {
            return Err(wrong(text));
        }
        let domain = match region.partition() {
            Partition::Aws => "console.aws.amazon.com",
            Partition::China => "console.amazonaws.cn",
            Partition::Gov => "console.amazonaws-us-gov.com",
        };
        let path = if text.contains('/') { text.to_owned() } else { format!("{text}/home") };
        Ok(Self(format!("https://{region}.{domain}/{path}?region={region}")))
    }

    /// The address of the page, without a sign-in.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn wrong(text: &str) -> Fault {
    Fault::new(Kind::Config, "destination", format!("`{text}` is no page of the console"))
        .hint("write a service like `s3`, a path like `cloudwatch/home`, or an address that begins with https://")
}

/// An address that opens `destination` as whoever `credentials` stand for. `length` is of the console session; AWS takes
/// what is left of the credentials' own when absent, and refuses one for a role that was assumed by a role.
///
/// # Errors
/// [`Error`], refused or unreachable; unusable for keys without a session token, which AWS does not take here.
pub async fn console_address(
    aws: &Aws,
    region: &Region,
    credentials: &Credentials,
    length: Option<Duration>,
    destination: &Destination,
) -> Result<Secret, Error> {
    let base = aws.endpoints().base(Service::Signin, region);
    let federation = format!("{}/federation", base.url());
    let request = Request::post(Service::Signin, "getSigninToken", base, "/federation")
        .header("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"))
        .body(form(credentials, length)?);
    let answer = drive(aws, request, None).await?;
    let token = Object::parse(&answer.body).and_then(|mut object| object.text("SigninToken"));
    let token = token.filter(|token| !token.is_empty()).ok_or_else(|| answer.nonsense("a sign-in token"))?;
    Ok(Secret::new(format!(
        "{federation}?Action=login&Issuer=bowline&Destination={}&SigninToken={}",
        encode(destination.as_str()),
        encode(&token)
    )))
}

fn form(credentials: &Credentials, length: Option<Duration>) -> Result<Bytes, Error> {
    let Some(token) = &credentials.session_token else {
        return Err(Error::unusable(Service::Signin, "the console takes no keys of a user, only those of a session"));
    };
    let session = json!({
        "sessionId": credentials.key_id.as_str(),
        "sessionKey": credentials.secret_key.expose(),
        "sessionToken": token.expose(),
    });
    let length = length.map(|length| format!("&SessionDuration={}", length.as_secs())).unwrap_or_default();
    Ok(Bytes::from(format!("Action=getSigninToken{length}&Session={}", encode(&session.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Endpoints,
        scripted::{Scripted, answer, keys, region},
    };

    fn page(text: Option<&str>, region: &str) -> String {
        Destination::parse(text, &Region::parse(region).unwrap()).unwrap().0
    }

    fn session() -> Credentials {
        Credentials { session_token: Some(Secret::new("to/ken+=")), ..keys("ASIA1") }
    }

    async fn ask(wire: &std::sync::Arc<Scripted>, credentials: &Credentials) -> Result<Secret, Error> {
        let page = Destination::parse(None, &region()).unwrap();
        console_address(&wire.aws(), &region(), credentials, Some(Duration::from_secs(900)), &page).await
    }

    #[tokio::test]
    async fn the_session_goes_in_the_body_and_comes_back_as_an_address() {
        let wire = Scripted::new(vec![answer(200, r#"{"SigninToken":"VCQ/gs+="}"#)]);
        let address = ask(&wire, &session()).await.unwrap();
        assert_eq!(
            address.expose(),
            "https://eu-central-1.signin.aws.amazon.com/federation?Action=login&Issuer=bowline\
             &Destination=https%3A%2F%2Feu-central-1.console.aws.amazon.com%2Fconsole%2Fhome%3Fregion%3Deu-central-1\
             &SigninToken=VCQ%2Fgs%2B%3D"
        );
        let sent = wire.sent.lock().unwrap();
        assert_eq!((sent[0].method().as_str(), sent[0].uri().query()), ("POST", None));
        let body = std::str::from_utf8(sent[0].body()).unwrap();
        assert!(body.starts_with("Action=getSigninToken&SessionDuration=900&Session=%7B%22sessionId%22%3A%22ASIA1"));
        assert!(body.contains("to%2Fken%2B%3D"), "{body}");
    }

    #[tokio::test]
    async fn keys_of_a_user_are_not_sent() {
        let wire = Scripted::new(vec![]);
        let user = Credentials { session_token: None, ..session() };
        let error = ask(&wire, &user).await.unwrap_err();
        assert_eq!((error.kind(), wire.count()), (Kind::Config, 0));
    }

    #[tokio::test]
    async fn an_answer_without_a_token_is_nonsense_and_a_page_with_400_is_a_refusal() {
        for body in ["{}", r#"{"SigninToken":""}"#, "<html>", ""] {
            assert!(ask(&Scripted::new(vec![answer(200, body)]), &session()).await.is_err(), "{body}");
        }
        let refused = ask(&Scripted::new(vec![answer(400, "<html>Bad Request</html>")]), &session()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.status()), (Kind::Refused, Some(400)));
    }

    #[test]
    fn sign_in_and_console_are_those_of_the_partition() {
        let at = |name: &str| Endpoints::default().base(Service::Signin, &Region::parse(name).unwrap()).url();
        assert_eq!(at("us-east-1"), "https://us-east-1.signin.aws.amazon.com");
        assert_eq!(at("cn-north-1"), "https://signin.amazonaws.cn");
        assert_eq!(at("us-gov-west-1"), "https://signin.amazonaws-us-gov.com");
        assert_eq!(page(Some("s3"), "cn-north-1"), "https://cn-north-1.console.amazonaws.cn/s3/home?region=cn-north-1");
        let gov = "https://us-gov-west-1.console.amazonaws-us-gov.com/ec2/v2/home?region=us-gov-west-1";
        assert_eq!(page(Some("ec2/v2/home"), "us-gov-west-1"), gov);
        assert_eq!(
            page(Some("https://console.aws.amazon.com/x?y=1"), "eu-west-1"),
            "https://console.aws.amazon.com/x?y=1"
        );
        for wrong in ["", "http://x.example", "javascript:alert(1)", "https://", "/s3", "a b"] {
            assert!(Destination::parse(Some(wrong), &region()).is_err(), "{wrong}");
        }
    }
}
