//! `bowline.toml` as a support bundle shows it: key by key, with a value only where its key is known to hold no secret.
//! Comments, commands and whatever stands where it does not belong are left out. Pure.

use std::collections::BTreeSet;

use bowline_base::Secret;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{Mistake, keys};

/// What is shown of a file, and what of it must not be anywhere else either.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) hidden: Vec<Secret>,
}

const HIDDEN: &str = "[hidden]";
/// A longer text is no setting.
const LONGEST: usize = 200;
/// Hidden words that are looked for elsewhere; no file that means anything has more.
const MOST: usize = 5000;

/// The keys of each table whose values are shown.
const PLAIN: [(&str, &str); 16] = [
    ("daemon", "listen keep-fresh landlock"),
    ("identity.NAME.roles-anywhere", "trust-anchor profile role session-name duration"),
    ("endpoint", "listen imds serve"),
    ("grant", "uid cgroup profiles audit"),
    (
        "artifacts",
        "identity listen metadata-ttl negative-ttl upstream-timeout stale-for region repository.path repository.from",
    ),
    ("artifacts.cache", "path max-size memory"),
    ("artifacts-client", "url"),
    ("delegation", "manager-profile prefix permissions-boundary duration"),
    ("vault", "idle agent"),
    ("audit", "max-file-size keep sinks on-failure"),
    ("audit.cloudwatch", "group stream region identity"),
    (
        "gateway",
        "identity region owner name vpn-connections vpn-connection tag ip-providers ip-provider interval settle-poll \
         confirm min-change-interval window webhook webhook.url healthcheck allow-test-addresses",
    ),
    ("gateway.device-config", "format local-networks remote-networks if-id keys"),
    ("notify", "desktop on webhook.url"),
    (
        "vpn",
        "identity region listen api endpoint proxy-endpoint public-url store subnet mtu proxy proxy-ports egress-allow \
         allow-smtp client-to-client dns no-dns stop-when-idle",
    ),
    ("vpn", "dangerously-expose-credential-addresses"),
];
/// Keys that name a file: what does not look like one may be what belongs into it.
const FILES: [(&str, &str); 9] = [
    ("identity.NAME.roles-anywhere", "certificate intermediates private-key.file password.file"),
    ("endpoint", "socket token-file"),
    ("grant", "token-file"),
    ("artifacts", "tls.certificate tls.private-key"),
    ("delegation", "ssh-key"),
    ("vault", "path ssh-key"),
    ("audit", "path"),
    ("gateway", "device-config.path"),
    ("vpn", "tls-cert tls-key"),
];
/// How the file of a certificate, a key or a password is called that is named from `bowline.toml` on.
const ENDINGS: [&str; 8] = [".pem", ".crt", ".cer", ".der", ".key", ".p12", ".pfx", ".password"];

/// What may be shown of `text`. Of a file that is not TOML that is where it breaks off.
pub(super) fn shown(text: &str) -> Shown {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistakes = errors.iter().map(|error| Mistake::syntax(text, error));
        let lines: String = mistakes.map(|found| format!("{}:{}: {found}\n", found.line, found.column)).collect();
        let words = text.split(|c: char| c.is_whitespace() || "\"'=[]{},#".contains(c));
        let text = format!("it is not TOML, and nothing of it is shown; what is wrong, by line and column:\n{lines}");
        return Shown { text, hidden: secrets(words) };
    }
    let mut walk = Walk { text, lines: Vec::new(), hidden: Vec::new() };
    walk.table("", "", root.get_ref());
    walk.lines.sort();
    let lines = walk.lines.iter().map(|(line, told)| format!("{line:4}  {told}\n")).collect();
    let words = walk.hidden.iter().flat_map(|text| text.split_whitespace().chain([text.as_str()]));
    Shown { text: lines, hidden: secrets(words) }
}

/// What the documentation says anyway is none, nor is what is too short to be looked for.
fn secrets<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Secret> {
    let telling: BTreeSet<&str> = words
        .filter(|word| word.len() >= super::redaction::SHORTEST && !keys::is_documented(word))
        .take(MOST)
        .collect();
    telling.into_iter().map(Secret::new).collect()
}

struct Walk<'a> {
    text: &'a str,
    /// By line of the file.
    lines: Vec<(usize, String)>,
    hidden: Vec<String>,
}

impl Walk<'_> {
    /// `path` is how the reference calls the table, `name` how the bundle does.
    fn table(&mut self, path: &str, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let below = |above: &str| {
                if above.is_empty() { key.get_ref().to_string() } else { format!("{above}.{}", key.get_ref()) }
            };
            let (path, name) = (below(path), below(name));
            self.value(&path, &name, key.span().start, value);
        }
    }

    fn value(&mut self, path: &str, name: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let is_known = !keys::below(path).is_empty();
        match value.get_ref() {
            DeValue::Table(table) if is_known => self.table(path, name, table),
            DeValue::Array(items)
                if is_known && items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) =>
            {
                for (number, item) in items.iter().enumerate() {
                    self.value(path, &format!("{name}[{number}]"), item.span().start, item);
                }
            }
            other => {
                let told = self.told(path, other);
                let line = Mistake::at(self.text, &(at..at), "").line;
                self.lines.push((line, format!("{name} = {told}")));
            }
        }
    }

    fn told(&mut self, path: &str, value: &DeValue<'_>) -> String {
        match value {
            DeValue::Array(items) if is_in(&PLAIN, path) => {
                let items: Vec<String> = items.iter().map(|item| self.told(path, item.get_ref())).collect();
                format!("[{}]", items.join(", "))
            }
            DeValue::String(text) => match of_text(path, text) {
                Some(shown) if shown == *text => format!("\"{text}\""),
                Some(part) => {
                    self.hidden.push(text.to_string());
                    format!("\"{part}\"")
                }
                None => self.hide(value),
            },
            DeValue::Integer(number) if is_in(&PLAIN, path) => number.to_string(),
            DeValue::Boolean(flag) if is_in(&PLAIN, path) => flag.to_string(),
            _ => self.hide(value),
        }
    }

    /// Remembers every text in it.
    fn hide(&mut self, value: &DeValue<'_>) -> String {
        match value {
            DeValue::String(text) => self.hidden.push(text.to_string()),
            DeValue::Integer(number) => self.hidden.push(number.as_str().to_owned()),
            DeValue::Array(items) => items.iter().for_each(|item| drop(self.hide(item.get_ref()))),
            DeValue::Table(table) => table.values().for_each(|item| drop(self.hide(item.get_ref()))),
            _ => {}
        }
        HIDDEN.to_owned()
    }
}

/// What is shown of a text, whole or a part.
fn of_text(path: &str, text: &str) -> Option<String> {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return None;
    }
    let is_file = text.starts_with('/') || ENDINGS.iter().any(|ending| text.ends_with(ending));
    // A variable's name is one with `_`; a word alone may be what the variable should hold.
    let is_variable =
        text.contains('_') && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let shown = match text.split_once("://") {
        Some((scheme, rest)) if is_in(&PLAIN, path) => return Some(of_url(scheme, rest)),
        _ if text.starts_with("command:") => return is_in(&PLAIN, path).then(|| format!("command:{HIDDEN}")),
        _ if (path, text) == ("artifacts.access", "open") => true,
        _ if path.ends_with(".env") => is_variable && !keys::below(path).is_empty(),
        _ => is_in(&PLAIN, path) && !text.contains('@') || is_in(&FILES, path) && is_file,
    };
    shown.then(|| text.to_owned())
}

/// A bucket is shown, of a page the host: what stands behind it may be a webhook's secret, and before it a password.
fn of_url(scheme: &str, rest: &str) -> String {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme {
        "s3" | "dns" | "file" if !rest.contains(['@', '?']) => format!("{scheme}://{rest}"),
        "https" | "http" if !rest.contains('@') && host == rest => format!("{scheme}://{rest}"),
        "https" | "http" if !rest.contains('@') => format!("{scheme}://{host}/{HIDDEN}"),
        _ => HIDDEN.to_owned(),
    }
}

fn is_in(list: &[(&str, &str)], path: &str) -> bool {
    let is = |known: &str| {
        let parts = known.split('.').zip(path.split('.'));
        parts.clone().count() == path.split('.').count().max(known.split('.').count())
            && parts.into_iter().all(|(known, part)| known == "NAME" || known == part)
    };
    list.iter().any(|(table, names)| names.split_whitespace().any(|name| is(&format!("{table}.{name}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, Vec<String>) {
        let Shown { text, hidden } = shown(text);
        (text, hidden.iter().map(|secret| secret.expose().to_owned()).collect())
    }

    #[test]
    fn what_helps_is_shown_with_its_line() {
        let text = "[daemon]\nlisten = \"127.0.0.1:9910\"\n[artifacts]\naccess = \"open\"\n[[artifacts.repository]]\nfrom = [\"s3://maven/x\", \"https://repo.corp/a/b\"]\n\
                    [identity.hut.roles-anywhere]\ncertificate = \"site.pem\"\nprivate-key = { file = \"/etc/site.key\" }\n[vpn]\nmtu = 1380\nmaster-key = { env = \"VPN_KEY\" }\n";
        assert_eq!(
            of(text).0,
            "   2  daemon.listen = \"127.0.0.1:9910\"\n   4  artifacts.access = \"open\"\n   6  artifacts.repository[0].from = [\"s3://maven/x\", \"https://repo.corp/[hidden]\"]\n   \
             8  identity.hut.roles-anywhere.certificate = \"site.pem\"\n   9  identity.hut.roles-anywhere.private-key.file = \"/etc/site.key\"\n  11  vpn.mtu = 1380\n  \
             12  vpn.master-key.env = \"VPN_KEY\"\n"
        );
    }

    #[test]
    fn whatever_is_wrong_or_may_be_secret_is_not() {
        for line in [
            "# hunter2x\n",
            "[notify]\ncommand = [\"curl\", \"-u\", \"ci:hunter2x\", \"X-Api-Key: hunter2x\"]\n",
            "[gateway]\non-change = \"curl -u ci:hunter2x\"\n",
            "[gateway]\nip-provider = \"command:/bin/ip --key hunter2x\"\n",
            "[gateway]\nhealthcheck = \"https://hc.example/hunter2x\"\n",
            "[gateway.device-config]\nhook = [\"hunter2x\"]\n",
            "[vpn]\nmaster-key = \"hunter2x\"\n",
            "[vpn]\nmaster-key = { env = \"hunter2x\" }\n",
            "[vpn]\nmaster-key = { vault = \"hunter2x\" }\n",
            "[vpn]\nmaster-kye = \"hunter2x\"\n",
            "[vpn]\nstore = \"redis://:hunter2x@host\"\n",
            "[artifacts]\ntoken = { a = [\"hunter2x\"] }\n",
            "[artifacts]\ntls = { private-key = \"hunter2x\" }\n",
            "[[artifacts.repository]]\nfrom = \"https://ci:hunter2x@nexus/maven\"\n",
            "[artifacts-client]\ntoken = \"hunter2x\"\n",
            "[identity.a.roles-anywhere]\npassword = \"hunter2x\"\n",
            "[identity.a.roles-anywhere]\npassword.file = \"hunter2x\"\n",
            "[nonsense]\nx = [{ y = \"hunter2x\" }]\n",
            "key = hunter2x\n[daemon]\nlisten = \"127.0.0.1:9910\"\n",
            "key = \"hunter2x\n",
        ] {
            let (text, hidden) = of(line);
            assert!(!text.contains("hunter2x"), "{line}: {text}");
            assert!(line.starts_with('#') || hidden.iter().any(|one| one.contains("hunter2x")), "{line}: {hidden:?}");
        }
    }

    #[test]
    fn every_key_that_is_shown_is_one() {
        for (table, names) in PLAIN.into_iter().chain(FILES) {
            for name in names.split_whitespace() {
                let path = format!("{table}.{name}");
                assert!(keys::all().any(|key| key.path == path), "{path}");
            }
        }
    }
}
