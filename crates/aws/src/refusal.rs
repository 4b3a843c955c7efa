//! What a service says when it says no, in any of AWS's four forms, and what the code means.

use http::{HeaderMap, response::Parts};

use crate::{Region, Service, json::Object, xml::Element};

/// A refusal's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<String>,
    /// Lower-case first letter or not as AWS wrote it, one line, no final period; the status where AWS said nothing.
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    /// The region that the bucket is in, when it is another.
    pub(crate) region: Option<String>,
}

/// Reads a refusal. `None`: there are bytes, and no service of AWS would send them.
pub(crate) fn read(head: &Parts, body: &[u8]) -> Option<Said> {
    let from_header = header(&head.headers, &["x-amzn-errortype"]).map(|text| bare_code(&text));
    let (code, message, region, id) = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => json(body).map(|(code, message)| (code, message, None, None)),
        Some(b'<') => xml(body),
        Some(_) => None,
        None => Some((None, None, None, None)),
    }
    .or_else(|| from_header.is_some().then_some((None, None, None, None)))?;
    let code = from_header.or(code);
    let redirected = head.status.is_redirection() || code.as_deref() == Some("AuthorizationHeaderMalformed");
    let region = header(&head.headers, &["x-amz-bucket-region"]).or(region);
    let region = region.filter(|text| redirected && Region::parse(text).is_ok());
    let message = match &region {
        Some(region) => format!("the bucket is in region `{region}`"),
        None => message.map(|text| one_line(&text)).unwrap_or_else(|| head.status.to_string().to_lowercase()),
    };
    Some(Said { code, message, request_id: header(&head.headers, REQUEST_IDS).or(id), region })
}

/// Worth another try in a moment: throttled, overloaded, broken.
pub(crate) fn is_passing(service: Service, status: u16, said: &Said) -> bool {
    if status == 429 || (status >= 500 && status != 501 && status != 505) {
        return true;
    }
    // In the token service `slow_down` is part of the conversation.
    service != Service::SsoOidc && said.code.as_deref().is_some_and(|code| PASSING.contains(&code))
}

/// Turned away at the door, whatever the status: nothing was done. EC2 says so with 503.
pub(crate) fn is_throttled(code: &str) -> bool {
    matches!(
        code,
        "RequestLimitExceeded"
            | "EC2ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "SlowDown"
            | "TooManyUpdates"
    )
}

/// Another set of keys may be taken where this one was refused.
pub(crate) fn wants_other_keys(code: &str) -> bool {
    is_unknown_key(code)
        || matches!(
            code,
            "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "RequestExpired"
                | "AuthFailure"
                | "InvalidToken"
        )
}

/// The key is foreign, deleted, or so new that it has not reached every host.
pub(crate) fn is_unknown_key(code: &str) -> bool {
    matches!(code, "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException")
}

/// The signature was refused for its time, or may have been. Roles Anywhere has one code for every refusal.
pub(crate) fn may_be_drift(service: Service, code: &str) -> bool {
    let vague = service == Service::RolesAnywhere && code == "AccessDeniedException";
    vague || is_drift(code) || is_bad_signature(code)
}

fn is_bad_signature(code: &str) -> bool {
    matches!(code, "InvalidSignatureException" | "SignatureDoesNotMatch" | "AuthFailure")
}

/// The signature was refused for its time.
pub(crate) fn is_drift(code: &str) -> bool {
    matches!(code, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture")
}

/// The refusal is about who asks or when, not about what.
pub(crate) fn is_about_credentials(code: &str) -> bool {
    wants_other_keys(code)
        || is_drift(code)
        || is_bad_signature(code)
        || matches!(code, "InvalidSecurity" | "MissingAuthenticationToken" | "NotSignedUp" | "UnauthorizedException")
}

const PASSING: [&str; 18] = [
    "BandwidthLimitExceeded",
    "ConcurrentModification",
    "EC2ThrottledException",
    "EntityTemporarilyUnmodifiable",
    "IDPCommunicationError",
    "InternalError",
    "InternalServerException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TooManyUpdates",
];
const REQUEST_IDS: &[&str] = &["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"];
const LONGEST_MESSAGE: usize = 400;

type Found = (Option<String>, Option<String>, Option<String>, Option<String>);

fn json(body: &[u8]) -> Option<(Option<String>, Option<String>)> {
    let mut object = Object::parse(body)?;
    let code = ["__type", "code", "error"].into_iter().find_map(|name| object.text(name));
    let message = ["message", "Message", "error_description"].into_iter().find_map(|name| object.text(name));
    (code.is_some() || message.is_some()).then(|| (code.map(|text| bare_code(&text)), message))
}

/// `Error` (S3), `ErrorResponse/Error` (query), `Response/Errors/Error` (EC2).
fn xml(body: &[u8]) -> Option<Found> {
    let document = Element::parse(body).ok()?;
    let text =
        |path: &[&str]| document.text_at(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let path: &[&str] = match document.name() {
        "Error" => &[],
        // moto says no to signatures and rights in a form between the two.
        "ErrorResponse" if document.text_at(&["Errors"]).is_some() => &["Errors", "Error"],
        "ErrorResponse" => &["Error"],
        "Response" => &["Errors", "Error"],
        _ => return None,
    };
    let below = |name: &'static str| text(&[path, &[name]].concat());
    let id = text(&["RequestId"]).or_else(|| text(&["RequestID"]));
    Some((below("Code"), below("Message"), below("Region"), id))
}

/// `InvalidGrantException:http://internal…` and `com.amazonaws.sts#ExpiredToken` without what surrounds the code.
fn bare_code(text: &str) -> String {
    let before = text.split(':').next().unwrap_or(text);
    before.rsplit('#').next().unwrap_or(before).trim().to_owned()
}

fn header(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line: String = words.join(" ").chars().take(LONGEST_MESSAGE).collect();
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn heard(status: u16, headers: &[(&str, &str)], body: &str) -> Option<Said> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        read(&response.body(()).unwrap().into_parts().0, body.as_bytes())
    }

    #[test]
    fn every_form_of_aws_is_understood() {
        for (form, header, body) in [
            ("S3", None, "<Error><Code>C</Code><Message> m.\n</Message><RequestId>r</RequestId></Error>"),
            ("query", None, "<ErrorResponse><Error><Code>C</Code><Message>m</Message></Error></ErrorResponse>"),
            ("EC2", None, "<Response><Errors><Error><Code>C</Code><Message>m</Message></Error></Errors></Response>"),
            (
                "moto",
                None,
                "<ErrorResponse><Errors><Error><Code>C</Code><Message>m</Message></Error></Errors></ErrorResponse>",
            ),
            ("JSON", None, r#"{"__type":"com.amazonaws.x#C","message":"m"}"#),
            ("header", Some("C:http://internal.amazon.com/coral/"), r#"{"__type":"other","Message":"m"}"#),
            ("OAuth", None, r#"{"error":"C","error_description":"m"}"#),
        ] {
            let headers: Vec<_> = header.map(|value| ("x-amzn-ErrorType", value)).into_iter().collect();
            let said = heard(400, &headers, body).unwrap();
            assert_eq!((said.code.as_deref(), said.message.as_str()), (Some("C"), "m"), "{form}");
        }
    }

    #[test]
    fn what_no_service_sends_is_not_understood() {
        let cut = "<Error><Code>NoSuchKey</Co";
        for body in ["<html><body>Error</body></html>", "Bad Gateway", "{\"a\":1}", "[1]", "{\"error\":", cut] {
            assert_eq!(heard(404, &[], body), None, "{body}");
        }
    }

    #[test]
    fn an_empty_refusal_is_told_by_its_status() {
        assert_eq!(
            heard(404, &[("x-amz-request-id", "r")], "").unwrap(),
            Said { message: "404 not found".to_owned(), request_id: Some("r".to_owned()), ..Said::default() }
        );
    }

    #[test]
    fn a_message_is_one_short_line() {
        let said = heard(400, &[], &format!("{{\"message\":\"a\\n\\u001b[2J{}\"}}", "b ".repeat(900))).unwrap();
        assert!(said.message.starts_with("a [2Jb b") && said.message.chars().count() <= LONGEST_MESSAGE);
    }

    #[test]
    fn a_region_counts_only_where_the_bucket_is_elsewhere() {
        let region = [("x-amz-bucket-region", "eu-west-1")];
        assert_eq!(heard(403, &region, "<Error><Code>AccessDenied</Code></Error>").unwrap().region, None);
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(heard(400, &[], malformed).unwrap().region.as_deref(), Some("eu-west-1"));
        let evil = "<Error><Code>PermanentRedirect</Code><Region>x/y</Region></Error>";
        assert_eq!(heard(301, &[], evil).unwrap().region, None);
    }
}
