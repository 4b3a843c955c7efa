//! Tags: with a create call, or set later on what is there.

use super::{Ask, tagged};
use crate::{cloud::State, ec2::network::Tags, policy::Context, query::No, xml::element};

const MOST: usize = 50;

/// `CreateTags`.
pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    ask.required("ResourceId.1")?;
    let new = read(ask, "")?;
    let ids: Vec<String> = ask.each("ResourceId").into_iter().map(str::to_owned).collect();
    for id in &ids {
        let tags = of(state, id).ok_or_else(|| No(400, "InvalidID", format!("The ID '{id}' is not valid")))?;
        let kind = if id.starts_with("cgw-") { "customer-gateway" } else { "vpn-connection" };
        let context = requested(tagged(tags), &new);
        ask.may(state, "ec2:CreateTags", &format!("{kind}/{id}"), context)?;
    }
    ask.in_earnest()?;
    for id in &ids {
        let Some(tags) = of(state, id) else { continue };
        for (key, value) in &new {
            tags.retain(|(known, _)| known != key);
            tags.push((key.clone(), value.clone()));
        }
    }
    Ok(element("return", "true"))
}

/// The tags of a thing, if it is one that is known here.
fn of<'s>(state: &'s mut State, id: &str) -> Option<&'s mut Tags> {
    let network = &mut state.network;
    let gateway = network.gateways.iter_mut().find(|gateway| gateway.id == id).map(|gateway| &mut gateway.tags);
    gateway.or_else(|| network.connections.iter_mut().find(|one| one.id == id).map(|one| &mut one.tags))
}

/// The tags that a call brings under `prefix`.
pub(super) fn read(ask: &Ask<'_>, prefix: &str) -> Result<Tags, No> {
    let mut tags = Tags::new();
    for n in 1.. {
        let Some(key) = ask.field(&format!("{prefix}Tag.{n}.Key")) else { break };
        let value = ask.field(&format!("{prefix}Tag.{n}.Value")).unwrap_or_default();
        let reserved = key.to_ascii_lowercase().starts_with("aws:");
        if reserved || key.chars().count() > 127 || value.chars().count() > 255 {
            let words = format!("Tag keys and values are bounded and must not begin with 'aws:': {key}");
            return Err(No(400, "InvalidParameterValue", words));
        }
        if tags.iter().any(|(known, _)| known == key) {
            let words = format!("Duplicate tag key '{key}' specified.");
            return Err(No(400, "InvalidParameterValue", words));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    if tags.len() > MOST {
        return Err(No(400, "TagLimitExceeded", "More than 50 tags specified".to_owned()));
    }
    Ok(tags)
}

/// What a policy sees of the tags that a call brings.
pub(super) fn requested(context: Context, tags: &Tags) -> Context {
    tags.iter().fold(context, |context, (key, value)| {
        context.with(&format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key)
    })
}

pub(super) fn shown(tags: &Tags) -> String {
    let items =
        tags.iter().map(|(key, value)| format!("<item>{}{}</item>", element("key", key), element("value", value)));
    if tags.is_empty() { String::new() } else { format!("<tagSet>{}</tagSet>", items.collect::<String>()) }
}
