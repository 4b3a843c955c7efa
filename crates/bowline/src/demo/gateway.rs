//! The gateway's act: the site's address changes, and the VPN connection at the demo's EC2 follows it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::{Fault, Kind, units};
use bowline_fakeaws::{Cloud, NewConnection, NewGateway};
use bowline_host::{Address, Listeners, ServerLimits, Tasks, clock, server};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::failed;

/// Addresses of documentation: nobody's.
const BEFORE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const AFTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const OWNER: &str = "demo-site";
/// A change takes three or four seconds here.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// A site with a VPN connection, and three providers that say which address it has.
pub(super) struct Site {
    address: Arc<Mutex<Ipv4Addr>>,
    providers: SocketAddr,
    connection: String,
}

impl Site {
    /// Makes the connection at EC2, and answers who asks for the address.
    pub(super) async fn open(tasks: &Tasks, cloud: &Cloud) -> Result<Self, Fault> {
        let address = Arc::new(Mutex::new(BEFORE));
        let listener = Listeners::default().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).await?;
        let providers = listener
            .local_addr()
            .ok_or_else(|| Fault::new(Kind::Bug, "demo", "a listener on loopback has no address"))?;
        let told = Arc::clone(&address);
        server::serve(tasks, "demo-address", listener, ServerLimits::default(), move |_, _| {
            let text = format!("{}\n", *told.lock().unwrap_or_else(PoisonError::into_inner));
            async move { Response::new(Full::new(Bytes::from(text))) }
        });
        let tags = vec![("bowline:owner".to_owned(), OWNER.to_owned()), ("Name".to_owned(), "Demo".to_owned())];
        let gateway = NewGateway { address: Some(BEFORE.into()), tags: tags.clone(), ..NewGateway::default() };
        let customer_gateway = cloud.add_customer_gateway(&gateway);
        let connection =
            cloud.add_vpn_connection(&NewConnection { customer_gateway, tags, ..NewConnection::default() });
        Ok(Self { address, providers, connection })
    }

    /// `[gateway]`, as the demo's `bowline.toml` would have it.
    pub(super) fn section(&self, profile: &str, region: &str) -> String {
        let providers = [1, 2, 3].map(|number| format!("\"http://{}/{number}\"", self.providers)).join(", ");
        format!(
            "[gateway]\nidentity = \"{profile}\"\nregion = \"{region}\"\nowner = \"{OWNER}\"\nip-providers = [{providers}]\n\
             vpn-connections = [\"{}\"]\ninterval = \"500ms\"\nsettle-poll = \"200ms\"\nmin-change-interval = \"0s\"\n\
             allow-test-addresses = true\n",
            self.connection
        )
    }

    /// The address changes; says how the connection followed.
    pub(super) async fn act(&self, cloud: &Cloud) -> Result<String, Fault> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = AFTER;
        let begun = clock::now().boot;
        while !self.has_followed(cloud) {
            if clock::now().boot.saturating_sub(begun) > PATIENCE {
                return Err(failed(format!(
                    "the VPN connection has not followed within {}",
                    units::duration(PATIENCE)
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
        let took = units::duration(clock::now().boot.saturating_sub(begun));
        Ok(format!(
            "the site's address changed from {BEFORE} to {AFTER}; the VPN connection followed in {took}, and no customer gateway is left over"
        ))
    }

    /// The connection is available at the new address, and the old gateway is gone.
    fn has_followed(&self, cloud: &Cloud) -> bool {
        let (connections, gateways) = (cloud.vpn_connections(clock::now()), cloud.customer_gateways());
        let ours = connections.iter().find(|one| one.id == self.connection && one.state == "available");
        let at = |id: &str| gateways.iter().find(|one| one.id == id).and_then(|one| one.address);
        gateways.len() == 1 && ours.and_then(|one| at(&one.customer_gateway)) == Some(AFTER.into())
    }
}
