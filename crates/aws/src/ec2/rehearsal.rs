//! Asks whether a call would be allowed, without making it: EC2's DryRun.
//!
//! EC2 looks at the rights only. A gateway that is in use may be deleted in a rehearsal.

use bowline_base::Identity;

use super::{Ask, CreateCustomerGateway, connections, customer_gateways, result, tags};
use crate::{Aws, Error, Region, Service};

/// A call that could be made.
#[derive(Clone, Copy, Debug)]
pub enum Rehearsal<'a> {
    /// To look at the connections.
    VpnConnections,
    /// To look at the gateways.
    CustomerGateways,
    /// To make a gateway.
    Create(&'a CreateCustomerGateway),
    /// To point a connection elsewhere.
    Modify {
        /// `vpn-…`.
        connection: &'a str,
        /// `cgw-…`.
        gateway: &'a str,
    },
    /// To delete the gateway of this id.
    Delete(&'a str),
    /// To tag.
    Tag {
        /// Ids of what is tagged.
        resources: &'a [String],
        /// Key and value.
        tags: &'a [(String, String)],
    },
}

/// Good when the call would be allowed.
///
/// # Errors
/// [`Error`]; [`super::Why::NotAllowed`] when it would not be.
pub async fn rehearse(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    rehearsal: Rehearsal<'_>,
) -> Result<(), Error> {
    let ask = ask(rehearsal).with("DryRun", "true");
    match result(aws, region, identity, &ask).await {
        Err(error) if error.code() == Some("DryRunOperation") => Ok(()),
        Err(error) => Err(error),
        // Whoever answers so may have done it.
        Ok(_) => Err(Error::nonsense(Service::Ec2, ask.operation, Some(200), "a dry run").ambiguous()),
    }
}

fn ask(rehearsal: Rehearsal<'_>) -> Ask {
    match rehearsal {
        Rehearsal::VpnConnections => Ask::new("DescribeVpnConnections"),
        Rehearsal::CustomerGateways => Ask::new("DescribeCustomerGateways"),
        Rehearsal::Create(request) => request.ask(),
        Rehearsal::Modify { connection, gateway } => connections::modify(connection, gateway),
        Rehearsal::Delete(id) => customer_gateways::delete(id),
        Rehearsal::Tag { resources, tags } => tags::ask(resources, tags),
    }
}
