//! Lists in pages: `MaxItems`, `Marker`, `IsTruncated`. A page may be shorter than asked for, as at AWS.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Ask;
use crate::{
    cloud::State,
    query::{No, constraint},
    xml::element,
};

const USUAL: usize = 100;
const LARGEST: usize = 1000;

/// `items`, each the inside of a `<member>`, as the list `name`: the page that was asked for.
pub(super) fn page(state: &State, ask: &Ask<'_>, name: &str, items: &[String]) -> Result<String, No> {
    let size = size(ask)?.min(state.settings.largest_iam_page.max(1));
    let start = start(ask)?;
    let members: String = items.iter().skip(start).take(size).map(|item| format!("<member>{item}</member>")).collect();
    let end = start.saturating_add(size);
    let more = end < items.len();
    let marker = if more { element("Marker", &STANDARD.encode(format!("page:{end}"))) } else { String::new() };
    Ok(format!("<{name}>{members}</{name}>{}{marker}", element("IsTruncated", &more.to_string())))
}

fn size(ask: &Ask<'_>) -> Result<usize, No> {
    let Some(text) = ask.form.field("MaxItems") else { return Ok(USUAL) };
    let size = text.parse().ok().filter(|size| (1..=LARGEST).contains(size));
    size.ok_or_else(|| constraint(text, "maxItems", "Member must have value less than or equal to 1000"))
}

fn start(ask: &Ask<'_>) -> Result<usize, No> {
    let Some(marker) = ask.form.field("Marker") else { return Ok(0) };
    let text = STANDARD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let start = text.and_then(|text| text.strip_prefix("page:").and_then(|number| number.parse().ok()));
    start.ok_or_else(|| No::invalid("Invalid Marker."))
}
