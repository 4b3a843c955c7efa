//! IAM Identity Center's portal: accounts, roles and their credentials for one signed-in person.
//!
//! REST with JSON. Never signed: the access token in a header is the proof. A 401 may come hours before the token's
//! written end, when an administrator ended the session ([`Error::is_unauthorized`]).

use bowline_base::{Credentials, KeyId, Secret, Timestamp};
use http::HeaderValue;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    json::Object,
    request::Request,
};

/// Which role of which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleOf {
    /// Twelve digits.
    pub account_id: String,
    /// The permission set's name, as the portal shows it.
    pub role_name: String,
}

/// An account that the person may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Its name in the organisation; may be empty.
    pub name: String,
    /// The root user's address; may be empty.
    pub email: String,
}

/// Credentials of a role. `obtained_at` is the wire's clock.
///
/// # Errors
/// [`Error`], refused (401: the token is no longer good; 403: no such role for this person) or unreachable.
pub async fn role_credentials(aws: &Aws, region: &Region, token: &Secret, role: &RoleOf) -> Result<Credentials, Error> {
    let query = [("account_id", role.account_id.as_str()), ("role_name", role.role_name.as_str())];
    let answer = portal(aws, region, token, "GetRoleCredentials", "/federation/credentials", &query).await?;
    let mut object = object(&answer)?;
    let mut found = object.object("roleCredentials").ok_or_else(|| nonsense(&answer))?;
    let end = found.integer("expiration").and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let mut text = |name| found.text(name).ok_or_else(|| nonsense(&answer));
    Ok(Credentials {
        key_id: KeyId::new(text("accessKeyId")?),
        secret_key: Secret::new(text("secretAccessKey")?),
        session_token: Some(Secret::new(text("sessionToken")?)),
        expires_at: Some(end.ok_or_else(|| nonsense(&answer))?),
        obtained_at: aws.wall(),
        account_id: Some(role.account_id.clone()),
    })
}

/// Every account that the person may enter, all pages, in the portal's order.
///
/// # Errors
/// [`Error`], refused (401: the token is no longer good) or unreachable.
pub async fn list_accounts(aws: &Aws, region: &Region, token: &Secret) -> Result<Vec<Account>, Error> {
    let listed = pages(aws, region, token, "ListAccounts", "/assignment/accounts", &[], "accountList").await?;
    let account = |mut object: Object| {
        Some(Account {
            id: object.text("accountId")?,
            name: object.text("accountName").unwrap_or_default(),
            email: object.text("emailAddress").unwrap_or_default(),
        })
    };
    Ok(listed.into_iter().filter_map(account).collect())
}

/// The names of every role that the person may take in `account_id`, all pages, in the portal's order.
///
/// # Errors
/// [`Error`], refused (401: the token is no longer good) or unreachable.
pub async fn list_account_roles(
    aws: &Aws,
    region: &Region,
    token: &Secret,
    account_id: &str,
) -> Result<Vec<String>, Error> {
    let query = [("account_id", account_id)];
    let listed = pages(aws, region, token, "ListAccountRoles", "/assignment/roles", &query, "roleList").await?;
    Ok(listed.into_iter().filter_map(|mut object| object.text("roleName")).collect())
}

/// Ends the session behind `token` at the portal.
///
/// # Errors
/// [`Error`], refused (401: it had already ended) or unreachable.
pub async fn logout(aws: &Aws, region: &Region, token: &Secret) -> Result<(), Error> {
    let request = Request::post(Service::Sso, "Logout", aws.endpoints().base(Service::Sso, region), "/logout");
    drive(aws, request.header(BEARER, bearer(token)?), None).await.map(drop)
}

/// No organisation has more pages of 100; a portal that pages on for ever is broken.
const MOST_PAGES: usize = 500;
const BEARER: &str = "x-amz-sso_bearer_token";

async fn pages(
    aws: &Aws,
    region: &Region,
    token: &Secret,
    operation: &'static str,
    path: &str,
    query: &[(&str, &str)],
    list: &str,
) -> Result<Vec<Object>, Error> {
    let mut found = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut page = vec![("max_result", "100")];
        page.extend_from_slice(query);
        page.extend(next.as_deref().map(|text| ("next_token", text)));
        let answer = portal(aws, region, token, operation, path, &page).await?;
        let mut object = object(&answer)?;
        found.extend(object.objects(list).ok_or_else(|| nonsense(&answer))?);
        next = object.text("nextToken").filter(|text| !text.is_empty());
        if next.is_none() {
            return Ok(found);
        }
    }
    Err(Error::nonsense(Service::Sso, operation, Some(200), "a list with an end"))
}

async fn portal(
    aws: &Aws,
    region: &Region,
    token: &Secret,
    operation: &'static str,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Answer, Error> {
    let base = aws.endpoints().base(Service::Sso, region);
    let mut request = Request::read(Service::Sso, operation, base, path);
    for (name, value) in query {
        request = request.query(name, value);
    }
    drive(aws, request.header(BEARER, bearer(token)?), None).await
}

fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(token.expose())
        .map_err(|_| Error::unusable(Service::Sso, "the access token has characters that no header may carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn object(answer: &Answer) -> Result<Object, Error> {
    Object::parse(&answer.body).ok_or_else(|| nonsense(answer))
}

fn nonsense(answer: &Answer) -> Error {
    answer.nonsense("an Identity Center answer")
}

#[cfg(test)]
mod tests {
    use bowline_base::{Kind, utc};

    use super::*;
    use crate::scripted::{Scripted, answer, answer_with, region, start};

    fn token() -> Secret {
        Secret::new("at-1")
    }

    fn role() -> RoleOf {
        RoleOf { account_id: "123456789012".to_owned(), role_name: "Dev Ops".to_owned() }
    }

    #[tokio::test]
    async fn role_credentials_count_in_milliseconds() {
        let body = r#"{"roleCredentials":{"accessKeyId":"ASIA1","secretAccessKey":"s","sessionToken":"t",
            "expiration":1795316400000,"new":[]}}"#;
        let wire = Scripted::new(vec![answer(200, body)]);
        let found = role_credentials(&wire.aws(), &region(), &token(), &role()).await.unwrap();
        assert_eq!(found.expires_at.map(utc).as_deref(), Some("2026-11-22T03:00:00Z"));
        assert_eq!((found.obtained_at, found.account_id.as_deref()), (start(), Some("123456789012")));
        let uri = wire.sent.lock().unwrap()[0].uri().to_string();
        let expected = "https://portal.sso.eu-central-1.amazonaws.com/federation/credentials?account_id=123456789012&role_name=Dev%20Ops";
        assert_eq!(uri, expected);
        assert_eq!((wire.header(0, BEARER).as_str(), wire.header(0, "authorization").as_str()), ("at-1", ""));
    }

    #[tokio::test]
    async fn lists_follow_every_page() {
        let wire = Scripted::new(vec![
            answer(200, r#"{"accountList":[{"accountId":"1","accountName":"one"}],"nextToken":"n/2"}"#),
            answer(200, r#"{"accountList":[{"accountId":"2","emailAddress":"a@b"}],"nextToken":null}"#),
        ]);
        let found = list_accounts(&wire.aws(), &region(), &token()).await.unwrap();
        assert_eq!(found.iter().map(|account| account.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert!(wire.sent.lock().unwrap()[1].uri().query().unwrap().ends_with("next_token=n%2F2"));
    }

    #[tokio::test]
    async fn a_list_without_an_end_is_given_up() {
        let page = || answer(200, r#"{"roleList":[{"roleName":"x"}],"nextToken":"same"}"#);
        let wire = Scripted::new((0..MOST_PAGES).map(|_| page()).collect());
        let error = list_account_roles(&wire.aws(), &region(), &token(), "1").await.unwrap_err();
        assert_eq!((error.kind(), wire.count()), (Kind::Unreachable, MOST_PAGES));
    }

    #[tokio::test]
    async fn an_ended_session_is_unauthorized() {
        let headers = [("x-amzn-ErrorType", "UnauthorizedException:http://internal.amazon.com/x/")];
        let body = r#"{"message":"Session token not found or invalid","__type":"com.amazonaws.x#Unauthorized"}"#;
        let wire = Scripted::new(vec![answer_with(401, &headers, body)]);
        let error = role_credentials(&wire.aws(), &region(), &token(), &role()).await.unwrap_err();
        assert!(error.is_unauthorized() && error.is_credential_failure());
        assert_eq!((error.code(), wire.count()), (Some("UnauthorizedException"), 1));
    }

    #[tokio::test]
    async fn a_proxy_that_wants_a_password_has_not_ended_the_session() {
        let wire = Scripted::new(vec![answer(401, "<html>Log in to the proxy")]);
        let error = role_credentials(&wire.aws(), &region(), &token(), &role()).await.unwrap_err();
        assert!(!error.is_unauthorized() && !error.is_credential_failure());
        assert_eq!(error.kind(), Kind::Unreachable);
    }

    #[tokio::test]
    async fn a_token_with_a_newline_is_refused_without_being_shown() {
        let wire = Scripted::new(vec![]);
        let error = logout(&wire.aws(), &region(), &Secret::new("secret\nvalue")).await.unwrap_err();
        assert!(!error.to_string().contains("secret") && error.kind() == Kind::Config);
    }
}
