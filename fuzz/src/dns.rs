//! Questions of users and answers of resolvers: what users get is an answer to what they asked, and no longer than they take.

use std::{net::SocketAddr, time::Duration};

use bowline_tunnel::dns::{Action, Client, Forwarder};

const NOW: Duration = Duration::from_secs(1000);

/// Takes `bytes` for a question and an answer, the first byte for where one ends. The answer gets the id that fits.
pub fn look(bytes: &[u8]) {
    let Some((cut, rest)) = bytes.split_first() else { return };
    let (question, answer) = rest.split_at(usize::from(*cut).min(rest.len()));
    let client =
        Client { user: 1, from: SocketAddr::from(([10, 77, 0, 2], 9)), to: SocketAddr::from(([10, 77, 0, 1], 53)) };
    let resolvers = [1, 2].map(|last| SocketAddr::from(([10, 0, 0, last], 53)));
    let mut dns = Forwarder::new(resolvers.to_vec());
    let mut actions = dns.question(NOW, client, question, 0x1234);
    check(question, &actions);
    if let [Action::Ask { ticket, message, .. }] = &actions[..] {
        let mut answer = answer.to_vec();
        let both = answer.len().min(2);
        answer[..both].copy_from_slice(&message[..both]);
        actions = dns.answer(NOW, *ticket, &answer);
        check(question, &actions);
    }
    check(question, &dns.question(NOW + Duration::from_secs(7), client, question, 1));
    for seconds in 1..20 {
        check(question, &dns.expire(NOW + Duration::from_secs(seconds)));
    }
    assert_eq!(dns.next_wake(), None);
}

fn check(question: &[u8], actions: &[Action]) {
    for action in actions {
        let Action::Reply { message, .. } = action else { continue };
        assert!((12..=1232).contains(&message.len()), "{} bytes", message.len());
        assert_eq!(message[..2], question[..2], "the user's id");
        assert_eq!(message[2] & 0x80, 0x80, "it is an answer");
    }
}
