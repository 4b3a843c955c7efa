//! SigV4: a call and a set of keys become a request that AWS believes.
//!
//! What is signed is what is sent: S3 paths are neither folded nor encoded twice, every other service's are.

use std::time::SystemTime;

use aws_credential_types::Credentials as SigningKeys;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use bowline_base::{Credentials, Timestamp};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use crate::{
    Error, Region, Service,
    request::{Auth, Request},
    sign_x509,
};

const USER_AGENT: &str = concat!("bowline/", env!("CARGO_PKG_VERSION"));

/// Makes `request` ready to send, signed by `credentials` at `time` where the call is a signed one.
///
/// # Errors
/// An unusable key or URI: something that no header or request line may carry.
pub(crate) fn prepare(
    request: &Request,
    credentials: Option<&Credentials>,
    time: Timestamp,
) -> Result<http::Request<Bytes>, Error> {
    let unusable = |what: &str| Error::unusable(request.service, what);
    let mut built = http::Request::builder().method(request.method.clone()).uri(request.uri());
    if let Some(headers) = built.headers_mut() {
        headers.clone_from(&request.headers);
        let host =
            HeaderValue::from_str(request.base.host()).map_err(|_| unusable("the endpoint's host is unusable"))?;
        headers.insert(header::HOST, host);
    }
    let mut built =
        built.body(request.body.clone()).map_err(|_| unusable("the bucket or key makes a URI that is too long"))?;
    if let (Auth::Signed { region, name }, Some(credentials)) = (&request.auth, credentials) {
        let added = signature(request, &built, credentials, time, region, name)
            .ok_or_else(|| unusable("the access key or session token has characters that no header may carry"))?;
        built.headers_mut().extend(added);
    }
    if let Auth::X509 { region, signer } = &request.auth {
        sign_x509::authorize(&mut built, region, &**signer, time)?;
    }
    // Not signed: proxies change them.
    built.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    built.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(built)
}

fn signature(
    request: &Request,
    built: &http::Request<Bytes>,
    credentials: &Credentials,
    time: Timestamp,
    region: &Region,
    name: &str,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let token = credentials.session_token.as_ref().map(|token| token.expose().to_owned());
    let keys = SigningKeys::new(credentials.key_id.as_str(), credentials.secret_key.expose(), token, None, "bowline");
    let identity = keys.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name(name)
        .time(SystemTime::from(time))
        .settings(settings(request.service))
        .build()
        .ok()?;
    let headers: Option<Vec<_>> =
        built.headers().iter().map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let signable = SignableRequest::new(
        built.method().as_str(),
        request.uri(),
        headers?.into_iter(),
        SignableBody::Bytes(&request.body),
    );
    let (instructions, _) = sign(signable.ok()?, &params.into()).ok()?.into_parts();
    let (added, _) = instructions.into_parts();
    added.into_iter().map(|header| sensitive(header.name(), header.value())).collect()
}

fn settings(service: Service) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == Service::S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// No proxy or log may remember a signature or a token.
fn sensitive(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(matches!(name, "authorization" | "x-amz-security-token"));
    Some((HeaderName::from_static(name), value))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Endpoints,
        request::encode_path,
        scripted::{keys, region, start},
    };

    fn s3(method: Method, key: &str) -> Request {
        let (base, root) = Endpoints::default().bucket(&region(), "corp-maven").unwrap();
        Request::new(Service::S3, "Test", method, base, &format!("{root}/{}", encode_path(key)))
            .auth(Auth::signed(&region(), Service::S3))
    }

    fn signed(request: &Request) -> http::Request<Bytes> {
        prepare(request, Some(&keys("ASIAEXAMPLE")), start()).unwrap()
    }

    fn signature_of(request: &Request) -> String {
        signed(request).headers()["authorization"].to_str().unwrap().rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// Expected values: `S3SigV4Auth` of botocore 1.43.11 with the same keys, time and headers.
    #[test]
    fn awkward_keys_are_signed_as_botocore_signs_them() {
        for (key, expected) in [
            ("a.jar", "a4205e59d71d4f7cfc178b71b63e1fd5366900b1d8bc66f4ae1d6aa0105a28b5"),
            ("com/x/[a] (b)+c@1.0~.jar", "7f2510b4c0ac5a2ae9693d84feb57e9dce7e32791ad712dbbdacd9b3565330e5"),
            ("ü/日本 語.pom", "7dac1578068156fdac3df05ec9b5287e0956ed6d6475a6c0617a26834d7a6e68"),
            ("a//b", "f8258edc3fab285562c60cd18165d472894983099afad4bc450f4cbb3a048882"),
            ("a/../b", "8c354c71796adc986b68a532a031e6fac49f9b5bf4162791d7ac456e16e81ce1"),
            ("/lead", "de6d3ea1348472f19756e7fa448f6133fa9042ac59798b321be3d2a93b9c1ffe"),
            ("100%25.txt", "65e20bf7652bf88260e5f53ee0223618dfe8a6a7ba2ef1084ed59ddae9cdaec1"),
            ("!*'();:@&=$,?#", "e5b9a65083638347d1e15acb1c97d30fb57b4b42bb1765d861062af9e058c49a"),
        ] {
            let request = s3(Method::GET, key).header("x-amz-checksum-mode", HeaderValue::from_static("ENABLED"));
            assert_eq!(signature_of(&request), expected, "{key}");
        }
    }

    /// Expected values: as above, and `SigV4Auth` for STS.
    #[test]
    fn ranges_queries_bodies_and_forms_are_signed_as_botocore_signs_them() {
        let range = s3(Method::GET, "a.jar").header("range", HeaderValue::from_static("bytes=0-99"));
        assert_eq!(signature_of(&range), "54dd0644aaa4d6779a2a636b1fa6d4351d3b60d914b0432c3811753ae113bb03");
        let list = s3(Method::GET, "").query("list-type", "2").query("encoding-type", "url");
        let list = list.query("prefix", "a b/c+").query("delimiter", "/");
        assert_eq!(signature_of(&list), "ad42f70299295415ec9a10458f19619022d8f56218431fcebcbed58e808bff64");
        let put = s3(Method::PUT, "k").body(Bytes::from_static(b"hello"));
        let put = put.header("content-type", HeaderValue::from_static("text/plain"));
        assert_eq!(signature_of(&put), "1d313f4f1a218d98aa61c504ec66dc9ed82e72a9073f4b6924b85a0ebbbfc3ce");
        let base = Endpoints::default().base(Service::Sts, &region());
        let form = [("RoleArn", Some("arn:aws:iam::123456789012:role/deploy")), ("RoleSessionName", Some("s x"))];
        let sts = Request::post(Service::Sts, "AssumeRole", base, "/").form("2011-06-15", &form);
        let sts = sts.auth(Auth::signed(&region(), Service::Sts));
        assert_eq!(signature_of(&sts), "1479a950101dcbf920fd6c603986f747de25693ed2972107e62f765a585fbd98");
    }

    #[test]
    fn the_token_and_the_signature_are_marked_secret() {
        let request = signed(&s3(Method::GET, "a"));
        assert!(request.headers()["authorization"].is_sensitive());
        assert!(request.headers()["x-amz-security-token"].is_sensitive());
        assert!(!format!("{request:?}").contains("TOKEN"));
    }

    proptest! {
        #[test]
        fn every_key_is_sent_as_itself_and_covered_by_the_signature(key in "\\PC{1,40}|[a./+%\\[\\] ]{1,20}") {
            let sent = signed(&s3(Method::GET, &key));
            let path = sent.uri().path().strip_prefix('/').unwrap();
            let back = percent_decode_str(path).decode_utf8().unwrap();
            prop_assert_eq!(&back, &key);
            prop_assert_eq!(sent.uri().query(), None);
            let other = format!("{key}x");
            prop_assert_ne!(signature_of(&s3(Method::GET, &key)), signature_of(&s3(Method::GET, &other)));
        }
    }
}
