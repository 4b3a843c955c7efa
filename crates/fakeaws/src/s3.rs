//! S3, addressed by path: who asks, which bucket, which region, which operation.

use bowline_base::Timestamp;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{
    Bucket, WrongRegion,
    call::Call,
    chunked::{self, crc32},
    cloud::State,
    mint::hex,
    operation::Operation,
    reply::Answer,
    s3_error::S3Error,
    s3_list, s3_object,
    sigv4::{Signer, Verifier},
    xml::element,
};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, operation: &Operation, call: &Call, now: Timestamp) -> Answer {
    match act(state, operation, call, now) {
        Ok(answer) => {
            let id = state.mint.key_id("");
            answer.header("x-amz-request-id", &id[..16]).header("server", "AmazonS3")
        }
        Err(error) => error.answer(state, call),
    }
}

/// An answer in S3's XML.
pub(crate) fn xml(root: &str, inner: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">{inner}</{root}>");
    Answer::new(200, "application/xml", body, "200")
}

fn act(state: &mut State, operation: &Operation, call: &Call, now: Timestamp) -> Result<Answer, S3Error> {
    let signer = authenticate(state, call, now)?;
    let body = payload(call)?;
    let (name, key) =
        operation.object.as_deref().map(|path| path.split_once('/').unwrap_or((path, ""))).unwrap_or_default();
    match operation.name.as_str() {
        "s3.ListBuckets" => return Ok(list_buckets(state, now)),
        "s3.CreateBucket" => {
            state.buckets.add(name, Bucket::memory(&signer.region));
            return Ok(Answer::new(200, "application/xml", "", "200").header("location", &format!("/{name}")));
        }
        _ => {}
    }
    let bucket = state.buckets.find(name).ok_or_else(|| no_bucket(name))?;
    check_region(bucket, &signer, name)?;
    let region = bucket.region.clone();
    let answer = match operation.name.as_str() {
        "s3.GetBucketLocation" => Ok(location(bucket)),
        "s3.HeadBucket" => Ok(Answer::new(200, "application/xml", "", "200")),
        "s3.ListObjectsV2" => s3_list::list(bucket, name, call),
        "s3.GetObject" | "s3.HeadObject" => s3_object::read(bucket, key, call),
        "s3.PutObject" => s3_object::put(bucket, key, call, body, now),
        "s3.DeleteObject" => s3_object::delete(bucket, key),
        _ => Err(S3Error::new(
            501,
            "NotImplemented",
            "A header or query you provided implies functionality that is not implemented",
        )),
    };
    match answer {
        Ok(answer) => Ok(answer.header("x-amz-bucket-region", &region)),
        Err(error) => Err(error.header("x-amz-bucket-region", region)),
    }
}

fn authenticate(state: &State, call: &Call, now: Timestamp) -> Result<Signer, S3Error> {
    let verifier = Verifier { keys: &state.keys, service: "s3", now, window: state.settings.signature_window };
    let hash = call.header("x-amz-content-sha256");
    if call.header("authorization").is_some() && hash.is_none() {
        let words = "Missing required header for this request: x-amz-content-sha256";
        return Err(S3Error::new(400, "MissingSecurityHeader", words));
    }
    Ok(verifier.verify(call, hash.unwrap_or_default())?)
}

/// The body that is meant, checked against the hash that was signed and the checksums that came with it.
fn payload(call: &Call) -> Result<Bytes, S3Error> {
    let hash = call.header("x-amz-content-sha256").unwrap_or_default();
    let (body, trailers) = match hash {
        UNSIGNED => (call.body.clone(), Vec::new()),
        UNSIGNED_TRAILER => {
            let unframed = chunked::unframe(&call.body)
                .ok_or_else(|| S3Error::new(400, "IncompleteBody", "The request body terminated unexpectedly"))?;
            (unframed.body, unframed.trailers)
        }
        hash if hash == hex(&Sha256::digest(&call.body)) => (call.body.clone(), Vec::new()),
        _ => {
            let words = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(S3Error::new(400, "XAmzContentSHA256Mismatch", words));
        }
    };
    let trailer = trailers.iter().find(|(name, _)| name == "x-amz-checksum-crc32").map(|(_, value)| value.as_str());
    let sum = trailer.or_else(|| call.header("x-amz-checksum-crc32"));
    if sum.is_some_and(|sum| sum != checksum(&body)) {
        let words = "The CRC32 you specified did not match the calculated checksum.";
        return Err(S3Error::new(400, "BadDigest", words));
    }
    Ok(body)
}

fn checksum(body: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(crc32(body).to_be_bytes())
}

fn no_bucket(name: &str) -> S3Error {
    S3Error::new(404, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
}

fn check_region(bucket: &Bucket, signer: &Signer, name: &str) -> Result<(), S3Error> {
    if bucket.region == signer.region {
        return Ok(());
    }
    let error = match bucket.wrong_region {
        WrongRegion::Malformed => {
            let words = format!(
                "The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
                signer.region, bucket.region
            );
            S3Error::new(400, "AuthorizationHeaderMalformed", &words).with("Region", bucket.region.clone())
        }
        WrongRegion::Redirect => {
            let words = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                         Please send all future requests to this endpoint.";
            let endpoint = format!("{name}.s3.{}.amazonaws.com", bucket.region);
            S3Error::new(301, "PermanentRedirect", words).with("Endpoint", endpoint).with("Bucket", name)
        }
    };
    Err(error.header("x-amz-bucket-region", bucket.region.clone()))
}

fn location(bucket: &Bucket) -> Answer {
    // The oldest region is the empty one.
    xml("LocationConstraint", if bucket.region == "us-east-1" { "" } else { &bucket.region })
}

fn list_buckets(state: &State, now: Timestamp) -> Answer {
    let created = element("CreationDate", &s3_list::instant(now));
    let buckets: String =
        state.buckets.names().map(|name| format!("<Bucket>{}{created}</Bucket>", element("Name", name))).collect();
    let owner = format!("<Owner>{}</Owner>", element("ID", "fake"));
    xml("ListAllMyBucketsResult", &format!("{owner}<Buckets>{buckets}</Buckets>"))
}
