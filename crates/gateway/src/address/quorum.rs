//! Whether those who were asked agree: more than half of three or more; all of one or two.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use super::Reading;

/// No address that enough of them name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement(Vec<String>);

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody was asked for the address");
        }
        write!(f, "no address that enough providers agree on: {}", self.0.join("; "))
    }
}

impl std::error::Error for Disagreement {}

/// The address that enough of those who were asked name. Silence counts as another opinion.
///
/// # Errors
/// [`Disagreement`], with what each of them said.
pub fn agree(readings: &[Reading]) -> Result<Ipv4Addr, Disagreement> {
    let mut votes: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for address in readings.iter().filter_map(|reading| reading.answer.as_ref().ok()) {
        *votes.entry(*address).or_default() += 1;
    }
    let needed = if readings.len() < 3 { readings.len() } else { readings.len() / 2 + 1 };
    let winner = votes.into_iter().find(|(_, count)| *count >= needed);
    winner.map(|(address, _)| address).ok_or_else(|| Disagreement(readings.iter().map(ToString::to_string).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Unanswered, Unreadable};

    /// `1` to `9`: that address; anything else: no answer.
    fn said(text: &str) -> Option<u8> {
        let answer = |c: char| match c.to_digit(10) {
            Some(n) => Ok(Ipv4Addr::new(1, 1, 1, u8::try_from(n).unwrap())),
            None => Err(Unanswered::Unreadable(Unreadable::Empty)),
        };
        let readings: Vec<Reading> =
            text.chars().map(|c| Reading { provider: c.to_string(), answer: answer(c) }).collect();
        agree(&readings).ok().map(|address| address.octets()[3])
    }

    #[test]
    fn one_liar_or_one_silent_one_of_three_changes_nothing() {
        for (text, expected) in [("111", Some(1)), ("121", Some(1)), ("1-1", Some(1)), ("12-", None), ("123", None)] {
            assert_eq!(said(text), expected, "{text}");
        }
        for (text, expected) in [("11112", Some(1)), ("11-2-", None), ("111--", Some(1)), ("1122", None), ("1--", None)]
        {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn one_or_two_must_all_agree() {
        for (text, expected) in [("1", Some(1)), ("-", None), ("11", Some(1)), ("12", None), ("1-", None), ("", None)] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn a_disagreement_tells_who_said_what() {
        let one = Reading { provider: "a.example".to_owned(), answer: Ok(Ipv4Addr::new(1, 1, 1, 1)) };
        let two = Reading { provider: "b.example".to_owned(), answer: Err(Unanswered::Status(502)) };
        let told = agree(&[one, two]).unwrap_err().to_string();
        let expected = "no address that enough providers agree on: a.example says 1.1.1.1; b.example: status 502";
        assert_eq!(told, expected);
    }
}
