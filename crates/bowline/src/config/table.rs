//! Reads typed values out of a TOML table and collects what is wrong instead of stopping at it.

use std::{
    net::SocketAddr,
    ops::{Range, RangeInclusive},
    path::PathBuf,
    time::Duration,
};

use bowline_base::units;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::mistakes::{MOST, Mistake, did_you_mean};

/// One table that is being read. Keys that nobody asked for are mistakes when it is finished.
pub(crate) struct Table<'a> {
    text: &'a str,
    /// `artifacts.cache`; empty for the file itself.
    path: String,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(text: &'a str, path: impl Into<String>, table: &'a DeTable<'a>) -> Self {
        Self { text, path: path.into(), table, known: Vec::new() }
    }

    /// The value of `key` as `read` understands it; `None` when it is absent or wrong.
    pub(crate) fn value<T>(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.entry(key)?;
        self.text_of(key, value, mistakes).and_then(|text| self.keep(read(text), &value.span(), mistakes))
    }

    /// One text or an array of texts, each as `read` understands it. An empty array would switch off what has to be there.
    pub(crate) fn values<T>(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.table.get(key);
        if let Some(empty) = value.filter(|value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()))
        {
            mistakes.push(Mistake::at(self.text, &empty.span(), format!("`{}` is empty", self.name(key))));
        }
        let values = self.list(key, mistakes, read);
        value.map(|_| values)
    }

    /// The same where none is what there is without a word.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.entry(key) else { return Vec::new() };
        let items: Vec<&Spanned<DeValue<'a>>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let read_one = |item: &&'a Spanned<DeValue<'a>>, mistakes: &mut Vec<Mistake>| {
            self.text_of(key, item, mistakes).and_then(|text| self.keep(read(text), &item.span(), mistakes))
        };
        items.iter().filter_map(|item| read_one(item, mistakes)).collect()
    }

    pub(crate) fn duration(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<Duration> {
        self.value(key, mistakes, |text| units::parse_duration(text).map_err(|error| error.to_string()))
    }

    pub(crate) fn size(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<u64> {
        self.value(key, mistakes, |text| match units::parse_size(text).map_err(|error| error.to_string())? {
            0 => Err(format!("`{text}` leaves no room at all")),
            bytes => Ok(bytes),
        })
    }

    /// A size that may be none at all.
    pub(crate) fn size_or_none(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<u64> {
        self.value(key, mistakes, |text| units::parse_size(text).map_err(|error| error.to_string()))
    }

    pub(crate) fn path(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<PathBuf> {
        self.value(key, mistakes, absolute)
    }

    /// Those of `keys` that are not there, for people.
    pub(crate) fn lacks(&self, keys: &[&str]) -> Option<String> {
        let missing: Vec<String> =
            keys.iter().filter(|key| self.table.get(**key).is_none()).map(|key| format!("`{key}`")).collect();
        (!missing.is_empty()).then(|| missing.join(" and "))
    }

    /// Whether `key` is there as a text, where it may also be a table.
    pub(crate) fn is_text(&self, key: &str) -> bool {
        matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::String(_)))
    }

    /// A whole number of `range`.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u32> {
        let value = self.entry(key)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(written) = value.get_ref() else {
            self.wrong_type(key, &wanted, value.get_ref(), &value.span(), mistakes);
            return None;
        };
        let number =
            u32::from_str_radix(written.as_str(), written.radix()).ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` must be {wanted}, not {}", self.name(key), written.as_str());
            mistakes.push(Mistake::at(self.text, &value.span(), message));
        }
        number
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        let value = self.entry(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, "true or false", value.get_ref(), &value.span(), mistakes);
        None
    }

    /// The table below `key`.
    pub(crate) fn table(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<(Self, Range<usize>)> {
        let value = self.entry(key)?;
        let span = self.key_span(key);
        match value.get_ref() {
            DeValue::Table(table) => Some((Self::new(self.text, self.name(key), table), span)),
            other => {
                self.wrong_type(key, "a table", other, &value.span(), mistakes);
                None
            }
        }
    }

    /// Every table in this one, with its name: the names are the user's.
    pub(crate) fn named_tables(&self, mistakes: &mut Vec<Mistake>) -> Vec<(String, Self, Range<usize>)> {
        let mut tables = Vec::new();
        for (key, value) in self.table {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let below = Self::new(self.text, self.name(key.get_ref()), table);
                    tables.push((key.get_ref().to_string(), below, key.span()));
                }
                other => self.wrong_type(key.get_ref(), "a table", other, &value.span(), mistakes),
            }
        }
        tables
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Vec<(Self, Range<usize>)> {
        let Some(value) = self.entry(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let wanted = format!("written as [[{}]]", self.name(key));
            self.wrong_type(key, &wanted, value.get_ref(), &value.span(), mistakes);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => tables.push((Self::new(self.text, self.name(key), table), item.span())),
                other => {
                    let wanted = format!("written as [[{}]]", self.name(key));
                    self.wrong_type(key, &wanted, other, &item.span(), mistakes);
                }
            }
        }
        tables
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self, mistakes: &mut Vec<Mistake>) {
        let unknown = self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        for key in unknown.take(MOST.saturating_sub(mistakes.len())) {
            let what = if self.path.is_empty() { "section" } else { "key" };
            let meant = did_you_mean(key.get_ref(), self.known.iter().copied());
            let hint = meant.map_or_else(
                || format!("known are {}", self.known.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            let message = format!("unknown {what} `{}`; {hint}", self.name(key.get_ref()));
            mistakes.push(Mistake::at(self.text, &key.span(), message));
        }
    }

    fn entry(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.table.keys().find(|known| known.get_ref() == key).map_or(0..0, Spanned::span)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn text_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>, mistakes: &mut Vec<Mistake>) -> Option<&'a str> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text);
        }
        self.wrong_type(key, &format!("a text like {}", example(key)), value.get_ref(), &value.span(), mistakes);
        None
    }

    fn keep<T>(&self, read: Result<T, String>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> Option<T> {
        read.map_err(|message| mistakes.push(Mistake::at(self.text, span, message))).ok()
    }

    fn wrong_type(
        &self,
        key: &str,
        wanted: &str,
        found: &DeValue<'_>,
        span: &Range<usize>,
        mistakes: &mut Vec<Mistake>,
    ) {
        let message = format!("`{}` must be {wanted}, not {}", self.name(key), found.type_str());
        mistakes.push(Mistake::at(self.text, span, message));
    }
}

/// Reads `127.0.0.1:9000`, `[::1]:9000`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("`{text}` is not an address and port: write it as 127.0.0.1:9000"))
}

/// A duration that is not zero: with no time at all nothing could ever be answered.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err(format!("`{text}` is no time at all")),
        time => Ok(time),
    }
}

/// Reads an absolute path.
pub(crate) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("`{text}` is not an absolute path")) }
}

fn example(key: &str) -> &'static str {
    match key {
        "listen" => "\"127.0.0.1:9910\"",
        "max-size" => "\"20 GiB\"",
        "memory" => "\"64 MiB\"",
        "metadata-ttl" | "negative-ttl" | "upstream-timeout" | "stale-for" | "idle" => "\"5m\"",
        "from" => "\"s3://bucket/prefix\"",
        _ => "\"…\"",
    }
}
