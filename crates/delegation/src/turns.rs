//! One thing asked for at a time, asked again while AWS does not know it yet: what the machines of this crate are built on.

use std::time::Duration;

use base::Now;
use bowline_base as base;

use crate::propagation::{PATIENCE, Pace};

/// What a machine wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<Ask, End> {
    /// Something to do; then the machine's `handle`.
    Do(Ask),
    /// It is over.
    End(End),
}

/// What was asked for and not answered, or is to be asked for at a moment.
#[derive(Debug)]
pub(crate) struct Turns<Ask, End> {
    asked: Option<Ask>,
    out: Option<Output<Ask, End>>,
    wake: Option<(Duration, &'static str, Ask)>,
    pace: Pace,
}

impl<Ask, End> Default for Turns<Ask, End> {
    fn default() -> Self {
        Self { asked: None, out: None, wake: None, pace: Pace::default() }
    }
}

impl<Ask: Clone, End> Turns<Ask, End> {
    /// What to do now; nothing while an answer or a moment is waited for.
    pub(crate) fn poll(&mut self) -> Option<Output<Ask, End>> {
        self.out.take()
    }

    /// When to call [`Turns::woke`] (boot time), and why it waits.
    pub(crate) fn next_wake(&self) -> Option<(Duration, &'static str)> {
        self.wake.as_ref().map(|(at, why, _)| (*at, *why))
    }

    /// Asks for what the moment was waited for, if it has come.
    pub(crate) fn woke(&mut self, now: Now) {
        if let Some((_, _, ask)) = self.wake.take_if(|(at, _, _)| *at <= now.boot) {
            self.ask_again(ask);
        }
    }

    /// What an answer is an answer to; nothing while a moment is waited for.
    pub(crate) fn answered(&mut self) -> Option<Ask> {
        self.asked.take()
    }

    /// Asks for something else.
    pub(crate) fn ask(&mut self, ask: Ask) {
        self.pace = Pace::default();
        self.ask_again(ask);
    }

    /// Asks for it at a moment.
    pub(crate) fn ask_at(&mut self, at: Duration, why: &'static str, ask: Ask) {
        self.wake = Some((at, why, ask));
    }

    /// Asks the same a little later; says whether: not when it took too long already.
    pub(crate) fn ask_later(&mut self, now: Now, ask: Ask) -> bool {
        let next = self.pace.again(now, PATIENCE);
        if let Some(at) = next {
            self.ask_at(at, "AWS does not know it yet", ask);
        }
        next.is_some()
    }

    /// Nothing more is asked for.
    pub(crate) fn end(&mut self, end: End) {
        self.out = Some(Output::End(end));
    }

    fn ask_again(&mut self, ask: Ask) {
        self.asked = Some(ask.clone());
        self.out = Some(Output::Do(ask));
    }
}
