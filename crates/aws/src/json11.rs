//! The JSON 1.1 protocol: one address, the operation in a header, one object each way.

use bowline_base::Identity;
use http::HeaderValue;
use serde_json::Value;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    json::Object,
    request::{Auth, Repeat, Request},
};

/// A service that speaks it.
pub(crate) struct Json11 {
    pub(crate) service: Service,
    /// What stands before the operation in the header.
    pub(crate) prefix: &'static str,
    /// What an answer of it is, for whoever got something else.
    pub(crate) answer: &'static str,
}

impl Json11 {
    /// Asks `question`; an empty answer is an empty object.
    pub(crate) async fn call(
        &self,
        aws: &Aws,
        region: &Region,
        identity: &dyn Identity,
        operation: &'static str,
        question: &Value,
        repeat: Repeat,
    ) -> Result<(Answer, Object), Error> {
        let target =
            HeaderValue::from_str(&format!("{}.{operation}", self.prefix)).expect("operations are plain words");
        let request = Request::post(self.service, operation, aws.endpoints().base(self.service, region), "/")
            .json(question)
            .header("content-type", HeaderValue::from_static("application/x-amz-json-1.1"))
            .header("x-amz-target", target)
            .auth(Auth::signed(region, self.service))
            .repeat(repeat);
        let answer = drive(aws, request, Some(identity)).await?;
        let body: &[u8] = if answer.body.is_empty() { b"{}" } else { &answer.body };
        let object = Object::parse(body).ok_or_else(|| answer.nonsense(self.answer))?;
        Ok((answer, object))
    }
}
