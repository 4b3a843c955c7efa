//! A process that lives as long as its owner.

use std::process::{Child, ExitStatus};

use crate::Outcome;

/// A running process; dropped, it is killed.
#[derive(Debug)]
pub struct Held(Child);

impl Held {
    /// Holds `child`.
    #[must_use]
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Already ended is as good.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
