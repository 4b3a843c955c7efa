//! Reads what a provider sends: the address and nothing else, `{"ip": "…"}`, or lines of `key=value` with one `ip=`.
//!
//! The whole answer must have one of these forms: an address is never searched for in a page.

use std::net::IpAddr;

use serde_json::Value;

/// The answer has none of the forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing, or blanks.
    #[error("the answer is empty")]
    Empty,
    /// Not even text.
    #[error("the answer is no text")]
    NoText,
    /// A page, a message, an address that does not exist.
    #[error("`{0}` is no address")]
    NoAddress(String),
}

/// The address in an answer.
///
/// # Errors
/// [`Unreadable`], with the beginning of what came.
pub fn parse(body: &[u8]) -> Result<IpAddr, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NoText)?.trim();
    let bad = || Unreadable::NoAddress(beginning(text));
    if text.is_empty() {
        return Err(Unreadable::Empty);
    }
    let address = match text {
        _ if text.starts_with('{') => in_object(text).ok_or_else(bad)?,
        _ if text.contains('=') => in_lines(text).ok_or_else(bad)?.to_owned(),
        _ => text.to_owned(),
    };
    address.parse().map_err(|_| bad())
}

fn in_object(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("ip")?.as_str().map(str::to_owned)
}

fn in_lines(text: &str) -> Option<&str> {
    let pairs: Option<Vec<(&str, &str)>> = text.lines().map(|line| line.split_once('=')).collect();
    let pairs = pairs?;
    let mut found = pairs.iter().filter(|(key, _)| *key == "ip").map(|(_, value)| value.trim());
    found.next().filter(|_| found.next().is_none())
}

/// Enough to recognise a page by, on one line and without what a terminal obeys.
fn beginning(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() || c == '`' { ' ' } else { c });
    let short: String = clean.take(40).collect();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let good = [
            "198.51.100.7",
            " 198.51.100.7\r\n",
            r#"{"ip":"198.51.100.7"}"#,
            "fl=1\nh=x\nip=198.51.100.7\nts=1.2\nuag=a=b",
        ];
        for text in good {
            assert_eq!(parse(text.as_bytes()).unwrap().to_string(), "198.51.100.7", "{text}");
        }
        assert!(parse(b"2001:db8::1").unwrap().is_ipv6());
    }

    #[test]
    fn an_address_is_not_searched_for() {
        let bad = [
            "<html><body>198.51.100.7</body></html>",
            "Your address: 198.51.100.7",
            "999.1.1.1",
            "198.51.100.07",
            "198.51.100.7:80",
            "198.51.100",
            "198.51.100.7 198.51.100.8",
            r#"{"ip":"198.51.100.7""#,
            r#"{"address":"198.51.100.7"}"#,
            r#"{"ip":3325256711}"#,
            "ip=198.51.100.7\nip=198.51.100.8",
            "ip=198.51.100.7\nand a line",
            "429 Too Many Requests",
        ];
        for text in bad {
            assert!(matches!(parse(text.as_bytes()), Err(Unreadable::NoAddress(_))), "{text}");
        }
        assert_eq!(parse(b" \n"), Err(Unreadable::Empty));
        assert_eq!(parse(b"\xff\xfe"), Err(Unreadable::NoText));
        let page = parse(b"<!DOCTYPE html>\n<html>\x1b[31m and so on and so on").unwrap_err().to_string();
        assert_eq!(page, "`<!DOCTYPE html> <html> [31m and so on an` is no address");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[{}\":ip=.0-9a-f\\n ]{0,40}") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }

        #[test]
        fn every_address_is_read_back(bits: u32) {
            let address = std::net::Ipv4Addr::from_bits(bits);
            prop_assert_eq!(parse(format!("{address}\n").as_bytes()), Ok(IpAddr::V4(address)));
        }
    }
}
