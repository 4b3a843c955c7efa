//! How failures are told: `error:` what, `caused by:` why, `hint:` the next command; and the exit code.

use std::{error::Error as _, fmt::Write as _};

use bowline_base::Fault;

/// The text of a fault, for stderr.
#[must_use]
pub(crate) fn fault(fault: &Fault) -> String {
    let mut text = format!("error: {}\n", fault.message);
    let mut next = fault.source();
    while let Some(cause) = next {
        writeln!(text, "caused by: {cause}").expect("a String takes everything");
        next = cause.source();
    }
    if let Some(hint) = &fault.hint {
        writeln!(text, "hint: {hint}").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_base::Kind;

    #[test]
    fn says_what_why_and_next() {
        let cause = Fault::new(Kind::Refused, "sso", "token expired 4 min ago");
        let whole = Fault::new(Kind::LoginRequired, "sso", "no session for `corp`")
            .cause(cause)
            .hint("run `bowline login corp`");
        assert_eq!(
            fault(&whole),
            "error: no session for `corp`\ncaused by: token expired 4 min ago\nhint: run `bowline login corp`\n"
        );
    }
}
