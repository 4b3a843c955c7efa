//! `bowline audit tail` and `query`: records as a table, or as the lines that they are.

use std::{fs, path::Path, time::Duration};

use bowline_audit::{Event, Filter, Found, Places, log_files};
use bowline_base::{Fault, Kind, Timestamp, parse_timestamp, units};

use super::{cannot_read, files};
use crate::{
    cli::{AuditQuery, AuditTail, Form},
    output,
    world::{World, small_runtime},
};

/// How soon `--follow` shows a record.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn tail(world: &World, places: &Places, arguments: &AuditTail) -> Result<(), Fault> {
    let filter = Filter::default();
    let found = find(places, &filter)?;
    let shown = &found[found.len().saturating_sub(arguments.lines)..];
    print(shown, arguments.output.output)?;
    if !arguments.follow {
        return Ok(());
    }
    let mut last = found.last().map_or(0, |found| found.line);
    small_runtime()?.block_on(async {
        loop {
            world.wire.sleep(LOOK).await;
            let newest = log_files(&places.directory).map_err(|cause| cannot_read(&places.directory, cause))?;
            // Two files: the log may have gone over to the next one since the last look.
            for path in newest.iter().rev().take(2).rev() {
                let fresh: Vec<Found> = read(path, &filter)?.into_iter().filter(|found| found.line > last).collect();
                last = fresh.last().map_or(last, |found| found.line);
                print(&fresh, arguments.output.output)?;
            }
        }
    })
}

pub(super) fn query(world: &World, places: &Places, arguments: &AuditQuery) -> Result<(), Fault> {
    let since = arguments.since.as_deref().map(|text| moment(text, world.wire.now().wall)).transpose()?;
    let event = arguments.event.as_deref().map(event).transpose()?;
    let filter = Filter { profile: arguments.profile.clone(), event, since };
    print(&find(places, &filter)?, arguments.output.output)
}

fn find(places: &Places, filter: &Filter) -> Result<Vec<Found>, Fault> {
    let mut found = Vec::new();
    for path in files(places)? {
        found.extend(read(&path, filter)?);
    }
    Ok(found)
}

fn read(path: &Path, filter: &Filter) -> Result<Vec<Found>, Fault> {
    fs::read(path).map(|bytes| filter.find(&bytes)).map_err(|cause| cannot_read(path, cause))
}

/// `2h` ago, or a moment.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    if let Ok(ago) = units::parse_duration(text) {
        return Ok(now.checked_sub(ago).unwrap_or(Timestamp::MIN));
    }
    let day = format!("{text}T00:00:00Z");
    parse_timestamp(text).or_else(|_| parse_timestamp(&day)).map_err(|_| {
        Fault::new(Kind::Config, "--since", format!("`{text}` is neither a length of time nor a moment"))
            .hint("write `2h`, `2026-11-22` or `2026-11-22T02:00:00Z`")
    })
}

fn event(name: &str) -> Result<String, Fault> {
    let known = || Event::ALL.map(Event::name).join(", ");
    Event::named(name).map(|event| event.name().to_owned()).ok_or_else(|| {
        Fault::new(Kind::Config, "--event", format!("there is no event `{name}`")).hint(format!("one of {}", known()))
    })
}

fn print(found: &[Found], form: Form) -> Result<(), Fault> {
    let line = |found: &Found| match form {
        Form::Json => format!("{}\n", found.text),
        Form::Text => row(found),
    };
    output::data(&found.iter().map(line).collect::<String>())
}

fn row(found: &Found) -> String {
    let cell = |name: &str| found.text(name).unwrap_or("-").to_owned();
    let until = found.text("expires").map(|end| format!(" until {end}")).unwrap_or_default();
    let client = found.client().map(|client| format!(" to {client}")).unwrap_or_default();
    let reason = found.text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    let (time, event, profile, key) = (cell("time"), cell("event"), cell("profile"), cell("key_id"));
    // What a client called itself must not move the cursor of who reads this.
    let rest: String =
        format!("{client}{until}{reason}").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{:>6}  {time}  {event:15}  {profile:16}  {key:20} {rest}\n", found.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_length_of_time_a_day_or_a_moment() {
        let now: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        let read = |text| moment(text, now).map(bowline_base::utc).unwrap_or_default();
        assert_eq!(read("2h"), "2026-11-22T00:00:00Z");
        assert_eq!(read("2026-11-20"), "2026-11-20T00:00:00Z");
        assert_eq!(read("2026-11-20T10:00:00Z"), "2026-11-20T10:00:00Z");
        assert!(moment("yesterday", now).unwrap_err().hint.is_some());
        assert!(event("issue").unwrap_err().hint.unwrap().contains("issued"));
    }
}
