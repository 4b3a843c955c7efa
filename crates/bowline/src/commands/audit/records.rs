//! `bowline audit tail` and `query`: records as a table, or as the lines that they are.

use std::{collections::VecDeque, time::Duration};

use bowline_audit::{Event, Filter, Follower, Found, Places};
use bowline_base::{Fault, Kind, Timestamp, parse_timestamp, units};

use super::files;
use crate::{
    cli::{AuditQuery, AuditTail, Form},
    output,
    world::{World, small_runtime},
};

/// How soon `--follow` shows a record.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn tail(world: &World, places: &Places, arguments: &AuditTail) -> Result<(), Fault> {
    files(places)?;
    let (filter, form) = (Filter::default(), arguments.output.output);
    let (mut follower, mut last) = (Follower::new(&places.directory), VecDeque::new());
    follower.more(&filter, |found| {
        last.push_back(found);
        if last.len() > arguments.lines {
            last.pop_front();
        }
        Ok(())
    })?;
    last.iter().try_for_each(|found| print(found, form))?;
    if !arguments.follow {
        return Ok(());
    }
    small_runtime()?.block_on(async {
        loop {
            world.wire.sleep(LOOK).await;
            follower.more(&filter, |found| print(&found, form))?;
        }
    })
}

pub(super) fn query(world: &World, places: &Places, arguments: &AuditQuery) -> Result<(), Fault> {
    let since = arguments.since.as_deref().map(|text| moment(text, world.wire.now().wall)).transpose()?;
    let event = arguments.event.as_deref().map(event).transpose()?;
    let filter = Filter { profile: arguments.profile.clone(), event, since };
    files(places)?;
    Follower::new(&places.directory).more(&filter, |found| print(&found, arguments.output.output))
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

fn print(found: &Found, form: Form) -> Result<(), Fault> {
    output::data(&match form {
        Form::Json => format!("{}\n", found.text),
        Form::Text => row(found),
    })
}

fn row(found: &Found) -> String {
    let cell = |name: &str| found.text(name).unwrap_or("-").to_owned();
    let until = found.text("expires").map(|end| format!(" until {end}")).unwrap_or_default();
    let client = found.client().map(|client| format!(" to {client}")).unwrap_or_default();
    let source = found.text("source").map(|source| format!(" from {source}")).unwrap_or_default();
    let reason = found.text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    let (time, event, profile, key) = (cell("time"), cell("event"), cell("profile"), cell("key_id"));
    // What a client called itself must not move the cursor of who reads this.
    let rest: String =
        format!("{client}{until}{source}{reason}").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
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
