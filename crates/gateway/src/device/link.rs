//! A connection as a device needs it: what AWS wrote for the device, with the options that say what else it takes.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use bowline_aws::ec2::{Device, DeviceTunnel, Tunnel, VpnConnection};
use bowline_base::{Fault, Kind, Retry};

/// A connection that a device can be configured for.
#[derive(Clone, Debug)]
pub struct Link {
    /// `vpn-…`.
    pub id: String,
    pub(super) device: Device,
    /// Options of each tunnel of `device`, in its order.
    pub(super) options: Vec<Tunnel>,
    /// What the tunnels carry, the site's and AWS's; `None`: everything.
    pub(super) networks: [Option<Network>; 2],
    keys_elsewhere: Option<String>,
}

/// `10.1.0.0/16`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    length: u8,
}

/// Why there is nothing to render for a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// EC2 shows the configuration of connections that stand still only.
    #[error("`{0}` is `{1}`, and its configuration is shown when it is available again")]
    Busy(String, String),
    /// A certificate names the device.
    #[error("a certificate names the device of `{0}`: no address and no key of it can change")]
    Certificate(String),
    /// In Secrets Manager.
    #[error("the pre-shared keys of `{0}` are in `{1}`, and not in its configuration")]
    KeysElsewhere(String, String),
    /// It makes no sense.
    #[error("`{0}`: {1}")]
    Unreadable(String, String),
}

impl From<NotRendered> for Fault {
    fn from(why: NotRendered) -> Self {
        let fault = |kind| Self::new(kind, "device-config", why.to_string());
        match &why {
            NotRendered::Busy(..) => fault(Kind::Unreachable)
                .retry(Retry::After(std::time::Duration::from_secs(10)))
                .hint("a change takes EC2 some minutes: try again then, or let `bowline gateway run` do it"),
            NotRendered::Certificate(_) => {
                fault(Kind::Refused).hint("leave it out: name the others by --vpn-connection")
            }
            NotRendered::KeysElsewhere(..) => {
                fault(Kind::Refused).hint("render it with --no-keys, and give the keys to the device yourself")
            }
            NotRendered::Unreadable(..) => fault(Kind::Unreachable),
        }
    }
}

impl Link {
    /// What matters of a connection.
    ///
    /// # Errors
    /// [`NotRendered`].
    pub fn of(connection: &VpnConnection) -> Result<Self, NotRendered> {
        let id = connection.id.clone();
        let Some(configuration) = &connection.configuration else {
            return Err(NotRendered::Busy(id, connection.state.clone()));
        };
        let unreadable = |why: String| NotRendered::Unreadable(connection.id.clone(), why);
        if id.is_empty() || id.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            return Err(unreadable("it has an id that EC2 does not give".to_owned()));
        }
        let device = Device::read(configuration).map_err(|why| unreadable(why.to_string()))?;
        if device.tunnels.iter().any(|tunnel| tunnel.site.outside.is_none()) {
            return Err(NotRendered::Certificate(id));
        }
        if device.tunnels.iter().any(|tunnel| tunnel.aws.outside.is_none()) {
            return Err(unreadable("a tunnel has no end at AWS".to_owned()));
        }
        let options = device.tunnels.iter().map(|tunnel| options_of(tunnel, &connection.tunnels)).collect();
        let network = |text: &Option<String>| {
            let network = text.as_deref().map(Network::from_str).transpose();
            network.map_err(|_| unreadable("a network of it is none of IPv4".to_owned()))
        };
        let [site, aws] = &connection.networks;
        let networks = [network(site)?, network(aws)?];
        Ok(Self { id, device, options, networks, keys_elsewhere: connection.key_arn.clone() })
    }

    /// That no key is missing.
    pub(super) fn has_keys(&self) -> Result<(), NotRendered> {
        if self.device.tunnels.iter().all(|tunnel| tunnel.key.is_some()) {
            return Ok(());
        }
        let place = self.keys_elsewhere.clone().unwrap_or_else(|| "Secrets Manager".to_owned());
        Err(NotRendered::KeysElsewhere(self.id.clone(), place))
    }
}

/// By AWS's end, which is the tunnel's name.
fn options_of(tunnel: &DeviceTunnel, options: &[Tunnel]) -> Tunnel {
    options.iter().find(|option| option.outside_address == tunnel.aws.outside).cloned().unwrap_or_default()
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network like 10.1.0.0/16");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let host_bits = u32::MAX.checked_shr(length.into()).unwrap_or(0);
        match length {
            0..=32 if address.to_bits() & host_bits == 0 => Ok(Self { address, length }),
            0..=32 => Err(format!("`{text}` has bits behind its length")),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        for good in ["0.0.0.0/0", "10.1.0.0/16", "192.0.2.7/32"] {
            assert_eq!(good.parse::<Network>().unwrap().to_string(), good);
        }
        for bad in ["10.1.0.0", "10.1.0.1/16", "10.1.0.0/33", "10.1/16", "::/0", "10.0.0.0/8;x", "", "1.1.1.1/0"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
