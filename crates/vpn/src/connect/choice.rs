//! Which of a name's addresses are dialled: all of them are allowed, or none is.

use std::net::{IpAddr, SocketAddr};

use bowline_tunnel::egress::{Policy, Reason, Route, Transport};

/// The addresses to dial, in the resolver's order, each as the policy wants it dialled.
///
/// # Errors
/// Why the first refused one is refused.
pub(super) fn allowed(policy: &Policy, answers: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Reason> {
    let mut chosen = Vec::with_capacity(answers.len());
    for answer in answers {
        match policy.verdict(Transport::Tcp, SocketAddr::new(*answer, port))? {
            Route::World(address) if chosen.contains(&address) => {}
            Route::World(address) => chosen.push(address),
            // Another user of the tunnel: behind the tunnel, and not behind a socket of ours.
            Route::Client(_) => return Err(Reason::ClientToClient),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_inner_address_refuses_the_name() {
        let policy = Policy::default();
        let good = addresses(&["93.184.216.34", "2606:2800:220:1::1", "93.184.216.34"]);
        let dialled = allowed(&policy, &good, 443).unwrap();
        assert_eq!(dialled, ["93.184.216.34:443".parse().unwrap(), "[2606:2800:220:1::1]:443".parse().unwrap()]);
        for inner in ["169.254.170.2", "127.0.0.1", "10.0.0.1", "::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"] {
            let answers = addresses(&["93.184.216.34", inner]);
            assert!(allowed(&policy, &answers, 443).is_err(), "{inner}");
        }
    }
}
