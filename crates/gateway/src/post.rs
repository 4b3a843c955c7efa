//! What people are told, and how: in the words of the plan, over the daemon's channels and those of `[gateway]`.
//!
//! Messages wait on disk until the network is back: the line that changes may be the one that they leave by.

use std::collections::BTreeMap;

use bowline_base::units;
use bowline_host::{
    Notifier,
    notify::{Notification, Pace, Severity},
};

use crate::changes::{Change, News, Phase};

/// The kind of every message of this job, as `[notify] on` names it.
pub const KIND: &str = "gateway";

/// Whom to tell.
#[derive(Clone, Debug, Default)]
pub struct Post {
    /// Everybody whom the daemon tells what needs them.
    pub house: Notifier,
    /// Those who want to know every step of a change: `on-change` and `webhook`.
    pub followers: Notifier,
}

impl Post {
    /// Tells a step of a change of the site `owner`.
    pub(crate) fn tell(&self, owner: &str, news: &News) {
        let notification = notification(owner, news);
        self.followers.tell(&notification);
        if news.phase != Phase::Modifying {
            self.house.tell(&notification);
        }
    }

    /// `matter` goes on, or not.
    pub(crate) fn matter(&self, subject: &str, trouble: Option<(String, Option<String>)>) {
        for notifier in [&self.house, &self.followers] {
            match &trouble {
                Some((text, fix)) => notifier.raise(&Notification {
                    kind: KIND,
                    subject: subject.to_owned(),
                    severity: Severity::Warning,
                    text: text.clone(),
                    fix: fix.clone(),
                    pace: Pace::BackOff,
                    details: BTreeMap::new(),
                }),
                None => notifier.clear(KIND, subject),
            }
        }
    }
}

fn notification(owner: &str, news: &News) -> Notification {
    let severity = if news.phase == Phase::Failed { Severity::Warning } else { Severity::Info };
    Notification {
        kind: KIND,
        subject: owner.to_owned(),
        severity,
        text: text(news),
        fix: news.fix.map(str::to_owned),
        pace: Pace::BackOff,
        details: details(news),
    }
}

/// One sentence.
fn text(news: &News) -> String {
    let change = &news.change;
    let (to, connections) = (change.to, words(change.connections.iter()));
    match (news.phase, &news.why) {
        (Phase::Failed, Some(why)) => format!("cannot move the VPN to {to}: {why}"),
        (Phase::Failed, None) => format!("cannot move the VPN to {to}"),
        (Phase::Detected, _) => match change.from {
            Some(from) => format!("the site's address is {to}, no longer {from}; moving {connections}"),
            None => format!("the site's address is {to}; moving {connections}"),
        },
        (Phase::Modifying, _) => format!("EC2 points {connections} at {to}; its tunnels are down for some minutes"),
        (Phase::Done, _) => {
            let whole = |took: std::time::Duration| units::duration(std::time::Duration::from_secs(took.as_secs()));
            let after = change.took.map_or("a restart in the midst of it".to_owned(), whole);
            let kept = words(change.kept.iter());
            let kept = if kept.is_empty() { kept } else { format!("; {kept} was not made by bowline and is kept") };
            format!("{connections} points at {to}, after {after}{kept}")
        }
    }
}

/// The parts, for programs. `begun` tells two changes to the same address apart.
fn details(news: &News) -> BTreeMap<String, String> {
    let Change { from, to, connections, left, gateways, begun, took, .. } = &news.change;
    let mut details = BTreeMap::from([
        ("phase", news.phase.word().to_owned()),
        ("new-address", to.to_string()),
        ("connections", words(connections.iter())),
        ("old-gateways", words(left.iter())),
        ("begun", bowline_base::utc(begun.wall)),
    ]);
    details.extend(from.map(|from| ("old-address", from.to_string())));
    details.extend(took.map(|took| ("took-seconds", took.as_secs().to_string())));
    details.extend((!gateways.is_empty()).then(|| ("new-gateways", words(gateways.iter()))));
    details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn words<'a>(ids: impl Iterator<Item = &'a String>) -> String {
    ids.map(String::as_str).collect::<Vec<_>>().join(" ")
}
