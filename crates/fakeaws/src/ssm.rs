//! Systems Manager's Parameter Store: JSON 1.1, five calls, with AWS's limits: 4096 characters, pages of ten, no change of
//! a parameter's type. A throttle and outages are ordered as faults. A sealed value needs `kms:Decrypt` to be read.

use std::collections::BTreeMap;

use bowline_base::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    call::Call,
    cloud::State,
    iam::permission::{Wish, permit},
    json,
    keys::Principal,
    mint::hex,
    policy::Context,
    reply::Answer,
    sigv4::{Refusal, Verifier},
};

/// Parameters by name.
pub(crate) type Parameters = BTreeMap<String, Parameter>;

/// One parameter; every region has the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    value: String,
    kind: String,
    version: u64,
    changed_at: Timestamp,
}

const LONGEST_VALUE: usize = 4096;
const LONGEST_PAGE: u64 = 10;

/// Why the service says no: code and words; the status is always 400.
struct No(&'static str, String);

impl No {
    fn validation(words: &str) -> Self {
        Self("ValidationException", words.to_owned())
    }
}

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let outcome = authenticate(state, call, now).and_then(|(caller, region)| {
        let body = json::object(&call.body).ok_or_else(|| No("SerializationException", "no JSON".to_owned()))?;
        Desk { state, caller, region, now }.act(call, &body)
    });
    match outcome {
        Ok(value) => Answer::new(200, "application/x-amz-json-1.1", value.to_string(), "ok")
            .header("x-amzn-requestid", &state.mint.request_id()),
        Err(No(code, words)) => error(state, 400, code, &words),
    }
}

/// An error in this service's form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "__type": code, "message": message }).to_string();
    Answer::new(status, "application/x-amz-json-1.1", body, code).header("x-amzn-requestid", &state.mint.request_id())
}

/// A parameter that is there before anybody looks.
pub(crate) fn furnish(parameters: &mut Parameters, name: &str, value: &str, sealed: bool, now: Timestamp) {
    let kind = if sealed { "SecureString" } else { "String" };
    let version = parameters.get(name).map_or(1, |old| old.version + 1);
    let new = Parameter { value: value.to_owned(), kind: kind.to_owned(), version, changed_at: now };
    parameters.insert(name.to_owned(), new);
}

/// Name, value and whether it is sealed, of every parameter.
pub(crate) fn contents(parameters: &Parameters) -> Vec<(String, String, bool)> {
    let content = |(name, parameter): (&String, &Parameter)| {
        (name.clone(), parameter.value.clone(), parameter.kind == "SecureString")
    };
    parameters.iter().map(content).collect()
}

fn authenticate(state: &State, call: &Call, now: Timestamp) -> Result<(Principal, String), No> {
    let verifier = Verifier { keys: &state.keys, service: "ssm", now, window: state.settings.signature_window };
    let no = |code, words: &str| No(code, words.to_owned());
    let signer = verifier.verify(call, &hex(&Sha256::digest(&call.body))).map_err(|refusal| match refusal {
        Refusal::Missing => no("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Refusal::UnknownKey(_) | Refusal::WrongToken => {
            no("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        Refusal::Expired => no("ExpiredTokenException", "The security token included in the request is expired"),
        Refusal::Malformed(words) => No("IncompleteSignatureException", words),
        Refusal::Skewed { .. } | Refusal::NotSigned(_) | Refusal::WrongService | Refusal::BadSignature { .. } => {
            no("InvalidSignatureException", "The request signature we calculated does not match the one you provided.")
        }
    })?;
    Ok((signer.key.principal, signer.region))
}

/// Who asks, where, and of what.
struct Desk<'a> {
    state: &'a mut State,
    caller: Principal,
    region: String,
    now: Timestamp,
}

impl Desk<'_> {
    fn act(&mut self, call: &Call, body: &Value) -> Result<Value, No> {
        let text = |field| json::text(body, field).ok_or_else(|| No::validation(&format!("{field} is missing")));
        match call.header("x-amz-target").and_then(|target| target.strip_prefix("AmazonSSM.")) {
            Some("GetParameter") => self.one(text("Name")?, body["WithDecryption"] == true),
            Some("GetParametersByPath") => self.by_path(text("Path")?, body),
            Some("PutParameter") => self.put(text("Name")?, text("Value")?, body),
            Some("DeleteParameter") => self.delete(text("Name")?),
            Some("DeleteParameters") => self.delete_all(&json::list(body, "Names")),
            _ => Err(No("UnknownOperationException", String::new())),
        }
    }

    fn one(&self, name: &str, decrypted: bool) -> Result<Value, No> {
        self.permit("ssm:GetParameter", name)?;
        let parameter = self.state.parameters.get(name).ok_or_else(missing)?;
        Ok(json!({ "Parameter": self.shown(name, parameter, decrypted)? }))
    }

    fn by_path(&self, path: &str, body: &Value) -> Result<Value, No> {
        self.permit("ssm:GetParametersByPath", path)?;
        let most = body["MaxResults"].as_u64().unwrap_or(LONGEST_PAGE);
        if !(1..=LONGEST_PAGE).contains(&most) {
            return Err(No::validation("Value at 'maxResults' failed to satisfy constraint: between 1 and 10"));
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        let deep = body["Recursive"] == true;
        let after = json::text(body, "NextToken").unwrap_or_default();
        let inside = |name: &str| name.strip_prefix(&below).is_some_and(|rest| deep || !rest.contains('/'));
        let mut found = self.state.parameters.iter().filter(|(name, _)| inside(name) && name.as_str() > after);
        let page: Vec<_> = found.by_ref().take(usize::try_from(most).unwrap_or(1)).collect();
        let more = found.next().is_some();
        let decrypted = body["WithDecryption"] == true;
        let shown: Result<Vec<Value>, No> = page.iter().map(|(name, one)| self.shown(name, one, decrypted)).collect();
        let mut answer = json!({ "Parameters": shown? });
        if let Some((last, _)) = page.last().filter(|_| more) {
            answer["NextToken"] = last.as_str().into();
        }
        Ok(answer)
    }

    fn put(&mut self, name: &str, value: &str, body: &Value) -> Result<Value, No> {
        self.permit("ssm:PutParameter", name)?;
        check_name(name)?;
        if value.is_empty() || value.chars().count() > LONGEST_VALUE {
            return Err(No::validation(
                "Standard tier parameters support a maximum parameter value of 4096 characters.",
            ));
        }
        let wanted = json::text(body, "Type");
        let kind = match (self.state.parameters.get(name), wanted) {
            (Some(_), _) if body["Overwrite"] != true => {
                let words = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
                return Err(No("ParameterAlreadyExists", words.to_owned()));
            }
            (Some(old), Some(kind)) if old.kind != kind => {
                return Err(No("HierarchyTypeMismatchException", "The parameter type cannot be changed".to_owned()));
            }
            (Some(old), _) => old.kind.clone(),
            (None, Some(kind)) => kind.to_owned(),
            (None, None) => return Err(No::validation("A parameter type is required when you create a parameter.")),
        };
        furnish(&mut self.state.parameters, name, value, kind == "SecureString", self.now);
        Ok(json!({ "Version": self.state.parameters[name].version, "Tier": "Standard" }))
    }

    fn delete(&mut self, name: &str) -> Result<Value, No> {
        self.permit("ssm:DeleteParameter", name)?;
        self.state.parameters.remove(name).map(|_| json!({})).ok_or_else(missing)
    }

    fn delete_all(&mut self, names: &[String]) -> Result<Value, No> {
        if !(1..=10).contains(&names.len()) {
            return Err(No::validation("Value at 'names' failed to satisfy constraint: between 1 and 10"));
        }
        for name in names {
            self.permit("ssm:DeleteParameters", name)?;
        }
        let (gone, unknown): (Vec<_>, Vec<_>) =
            names.iter().partition(|name| self.state.parameters.remove(name.as_str()).is_some());
        Ok(json!({ "DeletedParameters": gone, "InvalidParameters": unknown }))
    }

    fn shown(&self, name: &str, parameter: &Parameter, decrypted: bool) -> Result<Value, No> {
        let sealed = parameter.kind == "SecureString";
        if sealed && decrypted {
            self.permit_decryption(name)?;
        }
        let value =
            if sealed && !decrypted { format!("sealed:{}", parameter.version) } else { parameter.value.clone() };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of our century are exact in an f64")]
        let changed = parameter.changed_at.as_millisecond() as f64 / 1000.0;
        Ok(json!({
            "Name": name, "Type": parameter.kind, "Value": value, "Version": parameter.version,
            "LastModifiedDate": changed, "ARN": self.arn(name), "DataType": "text",
        }))
    }

    fn permit(&self, action: &'static str, name: &str) -> Result<(), No> {
        self.wish(Wish { action, resource: self.arn(name), context: Context::default() })
    }

    fn permit_decryption(&self, name: &str) -> Result<(), No> {
        let context = Context::default()
            .with("kms:ViaService", &format!("ssm.{}.amazonaws.com", self.region))
            .with("kms:EncryptionContext:PARAMETER_ARN", &self.arn(name));
        let resource = format!("arn:aws:kms:{}:{}:key/aws-ssm", self.region, self.caller.account);
        self.wish(Wish { action: "kms:Decrypt", resource, context })
    }

    fn wish(&self, wish: Wish) -> Result<(), No> {
        permit(self.state, &self.caller, wish, self.now).map_err(|no| No("AccessDeniedException", no.2))
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:ssm:{}:{}:parameter/{}", self.region, self.caller.account, name.trim_start_matches('/'))
    }
}

fn missing() -> No {
    No("ParameterNotFound", String::new())
}

fn check_name(name: &str) -> Result<(), No> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    let whole = name.len() <= 1011 && !name.contains("//") && !name.ends_with('/');
    if plain && whole && name.split('/').filter(|part| !part.is_empty()).count() <= 15 {
        return Ok(());
    }
    Err(No::validation("Parameter name must be a fully qualified name of letters, numbers and .-_/"))
}
