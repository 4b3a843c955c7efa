//! Customer gateways: what AWS knows of the device at the other end. None can be changed, so another address is another
//! gateway.

use std::{fmt, net::IpAddr};

use bowline_base::Identity;

use super::{Ask, done, nonsense, pages, result, tag_set, text};
use crate::{Aws, Error, Region, xml::Element};

/// The number of the autonomous system at the site's end. Every gateway has one, whether BGP is spoken or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl Asn {
    /// EC2 takes numbers up to this one under one name and greater ones under another.
    const LAST_SHORT: u32 = 2_147_483_647;

    fn field(self) -> &'static str {
        if self.0 <= Self::LAST_SHORT { "BgpAsn" } else { "BgpAsnExtended" }
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A customer gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerGateway {
    /// `cgw-0e11f167`.
    pub id: String,
    /// `pending`, `available`, `deleting`, `deleted`, or a word that came later. Deleted ones are listed for an hour.
    pub state: String,
    /// Where the device is; absent where a certificate names it.
    pub address: Option<IpAddr>,
    /// Absent only where EC2 writes what is no number.
    pub asn: Option<Asn>,
    /// `ipsec.1`.
    pub kind: String,
    /// What tells gateways of one address and number apart.
    pub device: Option<String>,
    /// The private certificate that the device shows instead of an address.
    pub certificate_arn: Option<String>,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

/// What to ask of `CreateCustomerGateway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCustomerGateway {
    /// Where the device is. EC2 takes private addresses too, without a word.
    pub address: IpAddr,
    /// Goes out as `BgpAsn` or `BgpAsnExtended`, whichever takes it.
    pub asn: Asn,
    /// `ipsec.1`.
    pub kind: String,
    /// With the same address, number and device EC2 gives the gateway that is there, and makes none.
    pub device: Option<String>,
    /// Set in the same call: there is no moment without them. Not set on a gateway that was there.
    pub tags: Vec<(String, String)>,
}

impl CreateCustomerGateway {
    pub(super) fn ask(&self) -> Ask {
        let ask = Ask::new("CreateCustomerGateway")
            .with("Type", &self.kind)
            .with("IpAddress", self.address.to_string())
            .with(self.asn.field(), self.asn.to_string());
        let ask = self.device.iter().fold(ask, |ask, device| ask.with("DeviceName", device));
        if self.tags.is_empty() {
            return ask.changes();
        }
        let ask = ask.with("TagSpecification.1.ResourceType", "customer-gateway");
        ask.with_tags("TagSpecification.1.", &self.tags).changes()
    }
}

/// Every customer gateway of the region, also those that are gone since an hour at most.
///
/// # Errors
/// [`Error`], refused or unreachable.
pub async fn customer_gateways(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
) -> Result<Vec<CustomerGateway>, Error> {
    let ask = Ask::new("DescribeCustomerGateways");
    pages(aws, region, identity, &ask, ("customerGatewaySet", read)).await
}

/// Makes a gateway, or gives the one that is there with the same address, number and device: then its tags tell whose it
/// is. Repeated by itself only where nothing was made.
///
/// # Errors
/// [`Error`]; [`super::Why::QuotaReached`]; ambiguous when the answer was lost: then [`customer_gateways`] tells, some
/// seconds later.
pub async fn create_customer_gateway(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    request: &CreateCustomerGateway,
) -> Result<CustomerGateway, Error> {
    let ask = request.ask();
    let answer = result(aws, region, identity, &ask).await?;
    let made = answer.children("customerGateway").next().and_then(read);
    made.ok_or_else(|| nonsense(ask.operation).ambiguous())
}

/// Deletes a gateway that no connection points at. May be done twice: the second time it is missing.
///
/// # Errors
/// [`Error`]; [`super::Why::InUse`], [`super::Why::NoGateway`].
pub async fn delete_customer_gateway(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    id: &str,
) -> Result<(), Error> {
    done(aws, region, identity, &delete(id)).await
}

pub(super) fn delete(id: &str) -> Ask {
    Ask::new("DeleteCustomerGateway").with("CustomerGatewayId", id)
}

fn read(element: &Element) -> Option<CustomerGateway> {
    let asn = text(element, &["bgpAsn"]).or_else(|| text(element, &["bgpAsnExtended"]));
    let address = text(element, &["ipAddress"]);
    Some(CustomerGateway {
        id: text(element, &["customerGatewayId"])?,
        state: text(element, &["state"])?,
        address: address.map(|text| text.parse()).transpose().ok()?,
        asn: asn.and_then(|text| text.parse().ok()).map(Asn),
        kind: text(element, &["type"]).unwrap_or_default(),
        device: text(element, &["deviceName"]),
        certificate_arn: text(element, &["certificateArn"]),
        tags: tag_set(element),
    })
}
