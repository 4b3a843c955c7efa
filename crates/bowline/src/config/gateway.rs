//! `[gateway]`: the VPN that follows the site's address.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use bowline_awsfiles::words;
use bowline_gateway::{Healthcheck, Managed, Window, address::Provider};

use super::{
    DeviceSection, Mistake, SecretPlace, gateway_device,
    notify::url,
    secret,
    sections::{name, region},
    table::{Table, some_time},
};

/// `[gateway]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewaySection {
    pub(crate) identity: Option<String>,
    pub(crate) region: Option<String>,
    /// The value of the owner's tag, where it is not left to the connections.
    pub(crate) owner: Option<String>,
    /// `Name` of new gateways.
    pub(crate) name: Option<String>,
    pub(crate) managed: Managed,
    /// Who is asked for the address; none: the usual ones.
    pub(crate) providers: Vec<Provider>,
    pub(crate) interval: Duration,
    pub(crate) settle_poll: Duration,
    pub(crate) confirm: u32,
    pub(crate) min_change_interval: Duration,
    pub(crate) window: Option<Window>,
    /// Program and arguments; none is no command.
    pub(crate) on_change: Vec<String>,
    pub(crate) webhook: Option<FollowerSection>,
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) device_config: Option<DeviceSection>,
    pub(crate) allow_test_addresses: bool,
}

/// `webhook = "URL"`, or `{ url = …, secret = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FollowerSection {
    pub(crate) url: String,
    pub(crate) secret: Option<SecretPlace>,
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self {
            identity: None,
            region: None,
            owner: None,
            name: None,
            managed: Managed::Unsaid,
            providers: Vec::new(),
            interval: Duration::from_secs(300),
            settle_poll: Duration::from_secs(10),
            confirm: 2,
            min_change_interval: Duration::from_secs(600),
            window: None,
            on_change: Vec::new(),
            webhook: None,
            healthcheck: None,
            device_config: None,
            allow_test_addresses: false,
        }
    }
}

/// How many equal readings may be asked for.
const CONFIRM: RangeInclusive<u32> = 1..=100;

pub(super) fn section(
    text: &str,
    mut section: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> GatewaySection {
    let standard = GatewaySection::default();
    let gateway = GatewaySection {
        identity: section.value("identity", mistakes, name),
        region: section.value("region", mistakes, region),
        owner: section.value("owner", mistakes, owner),
        name: section.value("name", mistakes, name),
        managed: managed(text, &mut section, span, mistakes),
        providers: both(&mut section, ["ip-providers", "ip-provider"], mistakes, provider),
        interval: section.value("interval", mistakes, some_time).unwrap_or(standard.interval),
        settle_poll: section.value("settle-poll", mistakes, some_time).unwrap_or(standard.settle_poll),
        confirm: section.number("confirm", CONFIRM, mistakes).unwrap_or(standard.confirm),
        min_change_interval: section.duration("min-change-interval", mistakes).unwrap_or(standard.min_change_interval),
        window: section.value("window", mistakes, Window::parse),
        on_change: command_or_words(&mut section, "on-change", mistakes),
        webhook: webhook(text, &mut section, mistakes),
        healthcheck: section.value("healthcheck", mistakes, Healthcheck::parse),
        device_config: section
            .table("device-config", mistakes)
            .and_then(|(table, span)| gateway_device::section(text, table, &span, mistakes)),
        allow_test_addresses: section.flag("allow-test-addresses", mistakes).unwrap_or_default(),
    };
    section.finish(mistakes);
    gateway
}

/// The value of a tag, and the end of a device's name: `site-1`.
pub(crate) fn owner(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-=._:/@ ".contains(c);
    match text.trim() {
        name if !name.is_empty() && name.len() <= 200 && name.chars().all(fits) => Ok(name.to_owned()),
        _ => Err(format!("`{text}` is no owner: letters, digits and `+ - = . _ : / @`, at most 200 of them")),
    }
}

/// `KEY=VALUE`
pub(crate) fn tag(text: &str) -> Result<Managed, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok(Managed::Tag { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err(format!("`{text}` is no tag: write it as KEY=VALUE")),
    }
}

/// The id of a VPN connection, as EC2 gives it.
pub(crate) fn connection(text: &str) -> Result<String, String> {
    match text.trim() {
        id if id.strip_prefix("vpn-").is_some_and(|rest| !rest.is_empty()) => Ok(id.to_owned()),
        _ => Err(format!("`{text}` is no VPN connection: its id is written vpn-0a1b2c3d")),
    }
}

/// Where the address is asked for.
pub(crate) fn provider(text: &str) -> Result<Provider, String> {
    Provider::parse(text).map_err(|fault| fault.message)
}

/// A command as one text, or its words.
pub(crate) fn command(text: &str) -> Result<Vec<String>, String> {
    match words(text) {
        Ok(words) if words.is_empty() => Err("the command is empty".to_owned()),
        Ok(words) => Ok(words),
        Err(unclosed) => Err(format!("`{text}` is no command: {unclosed}")),
    }
}

/// Where messages are sent to.
pub(crate) fn webhook_url(text: &str) -> Result<String, String> {
    url(text)
}

fn managed(text: &str, section: &mut Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> Managed {
    let ids = both(section, ["vpn-connections", "vpn-connection"], mistakes, connection);
    let tag = section.value("tag", mistakes, tag);
    if tag.is_some() && !ids.is_empty() {
        mistakes.push(Mistake::at(
            text,
            span,
            "`gateway` has `vpn-connections` and `tag`: one of them says which are meant",
        ));
    }
    match tag {
        _ if !ids.is_empty() => Managed::Ids(ids),
        Some(tag) => tag,
        None => Managed::Unsaid,
    }
}

/// A list, by its own name and by that of the flag that adds one to it.
fn both<T: Clone>(
    section: &mut Table<'_>,
    keys: [&'static str; 2],
    mistakes: &mut Vec<Mistake>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    keys.map(|key| section.values(key, mistakes, &read).unwrap_or_default()).concat()
}

/// A command as one text, or as a list of its words.
pub(super) fn command_or_words(section: &mut Table<'_>, key: &'static str, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    if section.is_text(key) {
        return section.value(key, mistakes, command).unwrap_or_default();
    }
    section.list(key, mistakes, |word| Ok(word.to_owned()))
}

fn webhook(text: &str, section: &mut Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<FollowerSection> {
    if section.is_text("webhook") {
        return section.value("webhook", mistakes, url).map(|url| FollowerSection { url, secret: None });
    }
    let (mut table, span) = section.table("webhook", mistakes)?;
    let before = mistakes.len();
    let url = table.value("url", mistakes, url);
    let secret = secret::of_key(text, &mut table, "secret", mistakes);
    table.finish(mistakes);
    if url.is_none() && mistakes.len() == before {
        mistakes.push(Mistake::at(text, &span, "`gateway.webhook` needs `url`"));
    }
    url.map(|url| FollowerSection { url, secret })
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    #[test]
    fn every_key_is_read() {
        let text = "[gateway]\nidentity = \"site\"\nregion = \"eu-central-1\"\nowner = \"site-1\"\nname = \"Office\"\n\
                    vpn-connections = [\"vpn-1\", \"vpn-2\"]\nip-provider = \"https://a.example\"\ninterval = \"1m\"\n\
                    settle-poll = \"500ms\"\nconfirm = 3\nmin-change-interval = \"0s\"\nwindow = \"02:00-05:00\"\n\
                    on-change = \"/bin/x 'a b'\"\nwebhook = \"https://h.example/t\"\nallow-test-addresses = true\n\
                    healthcheck = \"https://hc.example/id\"\n";
        let gateway = parse(text).unwrap().gateway.unwrap();
        assert_eq!(gateway.managed, Managed::Ids(vec!["vpn-1".to_owned(), "vpn-2".to_owned()]));
        assert_eq!((gateway.interval, gateway.settle_poll), (Duration::from_secs(60), Duration::from_millis(500)));
        assert_eq!((gateway.confirm, gateway.min_change_interval), (3, Duration::ZERO));
        assert_eq!(gateway.on_change, ["/bin/x", "a b"]);
        assert_eq!(gateway.webhook.unwrap().secret, None);
        assert_eq!((gateway.providers.len(), gateway.allow_test_addresses), (1, true));
        assert_eq!(parse("[gateway]\n").unwrap().gateway, Some(GatewaySection::default()));
        let tagged = parse("[gateway]\ntag = \"site=a=b\"\n").unwrap().gateway.unwrap().managed;
        assert_eq!(tagged, Managed::Tag { key: "site".to_owned(), value: "a=b".to_owned() });
    }

    #[test]
    fn every_mistake_is_told_at_once_and_no_address_is_shown() {
        let text = "[gateway]\nowner = \"a,b\"\nvpn-connection = \"vpn-1\"\ntag = \"x=y\"\nip-provider = [\"http://a.example\"]\n\
                    interval = \"0s\"\nwindow = \"2-5\"\non-change = \"a 'b\"\nhealthcheck = \"ftp://h/5ecret\"\nintervall = \"1m\"\n\
                    webhook = { secret = { env = \"X\" } }\nconfirm = 0\n";
        let mistakes: Vec<String> = parse(text).unwrap_err().iter().map(|m| format!("{}: {m}", m.line)).collect();
        for words in [
            "1: `gateway` has `vpn-connections` and `tag`",
            "2: `a,b` is no owner",
            "5: the address provider `http://a.example` is plain http",
            "6: `0s` is no time at all",
            "7: `2-5` is no window",
            "8: `a 'b` is no command",
            "9: a healthcheck is https://",
            "10: unknown key `gateway.intervall`; did you mean `interval`?",
            "11: `gateway.webhook` needs `url`",
            "12: `gateway.confirm` must be a whole number from 1 to 100, not 0",
        ] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(words)), "{words}: {mistakes:#?}");
        }
        assert!(!mistakes.concat().contains("5ecret"));
    }
}
