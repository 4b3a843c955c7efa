//! Reads line by line and collects every mistake.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr, time::Duration};

use bowline_base::Secret;

use super::{Conf, ConfError, ConfPeer, Interface, InterfaceAddress, Mistake, What, mistake::Wrong};
use crate::{Prefix, PublicKey, SecretKey};

const INTERFACE: &str = "[Interface]";
const PEER: &str = "[Peer]";
const INTERFACE_KEYS: [&str; 5] = ["PrivateKey", "ListenPort", "Address", "DNS", "MTU"];
const PEER_KEYS: [&str; 5] = ["PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"];
/// Keys that `wg` and `wg-quick` have and that mean nothing without a network interface.
const IGNORED_KEYS: [&str; 7] = ["FwMark", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"];

pub(super) fn read(text: &str) -> Result<Conf, ConfError> {
    let mut reader = Reader::default();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        reader.line = index + 1;
        let content = line.split_once('#').map_or(line, |(content, _)| content).trim();
        if let Err(what) = reader.take(content) {
            reader.mistake(what);
        }
    }
    reader.finish()
}

/// A peer that is being read, and the line of its section.
struct Draft {
    begins: usize,
    key: Option<(usize, PublicKey)>,
    /// Its key was there but wrong: told already.
    key_was_wrong: bool,
    rest: ConfPeer,
}

#[derive(Default)]
struct Reader {
    line: usize,
    section: Option<&'static str>,
    interface: Option<Interface>,
    peer: Option<Draft>,
    conf: Conf,
    peers: BTreeMap<PublicKey, usize>,
    ranges: BTreeMap<Prefix, usize>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn take(&mut self, content: &str) -> Result<(), What> {
        if content.is_empty() {
            return Ok(());
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return self.begin(name.trim());
        }
        let (key, value) = content.split_once('=').ok_or(What::Shape)?;
        let (key, value) = (key.trim(), value.trim());
        let section = self.section.ok_or_else(|| What::Homeless(key.to_owned()))?;
        if self.ignored(key) {
            return Ok(());
        }
        if section == INTERFACE { self.interface_key(key, value) } else { self.peer_key(key, value) }
    }

    fn begin(&mut self, name: &str) -> Result<(), What> {
        self.end_peer();
        if name.eq_ignore_ascii_case("peer") {
            self.section = Some(PEER);
            self.peer = Some(Draft::new(self.line));
            Ok(())
        } else if name.eq_ignore_ascii_case("interface") {
            self.section = Some(INTERFACE);
            let second = self.interface.is_some();
            self.interface.get_or_insert_default();
            if second { Err(What::SecondInterface) } else { Ok(()) }
        } else {
            Err(What::Section(name.to_owned()))
        }
    }

    fn ignored(&mut self, key: &str) -> bool {
        let known = canonical(&IGNORED_KEYS, key);
        self.conf.ignored.extend(known.map(|key| (self.line, key.to_owned())));
        known.is_some()
    }

    fn interface_key(&mut self, key: &str, value: &str) -> Result<(), What> {
        let interface = self.interface.get_or_insert_default();
        let known = canonical(&INTERFACE_KEYS, key).ok_or_else(|| unknown(INTERFACE, key, &PEER_KEYS, PEER))?;
        let result = match known {
            "PrivateKey" => secret_key(value).map(|key| interface.private_key = Some(key)),
            "ListenPort" => number(value, 0, "a port, 0 to 65535").map(|port| interface.listen_port = Some(port)),
            "Address" => each(value, |text| {
                interface.addresses.push(text.parse()?);
                Ok(())
            }),
            "DNS" => each(value, |text| {
                match text.parse::<IpAddr>() {
                    Ok(address) => interface.dns.push(address),
                    Err(_) => interface.dns_search.push(text.to_owned()),
                }
                Ok(())
            }),
            _ => number(value, 576, "a size from 576 to 65535").map(|mtu| interface.mtu = Some(mtu)),
        };
        result.map_err(|why| What::Value { key: known, why })
    }

    fn peer_key(&mut self, key: &str, value: &str) -> Result<(), What> {
        let known = canonical(&PEER_KEYS, key).ok_or_else(|| unknown(PEER, key, &INTERFACE_KEYS, INTERFACE))?;
        let Some(draft) = &mut self.peer else { return Ok(()) };
        let peer = &mut draft.rest;
        let result = match known {
            "PublicKey" => {
                let key = PublicKey::from_str(value);
                draft.key_was_wrong = key.is_err();
                key.map(|key| draft.key = Some((self.line, key))).map_err(Wrong::from)
            }
            "PresharedKey" => secret_key(value).map(|key| peer.preshared_key = Some(key)),
            "AllowedIPs" => return self.allowed_ips(value),
            "Endpoint" => endpoint(value).map(|endpoint| peer.endpoint = Some(endpoint)),
            _ => keepalive(value).map(|keepalive| peer.keepalive = keepalive),
        };
        result.map_err(|why| What::Value { key: known, why })
    }

    fn allowed_ips(&mut self, value: &str) -> Result<(), What> {
        let mut found = Vec::new();
        each(value, |text| {
            found.push(text.parse::<Prefix>()?);
            Ok(())
        })
        .map_err(|why| What::Value { key: "AllowedIPs", why })?;
        let begins = self.peer.as_ref().map_or(0, |draft| draft.begins);
        for range in &found {
            match self.ranges.insert(*range, self.line) {
                Some(first) if first < begins => return Err(What::RangeTwice { range: range.to_string(), first }),
                _ => {}
            }
        }
        if let Some(draft) = &mut self.peer {
            draft.rest.allowed_ips.extend(found);
        }
        Ok(())
    }

    /// The peer that was being read is whole.
    fn end_peer(&mut self) {
        let Some(draft) = self.peer.take() else { return };
        match draft.key {
            Some((line, key)) => match self.peers.insert(key, line) {
                None => self.conf.peers.push(ConfPeer { public_key: key, ..draft.rest }),
                Some(first) => self.mistakes.push(Mistake { line, what: What::PeerTwice(first) }),
            },
            None if draft.key_was_wrong => {}
            None => self.mistakes.push(Mistake { line: draft.begins, what: What::NoPublicKey }),
        }
    }

    fn mistake(&mut self, what: What) {
        self.mistakes.push(Mistake { line: self.line, what });
    }

    fn finish(mut self) -> Result<Conf, ConfError> {
        self.end_peer();
        match self.interface.take() {
            Some(interface) => self.conf.interface = interface,
            None => self.mistakes.push(Mistake { line: 1, what: What::NoInterface }),
        }
        self.mistakes.sort_by_key(|mistake| mistake.line);
        if self.mistakes.is_empty() { Ok(self.conf) } else { Err(ConfError(self.mistakes)) }
    }
}

impl Draft {
    fn new(begins: usize) -> Self {
        let rest = ConfPeer {
            public_key: PublicKey([0; 32]),
            preshared_key: None,
            allowed_ips: Vec::new(),
            endpoint: None,
            keepalive: None,
        };
        Self { begins, key: None, key_was_wrong: false, rest }
    }
}

impl FromStr for InterfaceAddress {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let network: Prefix = text.parse()?;
        let bare = text.split('/').next().unwrap_or_default().trim();
        let address = bare.parse().unwrap_or_else(|_| network.address());
        Ok(Self { address, network })
    }
}

fn canonical(keys: &[&'static str], key: &str) -> Option<&'static str> {
    keys.iter().find(|known| known.eq_ignore_ascii_case(key)).copied()
}

fn unknown(section: &'static str, key: &str, others: &[&'static str], other: &'static str) -> What {
    let elsewhere = canonical(others, key).map(|_| other);
    What::Unknown { section, key: key.to_owned(), elsewhere }
}

fn secret_key(value: &str) -> Result<SecretKey, Wrong> {
    Ok(SecretKey::parse(&Secret::new(value))?)
}

fn number(value: &str, least: u16, wanted: &'static str) -> Result<u16, Wrong> {
    let number = value.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| other(value, wanted))
}

/// Seconds, `off`, or 0, which is off too.
fn keepalive(value: &str) -> Result<Option<Duration>, Wrong> {
    if value.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let seconds = number(value, 0, "a number of seconds up to 65535, or `off`")?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.into())))
}

fn endpoint(value: &str) -> Result<String, Wrong> {
    let whole = value.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good_host = bare.map_or(!host.is_empty() && !host.contains(':'), |ip| ip.parse::<IpAddr>().is_ok());
        good_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if whole { Ok(value.to_owned()) } else { Err(other(value, "host:port")) }
}

fn other(text: &str, wanted: &'static str) -> Wrong {
    Wrong::Other { text: text.to_owned(), wanted }
}

/// Each part of a list with commas; an empty list is none.
fn each(value: &str, mut take: impl FnMut(&str) -> Result<(), Wrong>) -> Result<(), Wrong> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).try_for_each(&mut take)
}
