//! One region of one account: looked at, and acted upon as the plan says. Decides nothing.

use std::net::{IpAddr, Ipv4Addr};

use bowline_aws::{
    Aws, Error, Region,
    ec2::{self, CreateCustomerGateway, Why},
};
use bowline_base::Identity;

use crate::{
    memory::{Memory, Outcome},
    observed::{Connection, Gateway, OWNER_TAG, Observed},
    plan::{Action, Site, plan},
    selection::{Managed, Selection},
};

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

/// What was seen of a region.
#[derive(Clone, Debug)]
pub struct Look {
    /// All that is there.
    pub observed: Observed,
    /// What of it is ours.
    pub selection: Selection,
}

/// One look and what followed.
#[derive(Debug)]
pub struct Pass {
    /// What was seen before anything was done.
    pub look: Look,
    /// In order; empty when there was nothing to do.
    pub done: Vec<Did>,
}

impl Account<'_> {
    /// Looks: two calls, none of which changes anything. Gateways first: one that is used by now is not taken for unused.
    ///
    /// # Errors
    /// [`Error`]: then nothing is known, and nothing may be done.
    pub async fn look(&self, managed: &Managed, owner: Option<&str>) -> Result<Look, Error> {
        let gateways = ec2::customer_gateways(self.aws, self.region, self.identity).await?;
        let connections = ec2::vpn_connections(self.aws, self.region, self.identity, &[]).await?;
        let selection = managed.select(owner, &connections);
        let ours = connections.iter().map(|one| Connection::of(one, selection.ids.contains(&one.id)));
        let observed = Observed { connections: ours.collect(), gateways: gateways.iter().map(Gateway::of).collect() };
        Ok(Look { observed, selection })
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
        let look = self.look(managed, Some(&site.owner)).await?;
        let now = self.aws.now().boot;
        memory.looked(&look.observed, site, now);
        let actions = plan(&look.observed, address, memory, site, now);
        let done = self.act_all(actions, site, memory).await;
        Ok(Pass { look, done })
    }

    /// Does them one after the other; each may fail on its own. What came of it is remembered.
    pub async fn act_all(&self, actions: Vec<Action>, site: &Site, memory: &mut Memory) -> Vec<Did> {
        let mut done = Vec::new();
        for action in actions {
            let sent = self.aws.now().boot;
            let answer = self.act(&action, site).await;
            memory.acted(&action, Outcome::of(&answer), sent);
            done.push(Did { action, answer });
        }
        done
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
