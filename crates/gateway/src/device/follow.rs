//! The device's configuration follows its connections: asked of EC2, rendered, and put in its place.

use bowline_aws::ec2::{self, VpnConnection};
use bowline_base::Fault;

use super::{Choices, Link, Outcome, Place, render};
use crate::{account::Account, once::not_ours, selection::Managed};

/// The file that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceFile {
    /// Where it is.
    pub place: Place,
    /// What the site's administrator chose.
    pub choices: Choices,
}

impl DeviceFile {
    /// Brings it to what EC2 says of the connections `ids` now.
    pub(crate) async fn bring(&self, account: Account<'_>, ids: &[String]) -> Result<Outcome, Fault> {
        let Account { aws, region, identity } = account;
        let links = links_of(ec2::vpn_connections(aws, region, identity, ids).await?)?;
        let rendered = render(&links, &self.choices, &self.place.keys_name()).map_err(Fault::from)?;
        self.place.put(&rendered).await
    }
}

/// The connections that are ours, ready to be rendered.
///
/// # Errors
/// EC2 does not answer, there is no such connection, or one of them cannot be rendered.
pub async fn ours(account: Account<'_>, managed: &Managed, owner: Option<&str>) -> Result<Vec<Link>, Fault> {
    let Account { aws, region, identity } = account;
    let all = ec2::vpn_connections(aws, region, identity, &[]).await?;
    let selection = managed.select(owner, &all);
    if let Some(missing) = &selection.missing {
        return Err(not_ours(missing));
    }
    links_of(all.into_iter().filter(|connection| selection.ids.contains(&connection.id)).collect())
}

/// In the order of their ids, so that the same is rendered the same.
fn links_of(mut connections: Vec<VpnConnection>) -> Result<Vec<Link>, Fault> {
    connections.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(connections.iter().map(Link::of).collect::<Result<_, _>>()?)
}
