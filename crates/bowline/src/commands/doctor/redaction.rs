//! What leaves the machine in a support bundle is made harmless here. Pure.
//!
//! Known secrets are taken out wherever they stand. Besides, whatever looks like one: access key ids, long tokens, what
//! follows the host of an address, accounts, e-mail addresses. That takes out more than need be, which is as it should be.

use bowline_base::Secret;

/// What a hidden thing is replaced by.
const HIDDEN: &str = "[hidden]";
/// A run of letters and digits that is as long as this and mixes both is taken for a token.
const TOKEN: usize = 20;

/// A shorter secret would hide half of the text.
pub(super) const SHORTEST: usize = 6;

/// Secrets that are known by their value.
pub(super) struct Known(Vec<Secret>);

impl Known {
    pub(super) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut known: Vec<Secret> = secrets.into_iter().filter(|secret| secret.expose().len() >= SHORTEST).collect();
        // The longest first: one may begin with another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self(known)
    }

    /// `text` without what must not leave.
    pub(super) fn redact(&self, text: &str) -> String {
        let known = self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), HIDDEN));
        known.lines().map(|line| line_without(line) + "\n").collect()
    }
}

fn line_without(line: &str) -> String {
    let mut left = without_places(line);
    left = pieces(
        &left,
        |c| c.is_ascii_alphanumeric() || "._%+-@".contains(c),
        |word| match word.split_once('@') {
            Some((name, host)) if !name.is_empty() && host.contains('.') => Some("[e-mail]".to_owned()),
            _ => None,
        },
    );
    // Not with `=`: what stands before it is a name.
    pieces(&left, |c| c.is_ascii_alphanumeric() || "+/_-".contains(c), token)
}

/// What stands behind the host of an address may be the secret of a webhook; and before it a password.
fn without_places(line: &str) -> String {
    let Some((before, rest)) = line.split_once("://") else { return line.to_owned() };
    let ends = |closing: &str| rest.find(|c: char| c.is_whitespace() || closing.contains(c)).unwrap_or(rest.len());
    // In a password everything may stand.
    let password = rest[..ends("\"`")].rfind('@').map_or(0, |at| at + 1);
    let end = ends("\"'`,;)<>|").max(password);
    let (place, after) = rest.split_at(end);
    let (user, bare) = place.rsplit_once('@').unwrap_or(("", place));
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = host.split(['?', '#']).next().unwrap_or(host);
    // Buckets and loopback tell nothing and are what one looks for.
    let plain = before.ends_with("s3") || host.starts_with("127.") || host.starts_with("localhost");
    let shown = match (plain && user.is_empty() && !place.contains('?'), path.is_empty()) {
        (true, _) => place.to_owned(),
        (false, true) => host.to_owned(),
        (false, false) => format!("{host}/{HIDDEN}"),
    };
    format!("{before}://{shown}{}", without_places(after))
}

/// Each run of characters that `belongs` takes, changed by `change` where that has something to say.
fn pieces(text: &str, belongs: impl Fn(char) -> bool, change: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(&belongs) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !belongs(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        out.push_str(before);
        match change(word) {
            Some(changed) => out.push_str(&changed),
            None => out.push_str(word),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What becomes of a run that looks like a key or an account.
fn token(word: &str) -> Option<String> {
    let id = ["AKIA", "ASIA", "AROA", "AIDA"].iter().any(|prefix| word.starts_with(prefix)) && word.len() >= 16;
    if id {
        return Some(format!("{}…{HIDDEN}", &word[..4]));
    }
    // A secret key of AWS may have slashes in it; so has every path, but that has short names.
    if word.len() == 40 && is_mixed(word) {
        return Some(HIDDEN.to_owned());
    }
    let parts: Vec<String> =
        word.split('/').map(|part| part_without(part).unwrap_or_else(|| part.to_owned())).collect();
    let joined = parts.join("/");
    (joined != word).then_some(joined)
}

fn part_without(part: &str) -> Option<String> {
    if part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("[account]".to_owned());
    }
    (part.len() >= TOKEN && is_mixed(part)).then(|| HIDDEN.to_owned())
}

/// Letters and digits, or both cases of letters in more than a word's beginning.
fn is_mixed(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let upper = word.bytes().filter(u8::is_ascii_uppercase).count();
    let lower = word.bytes().filter(u8::is_ascii_lowercase).count();
    (digits >= 2 && upper + lower >= 2) || (upper >= 4 && lower >= 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        Known::new([Secret::new("hunter2!")]).redact(text).trim_end().to_owned()
    }

    #[test]
    fn what_is_known_and_what_looks_like_a_secret_goes() {
        for (text, expected) in [
            ("password hunter2! here", "password [hidden] here"),
            ("url = \"https://hooks.example/T0/B0/xyz\"", "url = \"https://hooks.example/[hidden]\""),
            ("https://me:pw@proxy.corp:3128 and http://x.y/z", "https://proxy.corp:3128 and http://x.y/[hidden]"),
            ("https://me:a/b,c'd@proxy.corp:3128, then", "https://proxy.corp:3128, then"),
            ("from = \"s3://corp-maven/releases\"", "from = \"s3://corp-maven/releases\""),
            ("curl http://127.0.0.1:9910/readyz", "curl http://127.0.0.1:9910/readyz"),
            ("http://127.0.0.1:9/x?token=abc", "http://127.0.0.1:9/[hidden]"),
            ("arn:aws:iam::111122223333:role/build", "arn:aws:iam::[account]:role/build"),
            ("ann@corp.example signed in", "[e-mail] signed in"),
            ("bvu_Zm9vYmFyYmF6cXV4MTIzNA", "[hidden]"),
            ("/home/ann/.local/state/bowline/audit", "/home/ann/.local/state/bowline/audit"),
            ("at 2026-11-28T12:00:00Z", "at 2026-11-28T12:00:00Z"),
            ("artifacts.upstream-timeout = \"20s\"", "artifacts.upstream-timeout = \"20s\""),
        ] {
            assert_eq!(redacted(text), expected);
        }
        let key = concat!("AKIA", "Q3EGRT4ZK7XPLM2N");
        assert_eq!(redacted(&format!("key {key}.")), "key AKIA…[hidden].");
        let secret = concat!("q7Yz0pLk3/Xw9VtR5nMb", "2sDfGh8jKl1+AaZzQwEr");
        assert_eq!(redacted(&format!("secret={secret}")), "secret=[hidden]", "whatever stands before it");
    }

    proptest! {
        #[test]
        fn a_known_secret_is_never_left(before in ".{0,20}", secret in "[a-zA-Z0-9/+=]{8,40}", after in ".{0,20}") {
            let known = Known::new([Secret::new(secret.clone())]);
            let left = known.redact(&format!("{before} {secret} {after}"));
            prop_assert!(!left.contains(&secret));
        }
    }
}
