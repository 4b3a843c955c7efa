//! SigV4-X509: the private key of a certificate signs the request, and the certificate goes with it.
//!
//! There is no key derivation: RSA signs PKCS#1 v1.5, an elliptic curve signs ECDSA in DER, both over SHA-256 of the
//! string to sign, whatever the curve. Source: "Signing process" in the IAM Roles Anywhere user guide.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_base::Timestamp;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Region, Service,
    rolesanywhere::{Algorithm, Signer},
};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-amz-x509");
const CHAIN: HeaderName = HeaderName::from_static("x-amz-x509-chain");

/// Adds certificate, date and signature to a request that is otherwise complete.
///
/// # Errors
/// The signer cannot sign.
pub(crate) fn authorize(
    request: &mut http::Request<Bytes>,
    region: &Region,
    signer: &dyn Signer,
    time: Timestamp,
) -> Result<(), Error> {
    let stamp = time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let headers = request.headers_mut();
    headers.insert(DATE, value(&stamp));
    headers.insert(CERTIFICATE, value(&STANDARD.encode(signer.certificate())));
    if !signer.chain().is_empty() {
        let chain: Vec<String> = signer.chain().iter().map(|der| STANDARD.encode(der)).collect();
        headers.insert(CHAIN, value(&chain.join(",")));
    }
    let algorithm = match signer.algorithm() {
        Algorithm::Rsa => "AWS4-X509-RSA-SHA256",
        Algorithm::Ecdsa => "AWS4-X509-ECDSA-SHA256",
    };
    let scope = format!("{}/{region}/rolesanywhere/aws4_request", &stamp[..8]);
    let (canonical, signed_headers) = canonical_request(request);
    let text = format!("{algorithm}\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let signature =
        signer.sign(text.as_bytes()).map_err(|why| Error::no_credentials_for(Service::RolesAnywhere, why))?;
    let credential = format!("{}/{scope}", signer.serial());
    let authorization =
        format!("{algorithm} Credential={credential}, SignedHeaders={signed_headers}, Signature={}", hex(&signature));
    let mut authorization = value(&authorization);
    authorization.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, authorization);
    Ok(())
}

/// The canonical request and the names of the headers in it: every header that is there.
fn canonical_request(request: &http::Request<Bytes>) -> (String, String) {
    let mut query: Vec<&str> = request.uri().query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let names = names(request.headers());
    let headers: String = names.iter().map(|name| line(request.headers(), name)).collect();
    let signed = names.join(";");
    let digest = hex(&Sha256::digest(request.body()));
    let (method, path) = (request.method(), request.uri().path());
    (format!("{method}\n{path}\n{}\n{headers}\n{signed}\n{digest}", query.join("&")), signed)
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn line(headers: &HeaderMap, name: &str) -> String {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    format!("{name}:{}\n", words.join(" "))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64, digits and names of AWS are what a header may carry")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bowline_base::Fault;

    use super::*;
    use crate::scripted::{region, start};

    /// Signs with nothing, and keeps what it was to sign.
    #[derive(Default)]
    struct Witness {
        chain: Vec<Vec<u8>>,
        seen: Mutex<String>,
    }

    impl Signer for Witness {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Ecdsa
        }
        fn certificate(&self) -> &[u8] {
            b"leaf"
        }
        fn chain(&self) -> &[Vec<u8>] {
            &self.chain
        }
        fn serial(&self) -> &str {
            "1461501637330902918203684832716283019655932542975"
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
            *self.seen.lock().unwrap() = String::from_utf8(message.to_vec()).unwrap();
            Ok(vec![0x30, 0x0a])
        }
    }

    fn request() -> http::Request<Bytes> {
        http::Request::post("https://rolesanywhere.eu-central-1.amazonaws.com/sessions?b=2&a=x%3Ay")
            .header("host", "rolesanywhere.eu-central-1.amazonaws.com")
            .header("content-type", "application/json")
            .body(Bytes::from_static(br#"{"durationSeconds":3600}"#))
            .unwrap()
    }

    const CANONICAL: &str = "POST\n/sessions\na=x%3Ay&b=2\ncontent-type:application/json\n\
        host:rolesanywhere.eu-central-1.amazonaws.com\nx-amz-date:20261122T020000Z\nx-amz-x509:bGVhZg==\n\
        x-amz-x509-chain:YQ==,Yg==\n\ncontent-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain\n\
        1a15f67f6619aa540b13e9a4c37d149fb2c9bdea25d82b73a3878826694dfe27";

    #[test]
    fn the_canonical_request_is_the_one_of_the_guide() {
        let mut request = request();
        let signer = Witness { chain: vec![b"a".to_vec(), b"b".to_vec()], ..Witness::default() };
        authorize(&mut request, &region(), &signer, start()).unwrap();
        request.headers_mut().remove("authorization");
        assert_eq!(canonical_request(&request).0, CANONICAL);
        // Expected hash: SHA-256 of the text above, by Python's hashlib.
        assert_eq!(
            *signer.seen.lock().unwrap(),
            "AWS4-X509-ECDSA-SHA256\n20261122T020000Z\n20261122/eu-central-1/rolesanywhere/aws4_request\n8e2797b0eb2cd23c8076f448099c85dd035f8a593729d16ef5a09f847c650b54"
        );
    }

    #[test]
    fn without_intermediates_there_is_no_chain_header() {
        let mut request = request();
        authorize(&mut request, &region(), &Witness::default(), start()).unwrap();
        assert!(!request.headers().contains_key(CHAIN));
        assert_eq!(
            request.headers()["authorization"],
            "AWS4-X509-ECDSA-SHA256 Credential=1461501637330902918203684832716283019655932542975/20261122/eu-central-1/\
             rolesanywhere/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-x509, Signature=300a"
        );
        assert!(request.headers()["authorization"].is_sensitive());
    }
}
