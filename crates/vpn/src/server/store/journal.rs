//! Which names changed between two versions of Parameter Store's `changes` parameter, without reading everything.
//!
//! AWS counts a parameter's versions and compares nothing: two servers may overwrite one another's entry. The text therefore
//! says after which version its list begins. Where list and version do not fit together somebody was overwritten, and the
//! reader reads everything.

use serde_json::{Value, json};

/// The text of the parameter: name by name what made each version after `after`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    after: u64,
    names: Vec<String>,
}

/// A text that stays below a parameter's 4096 characters.
const LONGEST: usize = 3500;
/// More at once and everybody reads everything.
const MOST_AT_ONCE: usize = 1;

impl Journal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let names = value["names"].as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
        Some(Self { after: value["after"].as_u64()?, names: names.collect::<Option<_>>()? })
    }

    pub(super) fn text(&self) -> String {
        json!({ "kind": "bowline-vpn-changes", "version": 1, "after": self.after, "names": self.names }).to_string()
    }

    /// The text that makes the version after `version`, which had this one.
    pub(super) fn with(mut self, version: u64, changed: &[String]) -> Self {
        if !self.is_whole(version) {
            self = Self { after: version, names: Vec::new() };
        }
        if changed.len() > MOST_AT_ONCE {
            // Fits to no version: whoever reads it reads everything.
            return Self { after: version, names: Vec::new() };
        }
        self.names.extend(changed.iter().cloned());
        while self.text().len() > LONGEST {
            self.names.remove(0);
            self.after += 1;
        }
        self
    }

    /// What changed after version `read`, up to `version`, which has this text; `None`: it cannot be told.
    pub(super) fn since(&self, read: u64, version: u64) -> Option<&[String]> {
        if !self.is_whole(version) || read < self.after || read > version {
            return None;
        }
        self.names.get(usize::try_from(read - self.after).ok()?..)
    }

    fn is_whole(&self, version: u64) -> bool {
        u64::try_from(self.names.len()).ok().and_then(|count| self.after.checked_add(count)) == Some(version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_reader_is_told_what_changed_since_its_version() {
        let journal = Journal::default().with(0, &names(&["a"])).with(1, &names(&["b"])).with(2, &names(&["c"]));
        assert_eq!(journal.since(1, 3), Some(&names(&["b", "c"])[..]));
        assert_eq!(journal.since(3, 3), Some(&[][..]));
        assert_eq!(Journal::parse(&journal.text()), Some(journal));
    }

    #[test]
    fn who_was_overwritten_is_noticed_and_the_next_entry_heals_it() {
        let base = Journal::default().with(0, &names(&["a"]));
        // Two servers read version 1; both write; the second one's text is version 3.
        let lost = base.with(1, &names(&["c"]));
        assert_eq!(lost.since(1, 3), None);
        let healed = lost.with(3, &names(&["d"]));
        assert_eq!((healed.since(3, 4), healed.since(2, 4)), (Some(&names(&["d"])[..]), None));
        let many = healed.with(4, &names(&["e", "f"]));
        assert_eq!(
            (many.since(4, 5), many.clone().with(5, &names(&["g"])).since(5, 6)),
            (None, Some(&names(&["g"])[..]))
        );
    }

    proptest! {
        /// Servers that overwrite each other's entries: a reader is told every name that it missed, or nothing at all.
        #[test]
        fn no_change_is_ever_missed(writes in proptest::collection::vec((0_u64..3, any::<bool>()), 1..60), from in 0_usize..60) {
            let (mut texts, mut made) = (vec![Journal::default()], Vec::new());
            for (number, (behind, many)) in writes.iter().enumerate() {
                let version = (texts.len() as u64 - 1).saturating_sub(*behind);
                let mut changed = vec![format!("users/{}/record", "x".repeat(number))];
                if *many { changed.push("another".to_owned()); }
                texts.push(texts[usize::try_from(version).unwrap()].clone().with(version, &changed));
                made.push(changed);
            }
            let version = texts.len() - 1;
            let read = from.min(version);
            if let Some(told) = texts[version].since(read as u64, version as u64) {
                prop_assert_eq!(told, made[read..].concat());
            }
            prop_assert!(texts[version].text().len() <= LONGEST);
        }
    }
}
