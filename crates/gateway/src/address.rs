//! Which public address the site has: asked of several strangers, believed when they agree, twice.
//!
//! Every step may end without an address, and then nothing is done. What a provider sends is read strictly (`text`), an
//! address that no site can have is refused by name ([`usable`]), a liar is outvoted ([`agree`]), and one odd moment changes
//! nothing ([`Watch`]).

mod ask;
mod quorum;
mod text;
mod usable;
mod watch;

pub use ask::{Provider, Reading, Unanswered, ask};
pub use quorum::{Disagreement, agree};
pub use text::{Unreadable, parse};
pub use usable::{Unusable, usable};
pub use watch::{Heed, Rules, Watch};
