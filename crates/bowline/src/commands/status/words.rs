//! A snapshot as lines of text, for `bowline status`. Pure.

use bowline_base::{units, utc};

use super::snapshot::{Artifacts, Endpoint, Gateway, Snapshot, Vpn};

/// The whole answer.
pub(super) fn table(snapshot: &Snapshot) -> String {
    let mut text = match (&snapshot.obstacle, snapshot.daemon) {
        (_, true) => {
            let page = snapshot.page.as_ref().map(|page| format!(", {page}")).unwrap_or_default();
            format!("daemon: running{page}\n")
        }
        (Some((why, fix)), false) => {
            format!("daemon: runs, without a status for this command: {why}\n    next: {fix}\n")
        }
        (None, false) => "daemon: not running (bowline run)\n".to_owned(),
    };
    credentials(&mut text, snapshot);
    let artifacts = snapshot.artifacts.as_ref().map(artifacts);
    let gateway = snapshot.gateway.as_ref().map(gateway);
    let vpn = snapshot.vpn.as_ref().map(vpn);
    let endpoint = snapshot.endpoint.as_ref().map(endpoint);
    let jobs: Vec<String> = [artifacts, endpoint, gateway, vpn].into_iter().flatten().collect();
    if !jobs.is_empty() {
        text.push_str("\nJOBS\n");
        jobs.iter().for_each(|job| text.push_str(job));
    }
    // What is wrong with credentials stands beside them already.
    let others: Vec<_> = snapshot.wrong.iter().filter(|wrong| !wrong.id.starts_with("credentials.")).collect();
    if !others.is_empty() {
        text.push_str("\nWHAT NEEDS SOMEBODY\n");
    }
    for wrong in others {
        let verdict = if wrong.failed { "FAILED" } else { "degraded" };
        text.push_str(&format!("{verdict:8}  {}: {}\n", wrong.id, wrong.why));
        if let Some(fix) = &wrong.fix {
            text.push_str(&format!("          fix: {fix}\n"));
        }
    }
    text
}

fn credentials(text: &mut String, snapshot: &Snapshot) {
    if snapshot.credentials.is_empty() {
        text.push_str("nothing to show: no sso-session is configured and nothing was asked for\n");
        return;
    }
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let rows: Vec<[String; 4]> = snapshot
        .credentials
        .iter()
        .map(|line| {
            [
                format!("{} {}", line.kind, line.name),
                line.state.clone(),
                line.expires.map_or_else(|| "-".to_owned(), utc),
                or_dash(&line.source),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(6);
    let (name, state, expires) = (width(0), width(1), width(2));
    text.push_str(&format!("{:name$}  {:state$}  {:expires$}  SOURCE\n", "NAME", "STATE", "UNTIL"));
    for (row, line) in rows.iter().zip(&snapshot.credentials) {
        text.push_str(format!("{:name$}  {:state$}  {:expires$}  {}", row[0], row[1], row[2], row[3]).trim_end());
        text.push('\n');
        for (label, said) in [("why", &line.failure), ("next", &line.command)] {
            if let Some(said) = said {
                text.push_str(&format!("    {label}: {said}\n"));
            }
        }
    }
}

fn artifacts(job: &Artifacts) -> String {
    let head = format!("artifacts  {}: {} in {} files\n", job.listen.join(", "), units::size(job.bytes), job.files);
    let line = |one: &super::snapshot::Repository| match ratio(one.hits, one.requests) {
        Some(ratio) => {
            format!("  {}  {ratio} of {} requests from the cache, {} failed\n", one.path, one.requests, one.failed)
        }
        None => format!("  {}  nothing asked yet\n", one.path),
    };
    job.repositories.iter().map(line).fold(head, |text, line| text + &line)
}

fn gateway(job: &Gateway) -> String {
    let address = job.address.as_deref().unwrap_or("address not known yet");
    let moving = job.moving_to.as_ref().map(|to| format!(", moving to {to}")).unwrap_or_default();
    let line = |one: &super::snapshot::Connection| {
        let up = one.tunnels.iter().filter(|tunnel| tunnel.up).count();
        format!("  {}  {}, {up} of {} tunnels up\n", one.id, one.state, one.tunnels.len())
    };
    job.connections.iter().map(line).fold(format!("gateway  {address}{moving}\n"), |text, line| text + &line)
}

fn vpn(job: &Vpn) -> String {
    format!("vpn  {}: {} of {} users connected\n", job.listening.join(", "), job.connected, job.users)
}

fn endpoint(job: &Endpoint) -> String {
    let imds = job.imds.as_ref().map(|address| format!("; instance metadata on {address}")).unwrap_or_default();
    format!("endpoint   {}: {}{imds}\n", job.listen.as_deref().unwrap_or("sockets"), job.serve.join(", "))
}

/// `93.5 %`; nothing of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> Option<String> {
    let thousandths = part.saturating_mul(1000).checked_div(whole)?;
    Some(format!("{}.{} %", thousandths / 10, thousandths % 10))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_and_what_is_wrong_stand_below_the_credentials() {
        let document = json!({
            "daemon": true, "page": "http://127.0.0.1:9910/",
            "credentials": [{ "kind": "profile", "name": "build", "state": "login-needed", "source": "", "failure": "it ended",
                "command": "bowline login build" }],
            "jobs": { "artifacts": { "listen": ["127.0.0.1:9000"], "cache": { "bytes": 1024, "files": 2 }, "repositories":
                [{ "path": "/", "requests": { "hit": 2, "miss": 1 } }] }, "vpn": { "users": 3, "connected": 1 },
                "endpoint": { "listen": "127.0.0.1:9911", "imds": "127.0.0.1:9912", "serve": { "build": true, "site": false } } },
            "checks": [{ "id": "credentials.profile.build", "verdict": "degraded", "why": "it ended" },
                { "id": "artifacts.upstream", "verdict": "failed", "why": "away", "fix": "wait" }],
        });
        let expected = "daemon: running, http://127.0.0.1:9910/\n\
                        NAME           STATE         UNTIL   SOURCE\n\
                        profile build  login-needed  -       -\n    why: it ended\n    next: bowline login build\n\
                        \nJOBS\n\
                        artifacts  127.0.0.1:9000: 1.0 KiB in 2 files\n  /  66.6 % of 3 requests from the cache, 0 failed\n\
                        endpoint   127.0.0.1:9911: build, site; instance metadata on 127.0.0.1:9912\n\
                        vpn  : 1 of 3 users connected\n\
                        \nWHAT NEEDS SOMEBODY\n\
                        FAILED    artifacts.upstream: away\n          fix: wait\n";
        assert_eq!(table(&Snapshot::of(&document)), expected);
    }

    #[test]
    fn without_a_daemon_it_says_how_to_start_one() {
        assert!(table(&Snapshot::default()).starts_with("daemon: not running (bowline run)\nnothing to show"));
    }

    #[test]
    fn a_daemon_that_cannot_be_used_is_not_called_absent() {
        let document = json!({ "daemon": false, "daemon_reason": "it sleeps", "daemon_fix": "wake it" });
        let said = table(&Snapshot::of(&document));
        assert!(
            said.starts_with("daemon: runs, without a status for this command: it sleeps\n    next: wake it\n"),
            "{said}"
        );
    }
}
