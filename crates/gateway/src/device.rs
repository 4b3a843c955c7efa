//! What the site's own device is told: a configuration made from what AWS says of a connection, and put where the device
//! reads it.
//!
//! Rendering is pure and the same for the same connection, so that a file is written, and the device woken, only when
//! something has changed. The pre-shared keys stand in a file of their own. What the device does with it is not known here.

mod follow;
mod link;
mod place;
mod proposals;
mod swanctl;

use bowline_base::Secret;

pub use follow::{DeviceFile, ours};
pub use link::{Link, Network, NotRendered};
pub use place::{Outcome, Place};
pub use swanctl::{Choices, render};

/// A device's configuration.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// All but the keys.
    pub connections: String,
    /// The keys; `None` where others see to them.
    pub keys: Option<Secret>,
}
