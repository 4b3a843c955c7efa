//! The chain: how a line is made so that it can be told from any other, and read back.
//!
//! A line is one JSON object in canonical form: keys sorted, no spaces, as `jq -cS .` prints it. `hash` is SHA-256 over
//! the same object without `hash`; `prev` is the `hash` of the line before. Pure.

use bowline_base::{Timestamp, utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    hex,
    key::{PublicKey, SigningKey},
};

/// The kind in the first line of every file.
pub(crate) const KIND: &str = "bowline-audit";
/// The version there.
pub(crate) const VERSION: u64 = 1;
pub(crate) const BEGIN: &str = "begin";
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The end of a chain: what the next line goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the next line.
    pub(crate) seq: u64,
    /// The hash of the last one.
    pub(crate) hash: String,
    /// Names the log: 32 hexadecimal digits, drawn once.
    pub(crate) log: String,
}

impl Head {
    /// The beginning of a log.
    pub(crate) fn first(log: String) -> Self {
        Self { seq: 1, hash: "0".repeat(64), log }
    }

    /// The next line with these fields; the head moves on.
    pub(crate) fn line(&self, at: Timestamp, mut fields: Map<String, Value>) -> Line {
        fields.insert("seq".into(), self.seq.into());
        fields.insert("prev".into(), self.hash.clone().into());
        fields.insert("time".into(), utc(at).into());
        let hash = digest(&fields);
        fields.insert("hash".into(), hash.clone().into());
        Line { text: canonical(&Value::Object(fields)), seq: self.seq, hash, at }
    }

    /// The head behind `line`.
    pub(crate) fn behind(&self, line: &Line) -> Self {
        Self { seq: line.seq + 1, hash: line.hash.clone(), log: self.log.clone() }
    }

    /// The first line of a file.
    pub(crate) fn begin(&self, at: Timestamp, key: &PublicKey) -> Line {
        let fields =
            json!({ "event": BEGIN, "kind": KIND, "version": VERSION, "log": self.log, "key": key.to_string() });
        self.line(at, object(fields))
    }

    /// A line that signs everything before it.
    pub(crate) fn checkpoint(&self, at: Timestamp, key: &SigningKey) -> Line {
        let signature = key.sign(&signed_text(&self.log, self.seq, &self.hash, &utc(at)));
        let fields =
            json!({ "event": CHECKPOINT, "log": self.log, "key": key.public().to_string(), "signature": signature });
        self.line(at, object(fields))
    }
}

/// A line that was made or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) seq: u64,
    pub(crate) hash: String,
    pub(crate) at: Timestamp,
}

/// A line that was read and is whole in itself.
pub(crate) struct Parsed {
    pub(crate) seq: u64,
    pub(crate) prev: String,
    pub(crate) hash: String,
    pub(crate) fields: Map<String, Value>,
}

impl Parsed {
    /// Reads one line without its newline; `None` when it is not exactly what its hash says.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else { return None };
        if canonical(&Value::Object(fields.clone())) != text {
            return None;
        }
        let Some(Value::String(hash)) = fields.remove("hash") else { return None };
        let seq = fields.get("seq")?.as_u64()?;
        let prev = fields.get("prev")?.as_str()?.to_owned();
        (digest(&fields) == hash).then_some(Self { seq, prev, hash, fields })
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    pub(crate) fn event(&self) -> &str {
        self.text("event").unwrap_or_default()
    }

    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.text("time")?.parse().ok()
    }

    /// Whether this is the first line of a file of this version.
    pub(crate) fn begins_a_file(&self) -> bool {
        let ours =
            self.text("kind") == Some(KIND) && self.fields.get("version").and_then(Value::as_u64) == Some(VERSION);
        self.event() == BEGIN && ours
    }
}

/// What a checkpoint line says: everything before line `seq` is as `prev` sums it up. Kept elsewhere, it shows when the
/// end of a log was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the log.
    pub log: String,
    /// The number of the checkpoint's own line.
    pub seq: u64,
    /// Who signed.
    pub key: PublicKey,
    /// The hash of the line before.
    pub(crate) prev: String,
    pub(crate) signature: String,
    time: String,
}

impl Checkpoint {
    /// The last checkpoint in `text`: a copied line, a file of several, or a whole log.
    #[must_use]
    pub fn last_in(text: &str) -> Option<Self> {
        text.lines().rev().find_map(|line| Self::of(&Parsed::read(line.trim().as_bytes())?))
    }

    pub(crate) fn of(line: &Parsed) -> Option<Self> {
        let text = |name| line.text(name).map(str::to_owned);
        (line.event() == CHECKPOINT).then_some(())?;
        Some(Self {
            log: text("log")?,
            seq: line.seq,
            key: PublicKey::parse(line.text("key")?)?,
            prev: line.prev.clone(),
            signature: text("signature")?,
            time: text("time")?,
        })
    }

    /// Whether it was signed by the key that it names.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.key.signed(&signed_text(&self.log, self.seq, &self.prev, &self.time), &self.signature)
    }
}

fn signed_text(log: &str, seq: u64, prev: &str, time: &str) -> String {
    format!("{KIND} checkpoint {VERSION}\n{log}\n{seq}\n{prev}\n{time}\n")
}

fn digest(fields: &Map<String, Value>) -> String {
    hex::encode(&Sha256::digest(canonical(&Value::Object(fields.clone())).as_bytes()))
}

/// Keys sorted by their bytes at every depth, no spaces.
pub(crate) fn canonical(value: &Value) -> String {
    sorted(value.clone()).to_string()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-11-22T02:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_line_is_read_back_and_no_other_text_is_the_same_line() {
        let line = Head::first("ab".into()).line(at(), object(json!({ "b": {"z": 1, "a": "é"}, "a": null })));
        let parsed = Parsed::read(line.text.as_bytes()).unwrap();
        assert_eq!((parsed.seq, &parsed.hash), (1, &line.hash));
        assert!(line.text.starts_with(r#"{"a":null,"b":{"a":"é","z":1},"hash":""#), "{}", line.text);
        for other in [line.text.replace("\"a\":null", "\"a\": null"), line.text.replace('é', "\\u00e9")] {
            assert!(Parsed::read(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_checkpoint_signs_what_came_before() {
        let head = Head::first("ab".into());
        let line = head.checkpoint(at(), &SigningKey::of(1));
        let checkpoint = Checkpoint::last_in(&format!("noise\n{}\n", line.text)).unwrap();
        assert!(checkpoint.is_signed());
        assert!(!Checkpoint { prev: "f".repeat(64), ..checkpoint.clone() }.is_signed());
        assert!(!Checkpoint { seq: 2, ..checkpoint }.is_signed());
    }
}
