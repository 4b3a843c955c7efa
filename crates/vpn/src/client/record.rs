//! What was there before, and what we made: written down before anything changes, removed when all is as it was.

use std::{collections::BTreeMap, io, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bowline_base::{Fault, Kind, atomic};
use serde_json::{Value, json};

const KIND: &str = "bowline-vpn-link";
const VERSION: u64 = 1;

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The user that it is for, or the file that it was made of.
    pub name: String,
    /// The link's interface.
    pub interface: String,
    /// When it was begun, `…SSZ`.
    pub since: String,
    /// Where the server, or the proxy before it, is.
    pub outside: String,
    /// Our routing table.
    pub(super) table: u32,
    /// Whether all of it came up.
    pub up: bool,
    /// `ip rule` and `ip route` of both families, before: by the arguments that show them.
    pub(super) before: BTreeMap<String, String>,
    /// The resolver's file before, and as we wrote it; none where we left it alone.
    pub(super) resolver: Option<Resolver>,
}

/// A file whose bytes come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolver {
    pub(super) path: PathBuf,
    pub(super) before: Vec<u8>,
    pub(super) ours: Vec<u8>,
}

impl Record {
    /// As a file: kind and version first.
    pub(super) fn text(&self) -> String {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let resolver = self.resolver.as_ref().map(|resolver| {
            json!({ "path": resolver.path, "before": encode(&resolver.before), "ours": encode(&resolver.ours) })
        });
        json!({
            "kind": KIND, "version": VERSION, "name": self.name, "interface": self.interface, "since": self.since,
            "outside": self.outside, "table": self.table, "up": self.up, "before": self.before, "resolver": resolver,
        })
        .to_string()
    }

    /// Reads [`Record::text`]; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let word = |name: &str| value[name].as_str().map(str::to_owned);
        if value["kind"] != KIND || value["version"] != VERSION {
            return None;
        }
        let decode = |value: &Value| BASE64_STANDARD.decode(value.as_str()?).ok();
        let resolver = match &value["resolver"] {
            Value::Null => None,
            kept => Some(Resolver {
                path: kept["path"].as_str()?.into(),
                before: decode(&kept["before"])?,
                ours: decode(&kept["ours"])?,
            }),
        };
        let before = value["before"].as_object()?.iter();
        Some(Self {
            name: word("name")?,
            interface: word("interface")?,
            since: word("since")?,
            outside: word("outside")?,
            table: u32::try_from(value["table"].as_u64()?).ok()?,
            up: value["up"].as_bool()?,
            before: before.map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect::<Option<_>>()?,
            resolver,
        })
    }
}

/// Where the record lies: at most one link at a time.
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn read(&self) -> Result<Option<Record>, Fault> {
        let wrong = |what: &str| Fault::new(Kind::Config, "vpn", format!("`{}` {what}", self.0.display()));
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Record::parse(&text).map(Some).ok_or_else(|| {
                wrong("is no record of a link, or one of a later version")
                    .hint("restore with the version of Bowline that wrote it; `ip rule` shows what is left, numbers 5180 to 5189")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(wrong("cannot be read").cause(cause)),
        }
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), Fault> {
        atomic::write_private(&self.0, record.text().as_bytes()).map_err(|cause| {
            Fault::new(Kind::Config, "vpn", format!("cannot write `{}`; nothing was changed", self.0.display()))
                .cause(cause)
        })
    }

    pub(super) fn remove(&self) -> Result<(), Fault> {
        match std::fs::remove_file(&self.0) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Fault::new(Kind::Config, "vpn", format!("cannot remove `{}`", self.0.display())).cause(cause))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn record() -> Record {
        Record {
            name: "alice".to_owned(),
            interface: "bowline0".to_owned(),
            since: "2026-11-28T12:00:00Z".to_owned(),
            outside: "192.0.2.1".to_owned(),
            table: 51_820,
            up: true,
            before: BTreeMap::from([("-4 rule show".to_owned(), "0:\tfrom all lookup local\n".to_owned())]),
            resolver: Some(Resolver {
                path: "/etc/resolv.conf".into(),
                before: b"nameserver 192.168.1.1\n\xff".to_vec(),
                ours: b"nameserver 10.77.0.1\n".to_vec(),
            }),
        }
    }

    #[test]
    fn a_record_comes_back_byte_by_byte_and_a_later_one_is_refused() {
        let record = record();
        assert_eq!(Record::parse(&record.text()), Some(record.clone()));
        assert_eq!(Record::parse(&record.text().replace("\"version\":1", "\"version\":2")), None);
        assert_eq!(Record::parse("{"), None);
    }
}
