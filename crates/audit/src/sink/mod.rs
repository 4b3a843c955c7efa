//! Where lines go. The [`file`] is where the chain is; the others get what it got.
//!
//! [`stdout`] gets each line at once. [`cloudwatch`] is sent from the file, in order and up to the last checkpoint, so
//! that an outage costs nothing but time: the file is its memory.

pub mod cloudwatch;
mod end;
pub mod file;
pub mod stdout;

use bowline_base::Fault;

/// A further place for every line, told at once.
pub trait Sink: Send {
    /// As the configuration names it.
    fn name(&self) -> &'static str;

    /// Takes a line, without its newline.
    ///
    /// # Errors
    /// It could not be kept.
    fn take(&mut self, line: &str) -> Result<(), Fault>;
}
