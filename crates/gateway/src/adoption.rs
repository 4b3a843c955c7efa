//! Takes over what was made by hand: one call that tags a connection and its gateway with the owner. After it the gateway
//! may be deleted when nothing uses it any more; before it, it is kept for ever.

use std::collections::BTreeSet;

use crate::{account::Look, observed::OWNER_TAG};

/// What is to be tagged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// Connections and gateways, in order.
    pub resources: Vec<String>,
    /// Gateways that are left as they are, each with the reason.
    pub left: Vec<String>,
    /// The tag's value.
    pub owner: String,
}

impl Adoption {
    /// What of `look` does not bear the owner's tag yet; `None` where nothing is ours.
    #[must_use]
    pub fn of(look: &Look) -> Option<Self> {
        let owner = look.selection.owner.clone()?;
        let ours = || look.observed.managed();
        let untagged = ours().filter(|one| one.owner.is_none()).map(|one| one.id.clone());
        let mut adoption = Self { resources: untagged.collect(), left: Vec::new(), owner };
        let gateways: BTreeSet<&str> = ours().map(|one| one.gateway.as_str()).collect();
        for gateway in gateways.into_iter().filter_map(|id| look.observed.gateway(id)) {
            let mut users = look.observed.connections.iter().filter(|one| one.gateway == gateway.id && !one.is_gone());
            match &gateway.owner {
                Some(owner) if *owner == adoption.owner => {}
                Some(owner) => adoption.left.push(format!("{} belongs to `{owner}`", gateway.id)),
                None if users.any(|one| !one.managed) => {
                    adoption.left.push(format!("{} is used by a connection that is not adopted", gateway.id));
                }
                None => adoption.resources.push(gateway.id.clone()),
            }
        }
        Some(adoption)
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> (String, String) {
        (OWNER_TAG.to_owned(), self.owner.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observed::{Connection, Gateway, Observed},
        selection::Selection,
    };

    fn gateway(id: &str, owner: Option<&str>) -> Gateway {
        let (state, kind) = ("available".to_owned(), "ipsec.1".to_owned());
        let owner = owner.map(str::to_owned);
        Gateway { id: id.to_owned(), state, address: None, asn: None, kind, has_certificate: false, owner, name: None }
    }

    fn connection(id: &str, gateway: &str, managed: bool, owner: Option<&str>) -> Connection {
        let (id, gateway, state) = (id.to_owned(), gateway.to_owned(), "available".to_owned());
        let owner = owner.map(str::to_owned);
        Connection { id, state, gateway, managed, is_public: true, owner, tunnels: Vec::new() }
    }

    fn adoption(connections: Vec<Connection>, gateways: Vec<Gateway>) -> (String, String) {
        let selection = Selection { owner: Some("site-1".to_owned()), ..Selection::default() };
        let adoption = Adoption::of(&Look { observed: Observed { connections, gateways }, selection }).unwrap();
        (adoption.resources.join(" "), adoption.left.join("; "))
    }

    #[test]
    fn a_connection_and_its_gateway_are_taken_over_once() {
        let new = || vec![connection("vpn-1", "cgw-1", true, None)];
        assert_eq!(adoption(new(), vec![gateway("cgw-1", None)]), ("vpn-1 cgw-1".to_owned(), String::new()));
        let tagged = vec![connection("vpn-1", "cgw-1", true, Some("site-1"))];
        assert_eq!(adoption(tagged, vec![gateway("cgw-1", Some("site-1"))]), (String::new(), String::new()));
    }

    #[test]
    fn a_gateway_of_others_is_left() {
        let shared = vec![connection("vpn-1", "cgw-1", true, None), connection("vpn-2", "cgw-1", false, None)];
        let (resources, left) = adoption(shared, vec![gateway("cgw-1", None)]);
        assert_eq!((resources.as_str(), left.contains("not adopted")), ("vpn-1", true));
        let (resources, left) =
            adoption(vec![connection("vpn-1", "cgw-1", true, None)], vec![gateway("cgw-1", Some("x"))]);
        assert_eq!((resources.as_str(), left.as_str()), ("vpn-1", "cgw-1 belongs to `x`"));
    }
}
