//! The hours in which a change may be made that can wait: one that would take down a tunnel that is up.
//!
//! A connection whose tunnels are down is changed at any time: it cannot get worse.

use std::fmt;

use crate::{observed::Observed, plan::Action};

/// From one minute of the day to another, local time; over midnight where the first is the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: u16,
    to: u16,
}

impl Window {
    /// Reads `02:00-05:00`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no window: write it as 02:00-05:00");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
        if from == to { Err(format!("`{text}` is no time at all")) } else { Ok(Self { from, to }) }
    }

    /// Whether it is open at this minute of the day; the last minute is not in it.
    #[must_use]
    pub fn is_open(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// Splits `actions` into what is done now and what waits for the window, while it is closed.
pub(crate) fn split(actions: Vec<Action>, observed: &Observed) -> (Vec<Action>, Vec<Action>) {
    let found = |connection: &str| observed.managed().find(|one| one.id == connection);
    actions.into_iter().partition(|action| match action {
        Action::Delete { .. } => true,
        Action::Modify { connection, .. } => found(connection).is_none_or(|one| one.tunnels_up() == 0),
        Action::Create { .. } => observed.managed().any(|one| one.is_ready() && one.tunnels_up() == 0),
    })
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2);
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && (hour < 24 || (hour, minute) == (24, 0))).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let open = |text: &str, at: u16| Window::parse(text).unwrap().is_open(at);
        let at = [119, 120, 299, 300].map(|minute| open("02:00-05:00", minute));
        assert_eq!(at, [false, true, true, false]);
        assert_eq!([1379, 1380, 0, 59, 60].map(|minute| open("23:00-01:00", minute)), [false, true, true, true, false]);
        assert_eq!([0, 719, 720].map(|minute| open("12:00-24:00", minute)), [false, false, true]);
        assert_eq!(Window::parse("23:00 - 01:05").unwrap().to_string(), "23:00-01:05");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in ["", "2", "02:00", "2:00-5:00", "02:00-25:00", "02:60-03:00", "24:01-02:00", "-1:00-02:00"] {
            assert!(Window::parse(text).unwrap_err().contains("02:00-05:00"), "{text}");
        }
        assert!(Window::parse("02:00-02:00").unwrap_err().contains("no time at all"));
    }
}
