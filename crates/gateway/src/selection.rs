//! Which of the region's connections are ours, and whose we are. Decided from what EC2 lists; guesses nothing.

use std::{collections::BTreeSet, fmt};

use bowline_aws::ec2::{VpnConnection, tag};

use crate::{observed::OWNER_TAG, plan::Site};

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
    /// Nobody said: the ones with our owner's tag, else the only one of the region.
    Unsaid,
}

/// What is ours, and under which name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The connections to look after.
    pub ids: BTreeSet<String>,
    /// The owner's id: as it was given, else as the connections are tagged, else the first connection's own id, which EC2
    /// never changes. `None` where there is no connection.
    pub owner: Option<String>,
    /// What was asked for and is not looked after.
    pub missing: Option<Unselected>,
}

/// Why a connection is not looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unselected {
    /// These are not in the region and account, or not any more.
    Unknown(Vec<String>),
    /// None has the tag.
    NoneTagged(String),
    /// The region has none.
    NoneThere,
    /// There are so many, and nothing says which one is meant.
    Several(usize),
    /// This one is tagged as another owner's.
    Foreign(String, String),
}

impl Managed {
    /// The connections of this site: those that its administrator tagged with its owner.
    #[must_use]
    pub fn of_site(site: &Site) -> Self {
        Self::Tag { key: OWNER_TAG.to_owned(), value: site.owner.clone() }
    }

    /// What of `all` is ours. A connection that another owner has tagged never is.
    #[must_use]
    pub fn select(&self, owner: Option<&str>, all: &[VpnConnection]) -> Selection {
        let there: Vec<&VpnConnection> = all.iter().filter(|one| !is_gone(one)).collect();
        let (wanted, mut missing) = self.wanted(owner, &there);
        let tagged = wanted.first().and_then(|one| owner_of(one));
        let name = owner.or(tagged).or_else(|| wanted.iter().map(|one| one.id.as_str()).min()).map(str::to_owned);
        let is_foreign = |one: &&VpnConnection| owner_of(one).is_some_and(|theirs| Some(theirs) != name.as_deref());
        let (foreign, ours): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_foreign);
        if let Some(one) = foreign.first() {
            missing = Some(Unselected::Foreign(one.id.clone(), owner_of(one).unwrap_or_default().to_owned()));
        }
        let owner = name.filter(|_| !ours.is_empty());
        Selection { ids: ours.iter().map(|one| one.id.clone()).collect(), owner, missing }
    }

    fn wanted<'a>(
        &self,
        owner: Option<&str>,
        there: &[&'a VpnConnection],
    ) -> (Vec<&'a VpnConnection>, Option<Unselected>) {
        let with = |key: &str, value: &str| -> Vec<&'a VpnConnection> {
            there.iter().copied().filter(|one| tag(&one.tags, key) == Some(value)).collect()
        };
        match self {
            Self::Ids(ids) => {
                let found: Vec<_> = there.iter().copied().filter(|one| ids.contains(&one.id)).collect();
                let is_unknown = |id: &&String| !found.iter().any(|one| one.id == **id);
                let unknown: Vec<String> = ids.iter().filter(is_unknown).cloned().collect();
                (found, (!unknown.is_empty()).then_some(Unselected::Unknown(unknown)))
            }
            Self::Tag { key, value } => {
                let found = with(key, value);
                let none = found.is_empty().then(|| Unselected::NoneTagged(format!("{key}={value}")));
                (found, none)
            }
            Self::Unsaid => match (owner.map(|owner| with(OWNER_TAG, owner)).unwrap_or_default(), there) {
                (ours, _) if !ours.is_empty() => (ours, None),
                (_, [only]) => (vec![*only], None),
                (_, []) => (Vec::new(), Some(Unselected::NoneThere)),
                (_, several) => (Vec::new(), Some(Unselected::Several(several.len()))),
            },
        }
    }
}

impl Unselected {
    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Unknown(_) | Self::NoneThere => {
                "check id, region and account: `aws ec2 describe-vpn-connections`; AWS_REGION or `region` sets the region"
                    .to_owned()
            }
            Self::NoneTagged(_) => {
                "tag the connection, or name it: `--vpn-connection ID`, `vpn-connections` in [gateway]".to_owned()
            }
            Self::Several(_) => {
                "name yours: `--vpn-connection ID`, or `--tag KEY=VALUE`, or tag them: `bowline gateway adopt`".to_owned()
            }
            Self::Foreign(_, owner) => {
                format!("if this is that site, run it with `--owner {owner}`; else leave the connection alone")
            }
        }
    }
}

impl fmt::Display for Unselected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(ids) => write!(f, "no VPN connection {} in this region and account", ids.join(", ")),
            Self::NoneTagged(tag) => write!(f, "no VPN connection of this region is tagged {tag}"),
            Self::NoneThere => f.write_str("this region has no VPN connection"),
            Self::Several(count) => write!(f, "this region has {count} VPN connections, and none is named"),
            Self::Foreign(id, owner) => write!(f, "{id} is tagged as belonging to `{owner}`: it is left alone"),
        }
    }
}

fn is_gone(connection: &VpnConnection) -> bool {
    matches!(connection.state.as_str(), "deleted" | "deleting")
}

fn owner_of(connection: &VpnConnection) -> Option<&str> {
    tag(&connection.tags, OWNER_TAG)
}

#[cfg(test)]
mod tests {
    use bowline_aws::ec2::Target;

    use super::*;

    fn connection(id: &str, state: &str, owner: &str) -> VpnConnection {
        let owner = (!owner.is_empty()).then(|| (OWNER_TAG.to_owned(), owner.to_owned()));
        VpnConnection {
            id: id.to_owned(),
            state: state.to_owned(),
            customer_gateway: "cgw-1".to_owned(),
            target: Target::Other,
            static_routes_only: false,
            outside_address_type: None,
            networks: [None, None],
            key_arn: None,
            tags: owner.into_iter().chain([("site".to_owned(), id.to_owned())]).collect(),
            telemetry: Vec::new(),
            tunnels: Vec::new(),
            configuration: None,
        }
    }

    fn selected(managed: &Managed, owner: Option<&str>, all: &[VpnConnection]) -> (String, String, String) {
        let selection = managed.select(owner, all);
        let ids: Vec<String> = selection.ids.into_iter().collect();
        let missing = selection.missing.map(|missing| missing.to_string());
        (ids.join(" "), selection.owner.unwrap_or_default(), missing.unwrap_or_default())
    }

    fn some(ids: &str, owner: &str, missing: &str) -> (String, String, String) {
        (ids.to_owned(), owner.to_owned(), missing.to_owned())
    }

    #[test]
    fn the_only_connection_needs_no_name_and_gives_the_owner_its_own() {
        let gone = connection("vpn-0", "deleted", "");
        let all = [gone.clone(), connection("vpn-1", "available", "")];
        assert_eq!(selected(&Managed::Unsaid, None, &all), some("vpn-1", "vpn-1", ""));
        assert_eq!(selected(&Managed::Unsaid, Some("a"), &all), some("vpn-1", "a", ""));
        let tagged = [gone.clone(), connection("vpn-1", "modifying", "site-1")];
        assert_eq!(selected(&Managed::Unsaid, None, &tagged), some("vpn-1", "site-1", ""));
        assert_eq!(selected(&Managed::Unsaid, None, &[gone]).2, "this region has no VPN connection");
    }

    #[test]
    fn one_of_several_is_not_guessed_and_ours_are_found_by_their_tag() {
        let all = ["vpn-1", "vpn-2", "vpn-3"].map(|id| connection(id, "available", ""));
        let several = "this region has 3 VPN connections, and none is named";
        assert_eq!(selected(&Managed::Unsaid, None, &all), some("", "", several));
        let mut all = all;
        all[1] = connection("vpn-2", "available", "site-2");
        assert_eq!(selected(&Managed::Unsaid, Some("site-2"), &all), some("vpn-2", "site-2", ""));
        let by_tag = Managed::Tag { key: "site".to_owned(), value: "vpn-3".to_owned() };
        assert_eq!(selected(&by_tag, None, &all), some("vpn-3", "vpn-3", ""));
    }

    #[test]
    fn what_is_unknown_or_foreign_is_told_and_the_others_are_served() {
        let all = [connection("vpn-1", "available", "site-2"), connection("vpn-2", "available", "")];
        let ids = |ids: &[&str]| Managed::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        let unknown = "no VPN connection vpn-9 in this region and account";
        assert_eq!(selected(&ids(&["vpn-2", "vpn-9"]), None, &all), some("vpn-2", "vpn-2", unknown));
        let foreign = "vpn-1 is tagged as belonging to `site-2`: it is left alone";
        assert_eq!(selected(&ids(&["vpn-1", "vpn-2"]), Some("site-1"), &all), some("vpn-2", "site-1", foreign));
        assert_eq!(selected(&ids(&["vpn-1"]), None, &all), some("vpn-1", "site-2", ""));
        let alone = [connection("vpn-1", "available", "site-2")];
        assert_eq!(selected(&Managed::Unsaid, Some("site-1"), &alone), some("", "", foreign));
    }
}
