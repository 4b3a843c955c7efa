//! Every alert of deploy/prometheus leads to its heading in docs/operations/alerts.md, and no heading is without an alert.

#![cfg(test)]

use std::fs;

use crate::place;

/// Where whoever is woken by an alert can click.
const PAGE: &str = "https://github.com/bowline/bowline/blob/main/docs/operations/alerts.md";

/// Headings that are alerts, as `(alert, link)` would name them.
fn headings(page: &str) -> Vec<(String, String)> {
    let names = page.lines().filter_map(|line| line.strip_prefix("## "));
    names.map(|name| (name.to_owned(), format!("{PAGE}#{}", name.to_lowercase()))).collect()
}

/// Each alert with what its `runbook_url` annotation says; empty where there is none.
fn alerts(rules: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            found.push((name.to_owned(), String::new()));
        } else if let (Some(link), Some(last)) = (line.strip_prefix("runbook_url: "), found.last_mut()) {
            link.trim_matches('"').clone_into(&mut last.1);
        }
    }
    found
}

#[test]
fn every_alert_leads_to_its_heading_in_the_runbook() {
    let read = |path: &str| fs::read_to_string(place::root().join(path)).unwrap();
    let found = alerts(&read("deploy/prometheus/bowline.rules.yml"));
    assert!(found.len() > 5, "{found:?}");
    assert_eq!(found, headings(&read("docs/operations/alerts.md")));
}

#[test]
fn an_alert_without_a_link_or_with_another_one_is_found() {
    let page = headings("# x\n## ADown\n\nwords\n");
    let rule = |heading: &str| format!("- alert: ADown\n  runbook_url: \"{PAGE}#{heading}\"\n");
    assert_eq!(page, alerts(&rule("adown")));
    for rules in ["- alert: ADown\n", &rule("bdown"), ""] {
        assert_ne!(page, alerts(rules));
    }
}
