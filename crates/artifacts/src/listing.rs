//! Listings as HTML for people and coursier, as JSON for programs. Only a path that ends in `/` ever gets one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{
    source::Source,
    upstream::{Listed, Page, Trouble},
};

const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Pages of one origin: a million names.
const MOST_PAGES: usize = 1000;
/// For all pages of all origins.
const LONGEST: Duration = Duration::from_secs(60);

/// What stands below one prefix, in the order of names, every page and every origin in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    folders: BTreeMap<String, ()>,
    files: BTreeMap<String, Listed>,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
}

impl Format {
    /// `?format=json`, or an `Accept` that names JSON and not HTML.
    pub(crate) fn wanted(query: Option<&str>, request: &HeaderMap) -> Self {
        let asked = query.into_iter().flat_map(|query| query.split('&')).find_map(|part| part.strip_prefix("format="));
        let accepted = request.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match asked {
            Some("json") => Self::Json,
            Some(_) => Self::Html,
            None if accepted.contains("application/json") && !accepted.contains("text/html") => Self::Json,
            None => Self::Html,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

impl Listing {
    /// Every page of every source. All or nothing: who reads versions from a part of a listing would miss some.
    pub(crate) async fn of(sources: &[Arc<Source>], prefix: &str) -> Result<Self, Trouble> {
        let gathering = async {
            let mut listing = Self::default();
            for source in sources {
                listing.gather(source, prefix).await?;
            }
            Ok(listing)
        };
        tokio::time::timeout(LONGEST, gathering).await.unwrap_or(Err(Trouble::TimedOut(LONGEST)))
    }

    async fn gather(&mut self, source: &Source, prefix: &str) -> Result<(), Trouble> {
        let mut seen = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let mut page = match source.list(prefix, after.as_deref()).await {
                Err(Trouble::Missing) => return Ok(()),
                page => page?,
            };
            let next = page.next.take();
            self.add(page);
            let Some(next) = next else { return Ok(()) };
            if !seen.insert(next.clone()) {
                return Err(Trouble::Broken("the listing begins again instead of ending".to_owned()));
            }
            if seen.len() == MOST_PAGES {
                return Err(Trouble::Broken(format!("the listing has more than {MOST_PAGES} pages")));
            }
            after = Some(next);
        }
    }

    /// Adds a page. What an earlier origin has under the same name stays.
    pub(crate) fn add(&mut self, page: Page) {
        self.folders.extend(page.folders.into_iter().map(|name| (name, ())));
        for file in page.files {
            self.files.entry(file.name.clone()).or_insert(file);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.files.is_empty()
    }

    /// `path` is what was asked for, decoded, with its slashes.
    pub(crate) fn render(&self, path: &str, format: Format) -> String {
        match format {
            Format::Html => self.html(path),
            Format::Json => self.json(path),
        }
    }

    fn json(&self, path: &str) -> String {
        let file = |file: &Listed| json!({ "name": file.name, "size": file.length, "modified": file.modified });
        let files: Vec<_> = self.files.values().map(file).collect();
        let folders: Vec<_> = self.folders.keys().collect();
        format!("{}\n", json!({ "path": path, "folders": folders, "files": files }))
    }

    fn html(&self, path: &str) -> String {
        let title = escape(path);
        let mut page = format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body><h1>{title}</h1>\n<pre>\n"
        );
        if path != "/" {
            page.push_str("<a href=\"../\">../</a>\n");
        }
        for name in self.folders.keys() {
            writeln!(page, "<a href=\"{}/\">{}/</a>", link(name), escape(name)).ok();
        }
        for file in self.files.values() {
            let modified = file.modified.as_deref().unwrap_or("-");
            let (name, length) = (&file.name, file.length);
            writeln!(page, "<a href=\"{}\">{}</a>  {}  {length}", link(name), escape(name), escape(modified)).ok();
        }
        page.push_str("</pre></body></html>\n");
        page
    }
}

/// Relative, and never mistaken for `scheme:`.
fn link(name: &str) -> String {
    utf8_percent_encode(name, NAME).to_string()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let file = |name: &str| Listed { name: name.to_owned(), length: 7, modified: None };
        Page { folders: vec!["1.0".to_owned()], files: vec![file("b<&>\".txt"), file("a b+c:d.jar")], next: None }
    }

    #[test]
    fn names_are_escaped_as_text_and_as_links() {
        let mut listing = Listing::default();
        listing.add(page());
        let html = listing.render("/g/<a>/", Format::Html);
        assert!(html.contains("<a href=\"a%20b%2Bc%3Ad.jar\">a b+c:d.jar</a>  -  7\n"), "{html}");
        assert!(html.contains(">b&lt;&amp;&gt;&quot;.txt</a>") && html.contains("<h1>/g/&lt;a&gt;/</h1>"), "{html}");
        assert!(html.contains("<a href=\"1.0/\">1.0/</a>") && html.contains("href=\"../\""), "{html}");
    }

    #[test]
    fn json_is_asked_for_by_query_or_by_accept() {
        let accept = |text: &'static str| HeaderMap::from_iter([(header::ACCEPT, text.parse().unwrap())]);
        assert_eq!(Format::wanted(Some("x=1&format=json"), &HeaderMap::new()), Format::Json);
        assert_eq!(Format::wanted(None, &accept("application/json")), Format::Json);
        assert_eq!(Format::wanted(None, &accept("text/html, application/json")), Format::Html);
        assert_eq!(Format::wanted(None, &accept("*/*")), Format::Html);
        let mut listing = Listing::default();
        assert!(listing.is_empty());
        listing.add(page());
        let value: serde_json::Value = serde_json::from_str(&listing.render("/g/", Format::Json)).unwrap();
        assert_eq!((value["folders"][0].as_str(), value["files"][0]["size"].as_u64()), (Some("1.0"), Some(7)));
    }

    #[test]
    fn the_first_origin_wins_a_name() {
        let mut listing = Listing::default();
        listing.add(page());
        let mut second = page();
        second.files[0].length = 99;
        listing.add(second);
        assert!(!listing.render("/", Format::Json).contains("99"));
    }
}
