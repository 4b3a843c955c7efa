//! A value that spreads slowly: what was set becomes true some time later, as in IAM, where reads lag behind writes.

use bowline_base::Timestamp;

/// A value with its past and its near future.
#[derive(Clone, Debug)]
pub(crate) struct Slow<T>(Vec<(Timestamp, T)>);

impl<T> Slow<T> {
    /// Unknown before `from`, `value` after.
    pub(crate) fn new(from: Timestamp, value: T) -> Self {
        Self(vec![(from, value)])
    }

    /// Sets it to `value` from that moment.
    pub(crate) fn set(&mut self, from: Timestamp, value: T) {
        self.0.push((from, value));
    }

    /// What readers see now; `None` while nothing has reached them.
    pub(crate) fn at(&self, now: Timestamp) -> Option<&T> {
        self.0.iter().rev().find(|(from, _)| *from <= now).map(|(_, value)| value)
    }

    /// What was set last, whether or not it has spread.
    pub(crate) fn truth(&self) -> &T {
        self.0.last().map(|(_, value)| value).expect("it begins with a value, and none is taken out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_lag_behind_the_truth() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut value = Slow::new(at(5), "new");
        value.set(at(15), "changed");
        let seen: Vec<_> = [4, 5, 14, 15].map(|second| value.at(at(second)).copied()).into();
        assert_eq!(seen, [None, Some("new"), Some("new"), Some("changed")]);
        assert_eq!(*value.truth(), "changed");
        value.set(at(10), "sooner");
        assert_eq!((value.at(at(9)), value.at(at(20))), (Some(&"new"), Some(&"sooner")));
    }
}
