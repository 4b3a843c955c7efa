//! Filters and pages of describes.

use super::{Ask, bad_value};
use crate::{cloud::State, query::No, xml::element};

/// What a filter may ask of one item.
pub(super) type Trait<'a> = (&'a str, String);

/// `Filter.1.Name` and its values: the items that have one of the values of every filter. Tags are asked as `tag:KEY`.
pub(super) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    pub(super) fn of(ask: &'a Ask<'_>, known: &[&str]) -> Result<Self, No> {
        let mut filters = Vec::new();
        for n in 1.. {
            let Some(name) = ask.field(&format!("Filter.{n}.Name")) else { break };
            if !known.contains(&name) && !name.starts_with("tag:") {
                return Err(No(400, "InvalidParameterValue", format!("The filter '{name}' is invalid")));
            }
            filters.push((name, ask.each(&format!("Filter.{n}.Value"))));
        }
        Ok(Self(filters))
    }

    pub(super) fn pass(&self, traits: &[Trait<'_>], tags: &[(String, String)]) -> bool {
        self.0.iter().all(|(name, values)| {
            let tag = name.strip_prefix("tag:").and_then(|key| tags.iter().find(|(known, _)| known == key));
            let own = traits.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            let value = own.or(tag.map(|(_, value)| value));
            value.is_some_and(|value| values.contains(&value.as_str()))
        })
    }
}

/// The list `name`, whole or the page that was asked for.
pub(super) fn page(state: &State, ask: &Ask<'_>, name: &str, items: &[String]) -> Result<String, No> {
    let from = match ask.field("NextToken") {
        Some(text) => text.parse::<usize>().map_err(|_| bad_value(text, "nextToken"))?,
        None => 0,
    };
    let size = state.settings.vpn.page.unwrap_or(items.len());
    let rest = items.get(from..).unwrap_or_default();
    let shown: String = rest.iter().take(size).map(|item| format!("<item>{item}</item>")).collect();
    let next = if rest.len() > size { element("nextToken", &(from + size).to_string()) } else { String::new() };
    Ok(format!("<{name}>{shown}</{name}>{next}"))
}
