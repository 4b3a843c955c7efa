//! What can be set. Parsed and checked elsewhere; here it is values.

use std::time::Duration;

use bowline_aws::Region;

use crate::{
    address::{Provider, Rules},
    device::DeviceFile,
    healthcheck::Healthcheck,
    plan::Pace,
    rhythm::Rhythm,
    selection::Managed,
    window::Window,
};

/// The whole of `[gateway]`, without identity and notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the connections are.
    pub region: Region,
    /// The value of the owner's tag; see [`crate::Selection::owner`] for what it is where nobody says.
    pub owner: Option<String>,
    /// The tag `Name` of new gateways; `None`: as the gateway that is replaced.
    pub name: Option<String>,
    /// Which connections to look after.
    pub managed: Managed,
    /// Who is asked for the address.
    pub providers: Vec<Provider>,
    /// Addresses for documentation are taken: for tests.
    pub documentation: bool,
    /// Equal readings in a row that a new address needs.
    pub confirm: u32,
    /// Between two looks while nothing happens.
    pub interval: Duration,
    /// Between two looks while EC2 is busy.
    pub settle_poll: Duration,
    /// Between two changes of one connection to different gateways.
    pub min_change_interval: Duration,
    /// When a change may be made that would take down a tunnel that is up; `None`: at any time.
    pub window: Option<Window>,
    /// Whom to tell that all is well.
    pub healthcheck: Option<Healthcheck>,
    /// The configuration of the site's own device, kept as AWS says it.
    pub device: Option<DeviceFile>,
}

impl Config {
    /// The only connection of the region; the usual providers, every five minutes, two equal readings.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self {
            region,
            owner: None,
            name: None,
            managed: Managed::Unsaid,
            providers: Provider::usual(),
            documentation: false,
            confirm: Rules::default().readings,
            interval: Duration::from_secs(300),
            settle_poll: Duration::from_secs(10),
            min_change_interval: Pace::default().between_changes,
            window: None,
            healthcheck: None,
            device: None,
        }
    }

    pub(crate) fn rhythm(&self) -> Rhythm {
        Rhythm { interval: self.interval, settle_poll: self.settle_poll }
    }

    /// How an address comes to be believed. Changes are kept apart by connection, not here: an address that is right is
    /// believed at once.
    pub(crate) fn rules(&self) -> Rules {
        Rules { readings: self.confirm, between_changes: Duration::ZERO }
    }

    /// How long EC2 is believed in. Whoever looks more often than every ten seconds wants to know sooner: then the times
    /// shrink with it, to a tenth at most.
    pub(crate) fn pace(&self) -> Pace {
        let (usual, share) = (Pace::default(), (self.settle_poll.as_secs_f64() / 10.0).clamp(0.1, 1.0));
        Pace {
            lag: usual.lag.mul_f64(share),
            create_grace: usual.create_grace.mul_f64(share),
            rollback: usual.rollback.mul_f64(share),
            between_changes: self.min_change_interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_ec2s_own_unless_somebody_looks_more_often() {
        let region = Region::parse("eu-central-1").unwrap();
        let pace = |millis| Config { settle_poll: Duration::from_millis(millis), ..Config::new(region.clone()) }.pace();
        assert_eq!(pace(10_000), Pace::default());
        assert_eq!(pace(60_000), Pace::default());
        assert_eq!((pace(5000).lag, pace(100).create_grace), (Duration::from_secs(30), Duration::from_secs(12)));
    }
}
