//! What the forwarder does with questions and answers, in virtual time.

use proptest::prelude::*;

use self::answer as own_answer;
use super::*;

const A: u16 = 1;

fn at(ms: u64) -> Duration {
    Duration::from_secs(1000) + Duration::from_millis(ms)
}

fn forwarder(count: u8) -> Forwarder {
    Forwarder::new((1..=count).map(|last| SocketAddr::from(([10, 0, 0, last], 53))).collect())
}

fn client(user: usize) -> Client {
    Client { user, from: ([10, 77, 0, 2], 40_000).into(), to: ([10, 77, 0, 1], 53).into() }
}

fn name(text: &str) -> Vec<u8> {
    let mut name: Vec<u8> = text.split('.').flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    name.push(0);
    name
}

fn message(id: u16, flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let words = [id, flags, counts[0], counts[1], counts[2], counts[3]];
    let head: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [&head[..], &parts.concat()].concat()
}

fn asked(text: &str) -> Vec<u8> {
    [&name(text)[..], &[0, A as u8, 0, 1]].concat()
}

/// A user's question; with EDNS of this size if that is not 0.
fn query(id: u16, text: &str, edns: u16) -> Vec<u8> {
    let opt = [&[0, 0, 41][..], &edns.to_be_bytes(), &[0, 0, 0, 0, 0, 0]].concat();
    let opt = if edns == 0 { &[][..] } else { &opt };
    message(id, 0x0100, [1, 0, 0, u16::from(edns > 0)], &[&asked(text), opt])
}

fn record(kind: u16, life: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1], &life.to_be_bytes(), &length, data].concat()
}

fn answer(id: u16, text: &str, life: u32) -> Vec<u8> {
    message(id, 0x8180, [1, 1, 0, 0], &[&asked(text), &record(A, life, &[1, 2, 3, 4])])
}

/// The one question that goes out: its ticket, whom, and its id.
fn ask(actions: &[Action]) -> (Ticket, SocketAddr, u16) {
    let [Action::Ask { ticket, resolver, message }] = actions else { panic!("{actions:?}") };
    (*ticket, *resolver, u16::from_be_bytes([message[0], message[1]]))
}

fn replies(actions: &[Action]) -> Vec<(usize, &[u8])> {
    let mut replies = Vec::new();
    for action in actions {
        if let Action::Reply { client, message } = action {
            replies.push((client.user, &message[..]));
        }
    }
    replies
}

fn code(message: &[u8]) -> u8 {
    message[3] & 15
}

#[test]
fn a_question_goes_out_once_and_its_answer_is_kept_for_its_life() {
    let mut dns = forwarder(1);
    let (ticket, resolver, id) = ask(&dns.question(at(0), client(7), &query(0x1111, "Example.COM", 0), 99));
    assert_eq!(resolver.to_string(), "10.0.0.1:53");
    assert_ne!(id, 0x1111);
    let done = dns.answer(at(10), ticket, &answer(id, "example.com", 60));
    assert_eq!(done[0], Action::Close { ticket });
    let (user, reply) = replies(&done)[0];
    assert_eq!((user, &reply[..2]), (7, &[0x11, 0x11][..]));
    assert_eq!(reply[12..25], name("Example.COM"), "letters come back as they went");
    let kept = dns.question(at(20_010), client(8), &query(0x2222, "example.com", 0), 5);
    let (_, reply) = replies(&kept)[0];
    let length = reply.len();
    assert_eq!(reply[length - 10..length - 6], 40_u32.to_be_bytes(), "the life has shrunk by 20 s");
    ask(&dns.question(at(60_010), client(8), &query(3, "example.com", 0), 5));
    assert_eq!((dns.counters().questions, dns.counters().hits), (3, 1));
}

#[test]
fn everybody_who_asks_the_same_shares_one_question() {
    let mut dns = forwarder(1);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 0), 9));
    assert_eq!(dns.question(at(1), client(2), &query(2, "A.example", 0), 9), []);
    assert_eq!(dns.question(at(2), client(1), &query(1, "a.example", 0), 9), [], "a repetition waits too");
    ask(&dns.question(at(2), client(3), &query(3, "a.example", 1232), 9));
    let done = dns.answer(at(9), ticket, &answer(id, "a.example", 0));
    assert_eq!(replies(&done).iter().map(|(client, _)| *client).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(dns.counters().joined, 1);
    ask(&dns.question(at(10), client(4), &query(4, "a.example", 0), 9));
}

#[test]
fn what_is_not_the_answer_to_our_question_is_not_taken() {
    let mut dns = forwarder(1);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 0), 9));
    let mut question_back = answer(id, "a.example", 60);
    question_back[2] &= 0x7f;
    for forged in [answer(id ^ 1, "a.example", 60), answer(id, "b.example", 60), question_back, vec![0; 3]] {
        assert_eq!(dns.answer(at(1), ticket, &forged), []);
    }
    assert_eq!(dns.answer(at(1), ticket + 1, &answer(id, "a.example", 60)), []);
    assert_eq!(replies(&dns.answer(at(2), ticket, &answer(id, "a.example", 60))).len(), 1);
    assert_eq!(dns.counters().malformed, 4);
}

#[test]
fn a_silent_resolver_is_passed_over_and_the_one_that_answers_is_asked_first() {
    let mut dns = forwarder(2);
    let (ticket, _, first) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 0), 9));
    let wake = dns.next_wake().unwrap();
    assert_eq!(dns.expire(wake - Duration::from_millis(1)), []);
    let (again, resolver, id) = ask(&dns.expire(wake));
    assert_eq!((again, resolver.to_string()), (ticket, "10.0.0.2:53".into()));
    assert_eq!(dns.answer(wake, ticket, &answer(first, "a.example", 60)), [], "the first id is void");
    dns.answer(wake, ticket, &answer(id, "a.example", 60));
    let (_, resolver, _) = ask(&dns.question(wake, client(1), &query(1, "b.example", 0), 9));
    assert_eq!(resolver.to_string(), "10.0.0.2:53");
    assert_eq!(dns.tcp_resolver(), Some(resolver));
}

#[test]
fn when_nobody_answers_the_user_is_told() {
    let mut dns = forwarder(2);
    dns.question(at(0), client(1), &query(1, "a.example", 0), 9);
    let mut asked = Vec::new();
    let end = loop {
        let actions = dns.expire(dns.next_wake().unwrap());
        match actions[..] {
            [Action::Ask { resolver, .. }] => asked.push(resolver),
            _ => break actions,
        }
    };
    assert_eq!(asked.len(), TRIES - 1);
    assert_eq!(code(replies(&end)[0].1), 2);
    assert_eq!((dns.next_wake(), dns.counters().failed), (None, 1));
    ask(&dns.question(at(90_000), client(1), &query(1, "a.example", 0), 9));
}

#[test]
fn a_resolver_that_fails_or_is_not_there_is_passed_over_at_once() {
    let mut dns = forwarder(3);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 0), 9));
    let failure = message(id, 0x8182, [1, 0, 0, 0], &[&asked("a.example")]);
    let (_, second, _) = ask(&dns.answer(at(1), ticket, &failure));
    let (_, third, id) = ask(&dns.unreachable(at(2), ticket));
    assert_eq!([second, third].map(|resolver| resolver.to_string()), ["10.0.0.2:53", "10.0.0.3:53"]);
    let failure = message(id, 0x8182, [1, 0, 0, 0], &[&asked("a.example")]);
    assert_eq!(code(replies(&dns.answer(at(3), ticket, &failure))[0].1), 2, "the last word is passed on");
}

#[test]
fn names_that_are_not_there_are_remembered_as_their_zone_says() {
    let soa = |minimum: u32| [&[0, 0][..], &[0; 16], &minimum.to_be_bytes()].concat();
    for (flags, minimum, soa_life, life) in
        [(0x8183, 30, 900, 30), (0x8180, 900, 20, 20), (0x8183, 90_000, 90_000, 600)]
    {
        let mut dns = forwarder(1);
        let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "no.example", 0), 9));
        let none = message(id, flags, [1, 0, 1, 0], &[&asked("no.example"), &record(6, soa_life, &soa(minimum))]);
        dns.answer(at(0), ticket, &none);
        let kept = dns.question(at(life * 1000 - 1), client(1), &query(1, "no.example", 0), 9);
        assert_eq!(code(replies(&kept)[0].1), (flags & 15) as u8);
        ask(&dns.question(at(life * 1000), client(1), &query(1, "no.example", 0), 9));
    }
}

#[test]
fn without_a_zones_word_no_failure_is_remembered() {
    let mut dns = forwarder(1);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "no.example", 0), 9));
    dns.answer(at(0), ticket, &message(id, 0x8183, [1, 0, 0, 0], &[&asked("no.example")]));
    ask(&dns.question(at(1), client(1), &query(1, "no.example", 0), 9));
}

#[test]
fn answers_that_are_too_long_come_cut_off() {
    let mut dns = forwarder(1);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "big.example", 4096), 9));
    let long = record(16, 60, &[7; 600]);
    dns.answer(at(0), ticket, &message(id, 0x8180, [1, 1, 0, 0], &[&asked("big.example"), &long]));
    let whole = dns.question(at(1), client(1), &query(2, "big.example", 4096), 9);
    assert!(replies(&whole)[0].1.len() > 600);
    let small = dns.question(at(1), client(1), &query(3, "big.example", 512), 9);
    let (_, cut) = replies(&small)[0];
    assert_eq!((cut.len(), cut[2] & 2, cut[6..12].iter().max()), (29, 2, Some(&0)));
    let (ticket, _, id) = ask(&dns.question(at(2), client(1), &query(1, "cut.example", 0), 9));
    let half = message(id, 0x8380, [1, 9, 0, 0], &[&asked("cut.example"), &record(A, 60, &[1])]);
    let done = dns.answer(at(2), ticket, &half);
    let (_, passed_on) = replies(&done)[0];
    assert_eq!((passed_on[2] & 2, passed_on[7]), (2, 0));
    ask(&dns.question(at(3), client(1), &query(1, "cut.example", 0), 9));
}

#[test]
fn what_is_no_question_is_refused_by_its_name_or_passed_over() {
    let mut dns = forwarder(1);
    let good = query(1, "a.example", 0);
    let harmed = |at: usize, byte: u8| {
        let mut harmed = good.clone();
        harmed[at] = byte;
        harmed
    };
    for (datagram, expected) in [
        (harmed(2, 0x28), Some(4)),
        (harmed(5, 0), Some(1)),
        (harmed(5, 2), Some(1)),
        (harmed(12, 200), Some(1)),
        (harmed(7, 9), Some(1)),
        (harmed(24, 252), Some(5)),
        (harmed(2, 0x81), None),
        (good[..11].to_vec(), None),
        (Vec::new(), None),
    ] {
        let actions = dns.question(at(0), client(1), &datagram, 9);
        assert_eq!(replies(&actions).first().map(|(_, reply)| code(reply)), expected, "{datagram:?}");
    }
    let none = forwarder(0).question(at(0), client(1), &good, 9);
    assert_eq!(code(replies(&none)[0].1), 5);
}

#[test]
fn one_user_cannot_fill_the_forwarder() {
    let mut dns = forwarder(1);
    let asks = (0..100).map(|n| dns.question(at(0), client(1), &query(n, &format!("n{n}.example"), 0), 9));
    let refused = asks.filter(|actions| matches!(actions[..], [Action::Reply { .. }])).count();
    assert_eq!(refused, 100 - MOST_WAITING);
    ask(&dns.question(at(0), client(2), &query(1, "other.example", 0), 9));
}

#[test]
fn a_user_who_is_gone_is_not_answered() {
    let mut dns = forwarder(1);
    let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 0), 9));
    dns.question(at(1), client(2), &query(2, "a.example", 0), 9);
    dns.forget(1);
    let done = dns.answer(at(2), ticket, &answer(id, "a.example", 60));
    assert_eq!(replies(&done).iter().map(|(user, _)| *user).collect::<Vec<_>>(), [2]);
}

#[test]
fn memory_is_bounded_and_the_shortest_life_goes_first() {
    let mut dns = forwarder(1);
    for n in 0..5000_u32 {
        let text = format!("n{n}.example");
        let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, &text, 0), 9));
        dns.answer(at(0), ticket, &answer(id, &text, 100 + n));
    }
    assert_eq!(dns.cache.len(), 4096);
    ask(&dns.question(at(1), client(1), &query(1, "n0.example", 0), 9));
    assert_eq!(replies(&dns.question(at(1), client(1), &query(1, "n4999.example", 0), 9)).len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_it_fall(question: Vec<u8>, answer in proptest::collection::vec(any::<u8>(), 0..120), cut in 0..60_usize) {
        let mut dns = forwarder(2);
        dns.question(at(0), client(1), &question, 9);
        let (ticket, _, id) = ask(&dns.question(at(0), client(1), &query(1, "a.example", 512), 9));
        let mut forged = own_answer(id, "a.example", 60);
        forged.truncate(cut.max(12));
        forged.extend(answer);
        dns.answer(at(1), ticket, &forged);
        dns.question(at(2), client(1), &query(1, "a.example", 512), 9);
        dns.expire(at(100_000));
        dns.cache.len();
    }
}
