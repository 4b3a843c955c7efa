//! Answers for as long as they live, within bounds. What would have died first goes first.

use std::{collections::BTreeMap, time::Duration};

use super::message::{Answer, Question};

const MOST_ANSWERS: usize = 4096;
const MOST_BYTES: usize = 2 << 20;

#[derive(Debug)]
struct Kept {
    answer: Answer,
    since: Duration,
    ends: (Duration, u64),
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: BTreeMap<Question, Kept>,
    /// Every answer by its end; the number tells those of one moment apart.
    ends: BTreeMap<(Duration, u64), Question>,
    bytes: usize,
    next: u64,
}

impl Cache {
    /// The answer, its lives as much shorter as it is old.
    pub(super) fn get(&mut self, now: Duration, question: &Question) -> Option<Answer> {
        let kept = self.kept.get(question)?;
        if kept.ends.0 > now {
            return Some(kept.answer.aged(now.saturating_sub(kept.since)));
        }
        self.remove(question);
        None
    }

    /// Keeps the answer if it may be kept.
    pub(super) fn put(&mut self, now: Duration, question: Question, answer: Answer) {
        if answer.life.is_zero() {
            return;
        }
        self.remove(&question);
        let ends = (now + answer.life, self.next);
        self.next += 1;
        self.bytes += answer.len();
        self.ends.insert(ends, question.clone());
        self.kept.insert(question, Kept { answer, since: now, ends });
        while self.kept.len() > MOST_ANSWERS || self.bytes > MOST_BYTES {
            let Some(first) = self.ends.first_key_value().map(|(_, question)| question.clone()) else { break };
            self.remove(&first);
        }
    }

    fn remove(&mut self, question: &Question) {
        if let Some(kept) = self.kept.remove(question) {
            self.ends.remove(&kept.ends);
            self.bytes -= kept.answer.len();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.kept.len(), self.ends.len());
        assert_eq!(self.bytes, self.kept.values().map(|kept| kept.answer.len()).sum::<usize>());
        self.kept.len()
    }
}
