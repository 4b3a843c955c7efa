//! Questions as a resolver reads them, and answers of every kind.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Whoami {
    Whoami::parse(text).unwrap()
}

/// An answer to `whoami` with `records`, each a type, a class and its data, under the name of the question.
fn answer(whoami: &Whoami, records: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut message = whoami.question(7);
    message[2] = 0x81;
    message[3] = 0x80;
    message[7] = u8::try_from(records.len()).unwrap();
    for (kind, class, data) in records {
        message.extend(FIRST_NAME);
        message.extend(kind.to_be_bytes());
        message.extend(class.to_be_bytes());
        message.extend([0; 4]);
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(*data);
    }
    message
}

fn read(whoami: &Whoami, message: &[u8]) -> Option<Result<String, NoAddress>> {
    whoami.answer(7, message).map(|read| read.map(|address| address.to_string()))
}

#[test]
fn questions_are_read_as_rfc_4501_writes_them() {
    let known = parsed("cloudflare");
    assert_eq!(known, parsed("//1.1.1.1/whoami.cloudflare.?class=CH;type=TXT"));
    assert_eq!((known.kind, known.class, known.resolver), (Kind::Txt, Class::Chaos, "1.1.1.1:53".parse().unwrap()));
    for (text, resolver) in [
        ("//127.0.0.1:5353/me", "127.0.0.1:5353"),
        ("//[2001:db8::1]/me", "[2001:db8::1]:53"),
        ("//[::1]:9/me?type=a", "[::1]:9"),
    ] {
        assert_eq!(parsed(text).resolver.to_string(), resolver);
    }
    assert!(KNOWN.iter().all(|(name, question)| parsed(name) == parsed(question)));
    let long = format!("//1.1.1.1/{}", "a".repeat(64));
    let longer = format!("//1.1.1.1/{}", ["a"; 128].join("."));
    for bad in ["", "quad9", "//1.1.1.1", "//dns.example/me", "//1.1.1.1/", "//1.1.1.1/a..b", "//1.1.1.1/a b"]
        .into_iter()
        .chain(["//1.1.1.1/me?type=MX", "//1.1.1.1/me?class=HS", "me@1.1.1.1", &long, &longer])
    {
        assert!(Whoami::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_question_is_one_datagram_as_the_standard_lays_it_out() {
    let bytes = parsed("//1.1.1.1/my.ip?type=TXT").question(0x1234);
    assert_eq!(bytes, [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, b'm', b'y', 2, b'i', b'p', 0, 0, 16, 0, 1]);
}

#[test]
fn one_record_is_the_address() {
    let a = parsed("//1.1.1.1/me");
    assert_eq!(read(&a, &answer(&a, &[(1, 1, &[9, 9, 9, 9])])), Some(Ok("9.9.9.9".to_owned())));
    // Records of other kinds and names are not looked at.
    let other = answer(&a, &[(5, 1, b"\x01x\x00"), (1, 1, &[9, 9, 9, 9]), (16, 1, b"\x01x")]);
    assert_eq!(read(&a, &other), Some(Ok("9.9.9.9".to_owned())));
    let txt = parsed("//1.1.1.1/me?type=TXT;class=CH");
    assert_eq!(read(&txt, &answer(&txt, &[(16, 3, b"\x049.9.\x039.9")])), Some(Ok("9.9.9.9".to_owned())));
}

#[test]
fn whatever_else_comes_is_told_by_name() {
    let (a, txt) = (parsed("//1.1.1.1/me"), parsed("//1.1.1.1/me?type=TXT"));
    let mut refused = answer(&a, &[]);
    refused[3] = 0x85;
    let mut cut = answer(&a, &[]);
    cut[2] |= 2;
    let mut stranger = answer(&a, &[(1, 1, &[9, 9, 9, 9])]);
    let name = stranger.len() - 16;
    stranger[name + 1] = 20;
    let cases = [
        (&a, refused, NoAddress::Error(5)),
        (&a, cut, NoAddress::CutOff),
        (&a, answer(&a, &[]), NoAddress::NoRecord),
        (&a, stranger, NoAddress::NoRecord),
        (&a, answer(&a, &[(1, 3, &[9, 9, 9, 9])]), NoAddress::NoRecord),
        (&a, answer(&a, &[(1, 1, &[9, 9, 9])]), NoAddress::Broken),
        (&a, answer(&a, &[(1, 1, &[9, 9, 9, 9]), (1, 1, &[8, 8, 8, 8])]), NoAddress::Several),
        (&txt, answer(&txt, &[(16, 1, b"\x09")]), NoAddress::Broken),
        (&txt, answer(&txt, &[(16, 1, b"\x03yes")]), Unreadable::NoAddress("yes".to_owned()).into()),
        (&txt, answer(&txt, &[(16, 1, b"")]), Unreadable::Empty.into()),
    ];
    for (whoami, message, expected) in cases {
        assert_eq!(read(whoami, &message), Some(Err(expected.clone())), "{expected}");
    }
}

#[test]
fn an_answer_to_another_question_is_waited_past() {
    let a = parsed("//1.1.1.1/me");
    let good = answer(&a, &[(1, 1, &[9, 9, 9, 9])]);
    assert_eq!(a.answer(8, &good), None, "another id");
    assert_eq!(read(&parsed("//1.1.1.1/em"), &good), None, "another name");
    assert_eq!(read(&parsed("//1.1.1.1/me?type=TXT"), &good), None, "another type");
    assert_eq!(read(&a, &a.question(7)), None, "a question");
    for cut in 0..good.len() {
        let read = read(&a, &good[..cut]);
        assert!(matches!(read, None | Some(Err(NoAddress::Broken))), "{cut}: {read:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, tail: Vec<u8>, text in "[/a-z0-9.:?;=\\[\\]]{0,40}") {
        let _ = Whoami::parse(&text);
        for whoami in [parsed("opendns"), parsed("google")] {
            let _ = whoami.answer(7, &bytes);
            let mut message = answer(&whoami, &[]);
            message[7] = 16;
            message.extend(&tail);
            let _ = whoami.answer(7, &message);
        }
    }
}
