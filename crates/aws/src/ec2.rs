//! EC2's Site-to-Site VPN: connections, the customer gateways that they point at, tags. A form goes out, XML comes back.
//!
//! What EC2 is told is seen some seconds later: a describe may be old, a new gateway unknown to the next call. States are
//! texts, for EC2 uses words that no SDK lists (`modifying`). Nothing here waits or decides; what a call does to whose
//! gateway is not known here.

mod connections;
mod customer_gateways;
mod device;
mod rehearsal;
mod tags;
mod why;

use bowline_base::Identity;

pub use connections::{Phase, Target, Telemetry, Tunnel, VpnConnection, modify_vpn_connection, vpn_connections};
pub use customer_gateways::{
    Asn, CreateCustomerGateway, CustomerGateway, create_customer_gateway, customer_gateways, delete_customer_gateway,
};
pub use device::{Device, DeviceTunnel, End, Unreadable};
pub use rehearsal::{Rehearsal, rehearse};
pub use tags::create_tags;
pub use why::Why;

use crate::{
    Aws, Error, Region, Service,
    drive::{Answer, drive},
    request::{Auth, Repeat, Request},
    xml::Element,
};

/// A call: its name, its fields in order, and what a lost answer costs.
struct Ask {
    operation: &'static str,
    fields: Vec<(String, String)>,
    repeat: Repeat,
}

impl Ask {
    fn new(operation: &'static str) -> Self {
        Self { operation, fields: Vec::new(), repeat: Repeat::Freely }
    }

    fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    fn with_each<'a>(self, name: &str, values: impl IntoIterator<Item = &'a String>) -> Self {
        (1..).zip(values).fold(self, |ask, (n, value)| ask.with(format!("{name}.{n}"), value))
    }

    /// Tags under `prefix`, which ends in a dot or is empty.
    fn with_tags(self, prefix: &str, tags: &[(String, String)]) -> Self {
        (1..).zip(tags).fold(self, |ask, (n, (key, value))| {
            ask.with(format!("{prefix}Tag.{n}.Key"), key).with(format!("{prefix}Tag.{n}.Value"), value)
        })
    }

    /// It changes something: once more only when nothing was changed.
    fn changes(self) -> Self {
        Self { repeat: Repeat::WhenRefused, ..self }
    }
}

const VERSION: &str = "2016-11-15";
const EXPECTED: &str = "an EC2 answer";
/// Each connection brings its whole configuration, which is ten thousand letters; fifty are usual at most.
const LONGEST_ANSWER: usize = 16 << 20;
/// A region has fewer pages than this; a list that pages on for ever is broken.
const MOST_PAGES: usize = 100;

/// Sends the call and gives the document that came.
async fn result(aws: &Aws, region: &Region, identity: &dyn Identity, ask: &Ask) -> Result<Element, Error> {
    let answer = send(aws, region, identity, ask, None).await?;
    let doubtful = |error: Error| if ask.repeat.leaves_doubt() { error.ambiguous() } else { error };
    document(ask, &answer).map_err(doubtful)
}

/// Sends a call whose answer says only that it was done.
async fn done(aws: &Aws, region: &Region, identity: &dyn Identity, ask: &Ask) -> Result<(), Error> {
    let said = result(aws, region, identity, ask).await?;
    // `DeleteCustomerGateway` has no model for its answer; every known one says `true`.
    if said.text_at(&["return"]) == Some("false") { Err(nonsense(ask.operation)) } else { Ok(()) }
}

/// Walks all pages of the list `name`, and gives what `read` makes of each member. EC2 gives these lists whole today; a
/// token for more is followed all the same.
async fn pages<T>(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    ask: &Ask,
    (name, read): (&str, fn(&Element) -> Option<T>),
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let answer = send(aws, region, identity, ask, token.as_deref()).await?;
        let page = document(ask, &answer)?;
        let list = page.children(name).next().ok_or_else(|| answer.nonsense(EXPECTED))?;
        for item in list.children("item") {
            found.push(read(item).ok_or_else(|| answer.nonsense(EXPECTED))?);
        }
        token = text(&page, &["nextToken"]);
        if token.is_none() {
            return Ok(found);
        }
    }
    Err(Error::nonsense(Service::Ec2, ask.operation, Some(200), "a list with an end"))
}

async fn send(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    ask: &Ask,
    token: Option<&str>,
) -> Result<Answer, Error> {
    let mut form: Vec<(&str, Option<&str>)> =
        ask.fields.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
    form.push(("NextToken", token));
    let base = aws.endpoints().base(Service::Ec2, region);
    let request = Request::post(Service::Ec2, ask.operation, base, "/")
        .form(VERSION, &form)
        .auth(Auth::signed(region, Service::Ec2))
        .at_most(LONGEST_ANSWER)
        .repeat(ask.repeat);
    drive(aws, request, Some(identity)).await
}

fn document(ask: &Ask, answer: &Answer) -> Result<Element, Error> {
    let document = Element::parse(&answer.body).map_err(|_| answer.nonsense(EXPECTED))?;
    if document.name() == format!("{}Response", ask.operation) { Ok(document) } else { Err(answer.nonsense(EXPECTED)) }
}

/// The error of a part that is missing or wrong in an answer that was understood so far.
fn nonsense(operation: &'static str) -> Error {
    Error::nonsense(Service::Ec2, operation, Some(200), EXPECTED)
}

/// The text of an element that must not be empty.
fn text(element: &Element, path: &[&str]) -> Option<String> {
    element.text_at(path).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The tags that a resource came with.
fn tag_set(element: &Element) -> Vec<(String, String)> {
    let items = element.children("tagSet").flat_map(|set| set.children("item"));
    let part = |item: &Element, name| item.text_at(&[name]).unwrap_or_default().to_owned();
    items.map(|item| (part(item, "key"), part(item, "value"))).collect()
}

/// The value of the tag `key`; EC2 looks at the case of keys.
#[must_use]
pub fn tag<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
