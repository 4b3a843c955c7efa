//! The addresses at which this program itself hands out credentials: asking there would be asking itself.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use bowline_base::{Fault, Kind, url};
use http::Uri;

/// Addresses of ours, told by whoever listens there.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<BTreeSet<SocketAddr>>);

impl Own {
    pub(super) fn add(&self, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }

    /// Says no where `asked` is one of ours.
    pub(super) fn refuse(&self, asked: &Uri) -> Result<(), Fault> {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !own.iter().any(|address| is_at(*address, asked)) {
            return Ok(());
        }
        let host = url::place(asked);
        let message = format!("`{host}` is this program's own endpoint: it would ask itself for credentials");
        Err(Fault::new(Kind::Config, "credentials", message)
            .hint("start it without AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    }
}

fn is_at(own: SocketAddr, asked: &Uri) -> bool {
    let port = asked.port_u16().unwrap_or(if asked.scheme_str() == Some("https") { 443 } else { 80 });
    let host = asked.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let local = |ip: IpAddr| ip == own.ip() || (ip.is_loopback() && own.ip().is_unspecified());
    let same_host = host.parse().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") && (own.ip().is_loopback() || own.ip().is_unspecified()),
        local,
    );
    port == own.port() && same_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_endpoint_is_known_by_every_name_and_others_are_not() {
        let own = Own::default();
        own.add(([127, 0, 0, 1], 9911).into());
        own.add(([0, 0, 0, 0], 80).into());
        let refused = |text: &str| own.refuse(&text.parse().unwrap()).is_err();
        assert!(
            ["http://127.0.0.1:9911/x", "http://localhost:9911/", "http://127.0.0.1/", "http://localhost/"]
                .iter()
                .all(|text| refused(text))
        );
        assert!(
            !["http://127.0.0.1:9912/x", "http://169.254.170.2/", "https://localhost/"]
                .iter()
                .any(|text| refused(text))
        );
    }
}
