//! Wildcards and policy variables: `*`, `?`, `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, `${*}`.

use super::Context;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Letter(char),
    /// `*`
    Any,
    /// `?`
    One,
}

/// A text with wildcards. What a variable brought in is no wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

/// Where the values of variables come from, and which characters are wildcards.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// `None`: the policy's version knows no variables.
    pub(super) variables: Option<&'a Context>,
    pub(super) wildcards: bool,
}

impl Pattern {
    /// Reads `text`; `None` where a variable has no value, so that the whole element matches nothing.
    pub(super) fn read(text: &str, reading: Reading<'_>) -> Option<Self> {
        let (mut tokens, mut rest) = (Vec::new(), text);
        while let Some(letter) = rest.chars().next() {
            if let Some((variable, after)) = variable(rest).filter(|_| reading.variables.is_some()) {
                tokens.extend(value(variable, reading.variables?)?.chars().map(Token::Letter));
                rest = after;
                continue;
            }
            tokens.push(match letter {
                '*' if reading.wildcards => Token::Any,
                '?' if reading.wildcards => Token::One,
                letter => Token::Letter(letter),
            });
            rest = &rest[letter.len_utf8()..];
        }
        Some(Self(tokens))
    }

    /// Whether the whole of `text` fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }

    /// Whether an ARN fits, part by part: a wildcard does not reach over a colon, but in the last part. `*` alone
    /// fits everything.
    pub(super) fn fits_arn(&self, arn: &str) -> bool {
        if self.0 == [Token::Any] {
            return true;
        }
        let patterns: Vec<&[Token]> = self.0.splitn(ARN_PARTS, |token| *token == Token::Letter(':')).collect();
        let parts: Vec<&str> = arn.splitn(ARN_PARTS, ':').collect();
        patterns.len() == ARN_PARTS
            && parts.len() == ARN_PARTS
            && patterns.iter().zip(parts).all(|(tokens, part)| fits(tokens, part))
    }
}

/// `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

/// What stands between `${` and `}` at the beginning of `text`, and what comes after it.
fn variable(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("${")?.split_once('}')
}

fn value<'a>(variable: &'a str, context: &'a Context) -> Option<&'a str> {
    if matches!(variable, "*" | "?" | "$") {
        return Some(variable);
    }
    let (key, fallback) = match variable.split_once(',') {
        Some((key, fallback)) => (key.trim(), fallback.trim().strip_prefix('\'').and_then(|s| s.strip_suffix('\''))),
        None => (variable.trim(), None),
    };
    context.only(key).or(fallback)
}

/// Goes back to the last `*` only: an earlier one can take nothing that the last could not.
fn fits(tokens: &[Token], text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < letters.len() {
        match tokens.get(next) {
            Some(Token::Any) => {
                star = Some((next, at));
                next += 1;
            }
            Some(Token::One) => (at, next) = (at + 1, next + 1),
            Some(Token::Letter(letter)) if *letter == letters[at] => (at, next) = (at + 1, next + 1),
            _ => match &mut star {
                Some((stop, taken)) => {
                    *taken += 1;
                    (at, next) = (*taken, *stop + 1);
                }
                None => return false,
            },
        }
    }
    tokens[next..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str, context: &Context) -> Option<Pattern> {
        Pattern::read(text, Reading { variables: Some(context), wildcards: true })
    }

    #[test]
    fn variables_bring_letters_and_never_wildcards() {
        let context = Context::default().with("aws:username", "d*").with("aws:tags", "a").with("aws:tags", "b");
        let user = pattern("user/${aws:UserName}-?", &context).unwrap();
        assert!(user.fits("user/d*-x") && !user.fits("user/dirk-x"));
        assert!(pattern("${aws:PrincipalTag/team}", &context).is_none(), "no value, no match");
        assert!(pattern("${aws:tags}", &context).is_none(), "many values are none");
        assert!(pattern("${aws:x, 'none'}-${*}", &context).unwrap().fits("none-*"));
        let old = Pattern::read("${aws:username}", Reading { variables: None, wildcards: true }).unwrap();
        assert!(old.fits("${aws:username}"));
        assert!(pattern("a${b", &context).unwrap().fits("a${b"));
    }

    #[test]
    fn a_wildcard_stays_in_its_part_of_an_arn() {
        let fits = |text: &str, arn: &str| pattern(text, &Context::default()).unwrap().fits_arn(arn);
        assert!(fits("arn:aws:iam::*:user/dirk-*", "arn:aws:iam::111122223333:user/dirk-a:b"));
        assert!(!fits("arn:aws:iam::*:user/dirk-*", "arn:aws:iam::1:role/x:user/dirk-a"));
        assert!(!fits("arn:aws:*", "arn:aws:iam::1:user/a"));
        assert!(fits("*", "anything") && !fits("arn:aws:iam::1:user/a", "a"));
    }

    /// The obvious way, exponential and clear.
    fn model(tokens: &[char], text: &[char]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => model(rest, text),
            (Some(('*', rest)), Some((_, tail))) => model(rest, text) || model(tokens, tail),
            (Some((token, rest)), Some((letter, tail))) => (*token == '?' || token == letter) && model(rest, tail),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_are_what_the_model_says(text in "[ab]{0,8}", glob in "[ab*?]{0,7}") {
            let (tokens, letters): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
            prop_assert_eq!(pattern(&glob, &Context::default()).unwrap().fits(&text), model(&tokens, &letters));
        }

        #[test]
        fn nothing_makes_it_panic(glob in "\\PC{0,20}", text in "\\PC{0,20}") {
            let _ = pattern(&glob, &Context::default()).map(|pattern| (pattern.fits(&text), pattern.fits_arn(&text)));
        }
    }
}
