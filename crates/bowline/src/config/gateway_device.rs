//! `[gateway] device-config`: the configuration of the site's own device, kept as AWS says it.

use std::{ops::Range, path::PathBuf};

use bowline_gateway::device::Choices;

use super::{
    Mistake,
    gateway::command_or_words,
    table::{Table, absolute},
};

/// `device-config = { path = …, hook = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceSection {
    pub(crate) path: PathBuf,
    /// Program and arguments; none is nobody.
    pub(crate) hook: Vec<String>,
    pub(crate) choices: Choices,
}

/// The only one so far.
const FORMAT: &str = "strongswan";

pub(super) fn section(
    text: &str,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<DeviceSection> {
    let before = mistakes.len();
    table.value("format", mistakes, format);
    let path = table.value("path", mistakes, absolute);
    let hook = command_or_words(&mut table, "hook", mistakes);
    let mut networks = |key| table.values(key, mistakes, str::parse).unwrap_or_default();
    let networks = [networks("local-networks"), networks("remote-networks")];
    let standard = Choices::default();
    let choices = Choices {
        first_interface: table.number("if-id", 1..=u32::MAX, mistakes).unwrap_or(standard.first_interface),
        keys: table.flag("keys", mistakes).unwrap_or(standard.keys),
        networks,
    };
    table.finish(mistakes);
    if choices.networks[0].is_empty() != choices.networks[1].is_empty() {
        let message = "`gateway.device-config` needs both `local-networks` and `remote-networks`, or none of them";
        mistakes.push(Mistake::at(text, span, message));
    }
    if path.is_none() && mistakes.len() == before {
        mistakes.push(Mistake::at(text, span, "`gateway.device-config` needs `path`"));
    }
    path.map(|path| DeviceSection { path, hook, choices })
}

fn format(text: &str) -> Result<(), String> {
    if text == FORMAT { Ok(()) } else { Err(format!("no device is called `{text}`; known is {FORMAT}")) }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    #[test]
    fn every_key_is_read() {
        let read = |text: &str| parse(text).unwrap().gateway.unwrap().device_config;
        let whole = "[gateway]\ndevice-config = { format = \"strongswan\", path = \"/etc/swanctl/conf.d/aws.conf\", \
                     hook = \"swanctl --load-all\", if-id = 7, keys = false, local-networks = \"10.1.0.0/16\", \
                     remote-networks = [\"10.2.0.0/16\", \"10.3.0.0/16\"] }\n";
        let device = read(whole).unwrap();
        assert_eq!((device.hook.len(), device.choices.first_interface, device.choices.keys), (2, 7, false));
        assert_eq!(device.choices.networks.map(|networks| networks.len()), [1, 2]);
        let bare = read("[gateway]\ndevice-config = { path = \"/x.conf\", hook = [\"/bin/a b\", \"c\"] }\n").unwrap();
        assert_eq!((bare.choices, bare.hook[0].as_str()), (Choices::default(), "/bin/a b"));
        assert_eq!(read("[gateway]\n"), None);
    }

    #[test]
    fn mistakes_are_told() {
        for (table, words) in [
            ("{}", "needs `path`"),
            ("{ path = \"x.conf\" }", "`x.conf` is not an absolute path"),
            ("{ path = \"/x\", format = \"cisco\" }", "no device is called `cisco`"),
            ("{ path = \"/x\", local-networks = \"10.1.0.0/16\" }", "needs both"),
            (
                "{ path = \"/x\", local-networks = \"10.1.0.1/16\", remote-networks = \"::/0\" }",
                "bits behind its length",
            ),
            ("{ path = \"/x\", hok = \"a\" }", "did you mean `hook`?"),
        ] {
            let mistakes = parse(&format!("[gateway]\ndevice-config = {table}\n")).unwrap_err();
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|mistake| mistake.contains(words)), "{words}: {told:?}");
        }
    }
}
