//! `[notify]`: how people are told what needs them.

use std::{ops::Range, path::PathBuf};

use bowline_base::Secret;
use bowline_credentials::broker::alarm::{CERTIFICATE, LOGIN, REFRESH};
use bowline_gateway::KIND as GATEWAY;
use bowline_host::notify::{self as host, Webhook};

use super::{
    Mistake,
    mistakes::did_you_mean,
    secret::{self, SecretPlace},
    table::Table,
};

/// `[notify]`
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NotifySection {
    /// Shown on the desktop; where it is not said, wherever there is one.
    pub(crate) desktop: Option<bool>,
    /// A file with what goes on.
    pub(crate) file: Option<PathBuf>,
    pub(crate) webhook: Option<WebhookSection>,
    /// Program and arguments; none is no command.
    pub(crate) command: Vec<String>,
    /// Only these kinds.
    pub(crate) on: Option<Vec<String>>,
}

/// `webhook = { url = …, secret = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebhookSection {
    pub(crate) url: String,
    pub(crate) secret: SecretPlace,
}

/// Everything that anybody raises.
const KINDS: [&str; 4] = [LOGIN, CERTIFICATE, REFRESH, GATEWAY];

pub(super) fn section(text: &str, mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> NotifySection {
    let notify = NotifySection {
        desktop: section.flag("desktop", mistakes),
        file: section.path("file", mistakes),
        webhook: section.table("webhook", mistakes).and_then(|(table, span)| webhook(text, table, &span, mistakes)),
        command: section.list("command", mistakes, |word| Ok(word.to_owned())),
        on: section.values("on", mistakes, kind),
    };
    section.finish(mistakes);
    notify
}

fn webhook(
    text: &str,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<WebhookSection> {
    let before = mistakes.len();
    let url = table.value("url", mistakes, url);
    let secret = secret::of_key(text, &mut table, "secret", mistakes);
    table.finish(mistakes);
    let whole = url.zip(secret).map(|(url, secret)| WebhookSection { url, secret });
    if whole.is_none() && mistakes.len() == before {
        let message = "`notify.webhook` needs `url` and `secret = { file = \"/…\" }` or `{ env = \"…\" }`";
        mistakes.push(Mistake::at(text, span, message));
    }
    whole
}

/// Looked at by who will use it; the secret does not matter for that.
pub(super) fn url(text: &str) -> Result<String, String> {
    Webhook::new(text, host::SecretPlace::Given(Secret::new("")), Webhook::PATIENCE).map(|_| text.to_owned())
}

fn kind(text: &str) -> Result<String, String> {
    if KINDS.contains(&text) {
        return Ok(text.to_owned());
    }
    let hint = did_you_mean(text, KINDS)
        .map_or_else(|| format!("known are {}", KINDS.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Err(format!("nothing is called `{text}`; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    #[test]
    fn every_channel_is_read() {
        let notify = parse(
            "[notify]\ndesktop = true\nfile = \"/run/needs.txt\"\ncommand = [\"/bin/page\", \"me\"]\non = \"login\"\n\
             webhook = { url = \"https://h.example/x\", secret = { env = \"HOOK\" } }\n",
        )
        .unwrap()
        .notify;
        let secret = SecretPlace::Env("HOOK".to_owned());
        let webhook = WebhookSection { url: "https://h.example/x".to_owned(), secret };
        assert_eq!((notify.desktop, notify.webhook, notify.command.len()), (Some(true), Some(webhook), 2));
        assert_eq!(notify.on, Some(vec!["login".to_owned()]));
        assert_eq!(parse("").unwrap().notify, NotifySection::default());
    }

    #[test]
    fn every_mistake_is_told_at_once_and_no_address_is_shown() {
        let text = "[notify]\ndesktop = \"yes\"\ncomand = \"x\"\non = [\"logins\", \"weather\"]\nfile = \"x\"\n\
                    [notify.webhook]\nurl = \"http://h.example/t0ken\"\nsecret = { file = \"/a\", env = \"B\" }\n";
        let mistakes: Vec<String> = parse(text).unwrap_err().iter().map(|m| format!("{}: {m}", m.line)).collect();
        for words in [
            "2: `notify.desktop` must be true or false, not string",
            "3: unknown key `notify.comand`; did you mean `command`?",
            "4: nothing is called `logins`; did you mean `login`?",
            "4: nothing is called `weather`; known are login, certificate, refresh, gateway",
            "5: `x` is not an absolute path",
            "7: the webhook's `url` must be https://",
            "8: a secret is read from one place",
        ] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(words)), "{words}: {mistakes:#?}");
        }
        assert!(!mistakes.concat().contains("t0ken"));
        let bare = parse("[notify]\nwebhook = {}\n").unwrap_err();
        assert!(bare[0].to_string().contains("needs `url` and `secret"), "{bare:?}");
    }
}
