//! `/metrics` of a daemon with every job on: names by convention, the reference that tells all of them, and what ships
//! for Grafana and Prometheus and names no other. `--full`: a real Prometheus takes all of it.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    everything::Everything,
    harness::{Client, fetch, free_address, skip, until},
};

const PAGE: &str = include_str!("../docs/reference/metrics.md");
const RULES: &str = include_str!("../deploy/prometheus/bowline.rules.yml");
const DASHBOARD: &str = include_str!("../deploy/grafana/bowline.json");

/// What is shown in trouble or with clients only, and the code that says its name.
const RARE: [(&str, &str); 11] = [
    ("bowline_artifact_joins_total", include_str!("../crates/artifacts/src/metrics.rs")),
    ("bowline_audit_sink_failures_total", include_str!("../crates/audit/src/tally.rs")),
    ("bowline_audit_dropped_records_total", include_str!("../crates/audit/src/tally.rs")),
    ("bowline_audit_queued_lines", include_str!("../crates/audit/src/tally.rs")),
    ("bowline_gateway_actions_total", include_str!("../crates/gateway/src/metrics.rs")),
    ("bowline_gateway_provider_failures_total", include_str!("../crates/gateway/src/metrics.rs")),
    ("bowline_artifact_fills_total", include_str!("../crates/artifacts/src/metrics.rs")),
    ("bowline_artifact_upstream_calls_total", include_str!("../crates/artifacts/src/metrics.rs")),
    ("bowline_artifact_upstream_seconds", include_str!("../crates/artifacts/src/metrics.rs")),
    ("bowline_gateway_device_configs_total", include_str!("../crates/gateway/src/metrics.rs")),
    ("bowline_gateway_connection_state", include_str!("../crates/gateway/src/metrics.rs")),
];

/// One name of the exposition, or of the reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    help: String,
    labels: Vec<String>,
}

type Families = BTreeMap<String, Family>;

/// What the older text form says.
fn exposed(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                families.entry(name.to_owned()).or_default().help = help.trim_end_matches('.').to_owned();
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            }
            _ => {
                let (name, labels) = sample(line);
                let family = families.keys().rev().find(|known| name.starts_with(known.as_str())).cloned();
                families.entry(family.unwrap_or(name)).or_default().labels = labels;
            }
        }
    }
    families
}

/// Name and names of labels of a line with a number.
fn sample(line: &str) -> (String, Vec<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default().to_owned(), Vec::new());
    };
    let inside = rest.rsplit_once('}').map_or("", |(inside, _)| inside);
    let names = inside.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name.to_owned());
    (name.to_owned(), names.filter(|name| name != "le").collect())
}

/// The rows of the reference.
fn told() -> Families {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `bowline_")?.trim_end_matches(" |").split(" | ").collect();
        let [name, kind, labels, help] = cells[..] else { return Some((line.to_owned(), Family::default())) };
        let labels = labels.split(", ").map(str::trim).filter(|label| !label.is_empty()).map(ToOwned::to_owned);
        let family = Family { kind: kind.to_owned(), help: help.to_owned(), labels: labels.collect() };
        Some((format!("bowline_{}", name.trim_end_matches('`')), family))
    };
    PAGE.replace("| | ", "|  | ").lines().filter_map(row).collect()
}

/// What `promtool check metrics` would say, and that a moment is called one.
fn unconventional(name: &str, family: &Family) -> Option<&'static str> {
    const SCALED: [&str; 18] = [
        "milliseconds",
        "microseconds",
        "minutes",
        "hours",
        "days",
        "kilobytes",
        "megabytes",
        "kib",
        "mib",
        "percent",
        "s",
        "ms",
        "us",
        "sec",
        "b",
        "kb",
        "mb",
        "m",
    ];
    let words: Vec<&str> = name.split('_').collect();
    let is_counter = family.kind == "counter";
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        Some("not lower case with underscores")
    } else if family.help.is_empty() {
        Some("no help")
    } else if is_counter != name.ends_with("_total") {
        Some("`_total` is what counters end with, and nothing else")
    } else if family.kind != "histogram" && ["_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end)) {
        Some("an ending of histograms")
    } else if words.iter().any(|word| ["counter", "gauge", "histogram"].contains(word)) {
        Some("the kind stands in the name")
    } else if words.iter().any(|word| SCALED.contains(word)) {
        Some("not in seconds or bytes")
    } else if family.help.contains("Unix time") && !name.ends_with("_timestamp_seconds") {
        Some("a moment ends with `_timestamp_seconds`")
    } else {
        None
    }
}

#[test]
fn every_number_is_named_by_convention_and_stands_in_the_reference() {
    let all = Everything::start("metrics");
    let answer = fetch(all.status, "/metrics").unwrap();
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let (exposed, told) = (exposed(&answer.text()), told());
    for (name, family) in exposed.iter().chain(&told) {
        assert_eq!(unconventional(name, family), None, "{name}: {family:?}");
    }
    for (name, family) in &exposed {
        let row =
            told.get(name).unwrap_or_else(|| panic!("docs/reference/metrics.md does not tell {name}: {family:?}"));
        assert_eq!((&row.kind, &row.help), (&family.kind, &family.help), "{name}");
        assert!(family.labels.is_empty() || family.labels == row.labels, "{name}: {:?}", family.labels);
    }
    for name in told.keys().filter(|name| !exposed.contains_key(*name)) {
        let short = name.trim_start_matches("bowline_").trim_end_matches("_total");
        let said = RARE.iter().any(|(rare, code)| rare == name && code.contains(&format!("\"{short}\"")));
        assert!(said, "{name} is in the reference and nowhere else:\n{}", answer.text());
    }
    let accept = "accept: application/openmetrics-text; version=1.0.0\r\n";
    let openmetrics = Client::connect(all.status).unwrap().ask_as(accept, "GET", "/metrics").unwrap();
    assert!(openmetrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(openmetrics.text().ends_with("# EOF\n"));
}

#[test]
fn a_name_against_the_convention_is_found() {
    let family = |kind: &str, help: &str| Family { kind: kind.into(), help: help.into(), labels: Vec::new() };
    for (name, kind, help) in [
        ("bowline_x", "counter", "h"),
        ("bowline_x_total", "gauge", "h"),
        ("bowline_x_minutes", "gauge", "h"),
        ("bowline_x_m", "gauge", "h"),
        ("bowline_X", "gauge", "h"),
        ("bowline_x", "gauge", ""),
        ("bowline_x_sum", "gauge", "h"),
        ("bowline_x_seconds", "gauge", "Unix time of x"),
    ] {
        assert!(unconventional(name, &family(kind, help)).is_some(), "{name} {kind} {help}");
    }
    assert_eq!(unconventional("bowline_x_bytes_total", &family("counter", "h")), None);
}

/// Every name of ours in a text, without the endings of histograms.
fn names(text: &str) -> Vec<String> {
    let starts = text.match_indices("bowline_").map(|(at, _)| &text[at..]);
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        ["_bucket", "_count", "_sum"].iter().fold(rest[..end].to_owned(), |name, ending| {
            name.strip_suffix(ending).map(ToOwned::to_owned).unwrap_or(name)
        })
    };
    starts.map(name).collect()
}

/// What the dashboard asks Prometheus.
fn questions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dashboard_and_alerts_name_only_numbers_that_there_are() {
    let told = told();
    let named: Vec<String> = questions().iter().chain([&RULES.to_owned()]).flat_map(|text| names(text)).collect();
    assert!(named.len() > 40, "{named:?}");
    let unknown: Vec<&String> = named.iter().filter(|name| !told.contains_key(*name)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
    // Each job is on it.
    for job in ["credential", "endpoint", "audit", "artifact", "gateway", "vpn"] {
        assert!(questions().iter().any(|question| question.contains(&format!("bowline_{job}_"))), "{job}");
    }
}

#[test]
fn a_real_prometheus_scrapes_the_daemon_and_takes_rules_and_dashboard() {
    if !std::path::Path::new("/usr/bin/prometheus").exists() {
        skip!("no prometheus: apt-get install prometheus");
    }
    let all = Everything::start("prometheus");
    let world = all.world();
    let text = fetch(all.status, "/metrics").unwrap().text();
    world.write("metrics.txt", &text);
    let mut check = world.foreign("sh");
    check.args(["-c", "promtool check metrics < metrics.txt"]);
    let checked = world.run_foreign("promtool", &mut check);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{}", checked.stdout);

    let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/prometheus"));
    world.write("prometheus/bowline.rules.yml", RULES);
    let config = fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
    let quick = config.replace("127.0.0.1:9910", &all.status.to_string()).replace("15s", "1s");
    world.write("prometheus/prometheus.yml", &quick);
    let file = world.path("prometheus/prometheus.yml").display().to_string();
    let good = world.run_foreign("promtool", world.foreign("promtool").args(["check", "config", &file]));
    assert_eq!(good.code, Some(0), "{}{}", good.stdout, good.stderr);

    let page = free_address();
    let mut prometheus: Command = world.foreign("prometheus");
    prometheus.arg(format!("--config.file={file}")).arg(format!("--web.listen-address={page}"));
    prometheus.arg(format!("--storage.tsdb.path={}", world.path("tsdb").display()));
    let mut running = world.start("prometheus", &mut prometheus);
    let asked = |question: &str| {
        let plain = question.replace("$instance", ".*").replace("$__rate_interval", "1m");
        let answer = fetch(page, &format!("/api/v1/query?query={}", encoded(&plain))).ok()?;
        serde_json::from_slice::<Value>(&answer.body).ok()
    };
    until(Duration::from_secs(18), "the daemon was scraped twice", || {
        assert!(running.runs(), "{}", running.stderr());
        let seen = asked("count_over_time(up{job=\"bowline\"}[1m]) > 1 and up == 1");
        seen.is_some_and(|seen| seen["data"]["result"].as_array().is_some_and(|result| !result.is_empty()))
    });
    let mut answered = 0;
    for question in questions() {
        let answer = asked(&question).unwrap_or_default();
        assert_eq!(answer["status"], "success", "{question}: {answer}");
        answered += usize::from(answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()));
    }
    assert!(answered > 12, "only {answered} questions have an answer");
    let rules: Value = serde_json::from_slice(&fetch(page, "/api/v1/rules").unwrap().body).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    assert_eq!(rules.len(), RULES.matches("- alert:").count());
    assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
}

fn encoded(text: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
