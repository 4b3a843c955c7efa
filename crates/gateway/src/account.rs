//! One region of one account: looked at, and acted upon as the plan says. Decides nothing.

use std::net::{IpAddr, Ipv4Addr};

use bowline_aws::{
    Aws, Error, Region,
    ec2::{self, CreateCustomerGateway, VpnConnection, Why, tag},
};
use bowline_base::Identity;

use crate::{
    memory::{Memory, Outcome},
    observed::{Connection, Gateway, OWNER_TAG, Observed},
    plan::{Action, Site, plan},
};

/// Which connections are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Managed {
    /// These.
    Ids(Vec<String>),
    /// The ones with this tag.
    Tag {
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
    /// The only one of the region; none where there are more.
    TheOnlyOne,
}

/// Where to look and act, and as whom.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// The way there.
    pub aws: &'a Aws,
    /// Of the connections.
    pub region: &'a Region,
    /// Who signs.
    pub identity: &'a dyn Identity,
}

/// One call that changes something, and what came of it.
#[derive(Debug)]
pub struct Did {
    /// What was to be done.
    pub action: Action,
    /// An error leaves it to the next pass.
    pub answer: Result<(), Error>,
}

/// One look and what followed.
#[derive(Debug)]
pub struct Pass {
    /// What was seen before anything was done.
    pub observed: Observed,
    /// In order; empty when there was nothing to do.
    pub done: Vec<Did>,
}

impl Managed {
    /// The connections of this site: those that its administrator tagged with its owner.
    #[must_use]
    pub fn of_site(site: &Site) -> Self {
        Self::Tag { key: OWNER_TAG.to_owned(), value: site.owner.clone() }
    }

    fn covers(&self, connection: &VpnConnection, all: &[VpnConnection]) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&connection.id),
            Self::Tag { key, value } => tag(&connection.tags, key) == Some(value),
            Self::TheOnlyOne => all.iter().all(|other| other.id == connection.id || other.state == "deleted"),
        }
    }
}

impl Account<'_> {
    /// Looks: two calls, none of which changes anything. Gateways first: one that is used by now is not taken for unused.
    ///
    /// # Errors
    /// [`Error`]: then nothing is known, and nothing may be done.
    pub async fn look(&self, managed: &Managed) -> Result<Observed, Error> {
        let gateways = ec2::customer_gateways(self.aws, self.region, self.identity).await?;
        let connections = ec2::vpn_connections(self.aws, self.region, self.identity, &[]).await?;
        let ours = connections.iter().map(|one| Connection::of(one, managed.covers(one, &connections)));
        Ok(Observed { connections: ours.collect(), gateways: gateways.iter().map(Gateway::of).collect() })
    }

    /// Does it. A gateway that is gone already is deleted.
    ///
    /// # Errors
    /// [`Error`]; see [`Outcome::of`] for whether it may have been done all the same.
    pub async fn act(&self, action: &Action, site: &Site) -> Result<(), Error> {
        let (aws, region, identity) = (self.aws, self.region, self.identity);
        match action {
            Action::Create { .. } => {
                let Some(request) = request(action, site) else { return Ok(()) };
                ec2::create_customer_gateway(aws, region, identity, &request).await.map(drop)
            }
            Action::Modify { connection, gateway } => {
                ec2::modify_vpn_connection(aws, region, identity, (connection, gateway)).await.map(drop)
            }
            Action::Delete { gateway } => match ec2::delete_customer_gateway(aws, region, identity, gateway).await {
                Err(error) if Why::of(&error) == Some(Why::NoGateway) => Ok(()),
                answer => answer,
            },
        }
    }

    /// One look, one plan, and its actions, each of which may fail on its own.
    ///
    /// # Errors
    /// [`Error`] of the look: then nothing was done.
    pub async fn pass(
        &self,
        site: &Site,
        managed: &Managed,
        address: Option<Ipv4Addr>,
        memory: &mut Memory,
    ) -> Result<Pass, Error> {
        let observed = self.look(managed).await?;
        let now = self.aws.now().boot;
        memory.looked(&observed, site, now);
        let mut done = Vec::new();
        for action in plan(&observed, address, memory, site, now) {
            let sent = self.aws.now().boot;
            let answer = self.act(&action, site).await;
            memory.acted(&action, Outcome::of(&answer), sent);
            done.push(Did { action, answer });
        }
        Ok(Pass { observed, done })
    }
}

/// What a creation asks of EC2: the owner's tag and the device's name go with it.
fn request(action: &Action, site: &Site) -> Option<CreateCustomerGateway> {
    let Action::Create { key, kind, name } = action else { return None };
    let name = name.iter().map(|name| ("Name".to_owned(), name.clone()));
    Some(CreateCustomerGateway {
        address: IpAddr::V4(key.address),
        asn: key.asn,
        kind: kind.clone(),
        device: Some(site.device()),
        tags: std::iter::once((OWNER_TAG.to_owned(), site.owner.clone())).chain(name).collect(),
    })
}
