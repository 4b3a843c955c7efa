//! EC2's Site-to-Site VPN, with its manners: a form in, XML out, errors in a form of their own.
//!
//! A gateway that is asked for twice is made once; a connection that is pointed elsewhere is `modifying` for a while and
//! refuses meanwhile; a gateway in use is not deleted; reads lag behind; what is new is unknown for some seconds. How
//! long and how much of each is set in [`VpnManners`]. One region, whichever the signature names; no VPCs: a virtual
//! private or transit gateway is a name here.

mod configuration;
mod connections;
mod customer_gateways;
mod filters;
pub(crate) mod furnish;
mod manners;
pub(crate) mod network;
mod tags;

use bowline_base::Timestamp;

pub use furnish::{CustomerGateway, NewConnection, NewGateway, VpnConnection};
pub use manners::{Flip, VpnManners};

use crate::{
    call::{Call, Form},
    cloud::State,
    iam::permission::{Wish, permit},
    keys::Principal,
    policy::Context,
    query::{No, authenticate},
    reply::Answer,
    xml::element,
};

/// The version of the API; tells its calls from those of STS and IAM, which come to the same path.
pub(crate) const VERSION: &str = "2016-11-15";

/// Answers a call of this service.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    let form = call.form();
    let action = form.field("Action").unwrap_or_default().to_owned();
    let result = match act(state, call, &form, &action, now) {
        Ok(result) => result,
        Err(No(status, code, words)) => return error(state, status, code, &words),
    };
    let id = state.mint.request_id();
    let body = format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\">{}{result}</{action}Response>",
        element("requestId", &id)
    );
    Answer::new(200, "text/xml;charset=UTF-8", body, "ok").header("x-amzn-requestid", &id)
}

/// An error in EC2's own form.
pub(crate) fn error(state: &mut State, status: u16, code: &str, message: &str) -> Answer {
    let id = state.mint.request_id();
    let error = element("Code", code) + &element("Message", message);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>{error}</Error></Errors>{}</Response>",
        element("RequestID", &id)
    );
    Answer::new(status, "text/xml;charset=UTF-8", body, code).header("x-amzn-requestid", &id)
}

fn act(state: &mut State, call: &Call, form: &Form, action: &str, now: Timestamp) -> Result<String, No> {
    let signer = authenticate(state, call, "ec2", now).map_err(in_ec2s_words)?;
    let ask = Ask { form, caller: signer.key.principal, region: signer.region, now };
    match action {
        "DescribeCustomerGateways" => customer_gateways::describe(state, &ask),
        "CreateCustomerGateway" => customer_gateways::create(state, &ask),
        "DeleteCustomerGateway" => customer_gateways::delete(state, &ask),
        "DescribeVpnConnections" => connections::describe(state, &ask),
        "ModifyVpnConnection" => connections::modify(state, &ask),
        "CreateTags" => tags::create(state, &ask),
        _ => Err(No(400, "InvalidAction", format!("The action {action} is not valid for this web service."))),
    }
}

/// What the other services of this protocol say about keys and signatures, as EC2 says it.
fn in_ec2s_words(No(status, code, words): No) -> No {
    let about_time = words.starts_with("Signature expired") || words.starts_with("Signature not yet current");
    match code {
        "ExpiredToken" => No(400, "RequestExpired", "Request has expired.".to_owned()),
        "SignatureDoesNotMatch" if about_time => No(400, "RequestExpired", "Request has expired.".to_owned()),
        "InvalidClientTokenId" | "SignatureDoesNotMatch" => {
            No(401, "AuthFailure", "AWS was not able to validate the provided access credentials".to_owned())
        }
        _ => No(status, code, words),
    }
}

/// One call: what it says, who sent it, and when.
struct Ask<'a> {
    form: &'a Form,
    caller: Principal,
    region: String,
    now: Timestamp,
}

impl Ask<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.form.field(name).filter(|text| !text.is_empty())
    }

    /// A field that must be there.
    fn required(&self, name: &str) -> Result<&str, No> {
        let missing = || No(400, "MissingParameter", format!("The request must contain the parameter {name}"));
        self.field(name).ok_or_else(missing)
    }

    /// `NAME.1`, `NAME.2`, …
    fn each(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.field(&format!("{name}.{n}"))).collect()
    }

    /// Whether the policies of the sender let it do this.
    fn may(&self, state: &State, action: &'static str, resource: &str, context: Context) -> Result<(), No> {
        let context = context.with("ec2:Region", &self.region);
        let resource = match resource {
            "*" => "*".to_owned(),
            part => format!("arn:aws:ec2:{}:{}:{part}", self.region, state.home_account()),
        };
        permit(state, &self.caller, Wish { action, resource, context }, self.now).map_err(|No(_, _, words)| {
            No(403, "UnauthorizedOperation", format!("You are not authorized to perform this operation. {words}"))
        })
    }

    /// Ends a dry run, once everything that a dry run looks at was found good.
    fn in_earnest(&self) -> Result<(), No> {
        let words = "Request would have succeeded, but DryRun flag is set.";
        if self.field("DryRun") == Some("true") { Err(No(412, "DryRunOperation", words.to_owned())) } else { Ok(()) }
    }
}

fn bad_value(value: &str, name: &str) -> No {
    No(400, "InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
}

fn no_gateway(id: &str) -> No {
    No(400, "InvalidCustomerGatewayID.NotFound", format!("The customerGateway ID '{id}' does not exist"))
}

fn no_connection(id: &str) -> No {
    No(400, "InvalidVpnConnectionID.NotFound", format!("The vpnConnection ID '{id}' does not exist"))
}

/// What a policy sees of the tags of a thing that is there.
fn tagged(tags: &[(String, String)]) -> Context {
    tags.iter().fold(Context::default(), |context, (key, value)| {
        context.with(&format!("aws:ResourceTag/{key}"), value).with(&format!("ec2:ResourceTag/{key}"), value)
    })
}
