//! Where a file says something: the places of keys and values, for what is found wrong after the file was parsed.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Every byte where `text` says `value` below the key at `path`, through each table of an array such as `[[grant]]`. Where
/// it does not, that of the key; else of the nearest table around it; else the beginning.
pub(crate) fn places(text: &str, path: &[&str], value: Option<&str>) -> Vec<usize> {
    let (root, _) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let mut said = Vec::new();
    if let Some(value) = value {
        keys(root, path).iter().for_each(|(_, node)| texts(node, value, &mut said));
    }
    if said.is_empty() {
        let nearest = (1..=path.len()).rev().find_map(|length| Some(keys(root, &path[..length]).first()?.0));
        said.push(nearest.unwrap_or_default());
    }
    said
}

/// The keys at `path`, each with its place and its value.
fn keys<'a>(table: &'a DeTable<'a>, path: &[&str]) -> Vec<(usize, &'a Spanned<DeValue<'a>>)> {
    let Some((key, rest)) = path.split_first() else { return Vec::new() };
    let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else { return Vec::new() };
    if rest.is_empty() {
        return vec![(name.span().start, value)];
    }
    match value.get_ref() {
        DeValue::Table(table) => keys(table, rest),
        DeValue::Array(items) => {
            let tables = items.iter().filter_map(|item| match item.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            });
            tables.flat_map(|table| keys(table, rest)).collect()
        }
        _ => Vec::new(),
    }
}

/// Where `node` holds `value`; a path may be said from the file's own directory on.
fn texts(node: &Spanned<DeValue<'_>>, value: &str, found: &mut Vec<usize>) {
    match node.get_ref() {
        DeValue::String(said) => {
            let said = said.as_ref();
            let is_end = value.strip_suffix(said).is_some_and(|before| before.ends_with('/'));
            if said == value || (is_end && !said.is_empty()) {
                found.push(node.span().start);
            }
        }
        DeValue::Array(items) => items.iter().for_each(|item| texts(item, value, found)),
        DeValue::Table(table) => table.iter().for_each(|(_, item)| texts(item, value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_under_its_own_key_and_everywhere_there() {
        let text = "# \"x\"\n[daemon]\nkeep-fresh = [\"x\", \"a#b\"]\n[[grant]]\nprofiles = [\"x\"]\n\
                    [[grant]]\nprofiles = [\"y\", \"x\"]\n[gateway]\nmin-interval = \"x\"\n";
        let lines = |path: &[&str], value| -> Vec<(usize, usize)> {
            let place = |at: &usize| super::super::Mistake::at(text, &(*at..*at), "").place();
            places(text, path, value).iter().map(place).collect()
        };
        assert_eq!(lines(&["daemon", "keep-fresh"], Some("x")), [(3, 15)]);
        assert_eq!(lines(&["daemon", "keep-fresh"], Some("a#b")), [(3, 20)]);
        assert_eq!(lines(&["grant", "profiles"], Some("x")), [(5, 13), (7, 18)]);
        assert_eq!(lines(&["gateway", "interval"], None), [(8, 2)], "not within another key");
        assert_eq!(lines(&["gateway", "min-interval"], None), [(9, 1)]);
        assert_eq!(lines(&["vpn", "api"], Some("x")), [(1, 1)]);
    }

    #[test]
    fn a_path_is_found_as_it_was_written() {
        let text = "[artifacts]\ntls = { certificate = \"tls.pem\", private-key = \"tls.key\" }\n";
        assert_eq!(
            places(text, &["artifacts", "tls"], Some("/etc/bowline/tls.key")),
            [text.find("\"tls.key").unwrap()]
        );
        assert_eq!(places(text, &["artifacts", "tls"], Some("/etc/not-tls.key")), [text.find("tls =").unwrap()]);
    }
}
