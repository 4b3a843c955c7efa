//! What befalls a step of a machine, for the tests of all of them.

use std::iter;

use proptest::prelude::*;

/// What befalls one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Well,
    /// The process ends before the step is done.
    CrashBefore,
    /// The process ends when it is done and nobody was told.
    CrashAfter,
    /// It is refused.
    Refused,
    /// It is done, and the answer is lost.
    Lost,
}

impl Fate {
    /// All but the good one.
    pub(crate) const BAD: [Self; 4] = [Self::CrashBefore, Self::CrashAfter, Self::Refused, Self::Lost];

    /// This one at `step`, and nothing before it.
    pub(crate) fn at(self, step: usize) -> impl Iterator<Item = Self> {
        iter::repeat_n(Self::Well, step).chain([self])
    }

    /// Any; `well` times as often the good one as each of the others.
    pub(crate) fn any(well: u32) -> impl Strategy<Value = Self> {
        prop_oneof![
            well => Just(Self::Well),
            1 => Just(Self::CrashBefore),
            1 => Just(Self::CrashAfter),
            1 => Just(Self::Refused),
            1 => Just(Self::Lost),
        ]
    }
}
