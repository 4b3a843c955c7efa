//! Writes a file that `wg-quick` and every WireGuard app take.

use std::fmt::{self, Display, Write as _};

use bowline_base::Secret;

use super::{Conf, ConfPeer, Interface};
use crate::SecretKey;

pub(super) fn write(conf: &Conf) -> Secret {
    let mut text = String::with_capacity(1024);
    let written =
        interface(&mut text, &conf.interface).and_then(|()| conf.peers.iter().try_for_each(|one| peer(&mut text, one)));
    written.expect("a String takes whatever is written to it");
    Secret::new(text)
}

fn interface(text: &mut String, interface: &Interface) -> fmt::Result {
    text.write_str("[Interface]\n")?;
    secret(text, "PrivateKey", interface.private_key.as_ref())?;
    line(text, "ListenPort", interface.listen_port)?;
    list(text, "Address", &interface.addresses)?;
    let names = interface.dns.iter().map(ToString::to_string).chain(interface.dns_search.iter().cloned());
    list(text, "DNS", &names.collect::<Vec<_>>())?;
    line(text, "MTU", interface.mtu)
}

fn peer(text: &mut String, peer: &ConfPeer) -> fmt::Result {
    text.write_str("\n[Peer]\n")?;
    line(text, "PublicKey", Some(peer.public_key))?;
    secret(text, "PresharedKey", peer.preshared_key.as_ref())?;
    list(text, "AllowedIPs", &peer.allowed_ips)?;
    line(text, "Endpoint", peer.endpoint.as_ref())?;
    line(text, "PersistentKeepalive", peer.keepalive.map(|keepalive| keepalive.as_secs()))
}

fn line(text: &mut String, key: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(text, "{key} = {value}"))
}

fn secret(text: &mut String, key: &str, value: Option<&SecretKey>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(text, "{key} = {}", value.to_base64().expose()))
}

fn list(text: &mut String, key: &str, values: &[impl Display]) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let parts: Vec<_> = values.iter().map(ToString::to_string).collect();
    writeln!(text, "{key} = {}", parts.join(", "))
}
