//! Which public address the site has: asked of several sources, believed when they agree, twice.
//!
//! Every step may end without an address, and then nothing is done. What a provider sends is read strictly (`text`), an
//! address that no site can have is refused by name ([`usable`]), a liar is outvoted ([`agree`]), and one odd moment changes
//! nothing ([`Watch`]).

mod ask;
mod provider;
mod quorum;
mod text;
mod usable;
mod watch;
mod whoami;

pub use ask::{Reading, Unanswered, ask};
pub use provider::Provider;
pub use quorum::{Disagreement, agree};
pub use text::{Unreadable, parse};
pub use usable::{Unusable, usable};
pub use watch::{Heed, Rules, Watch};
pub use whoami::{NoAddress, Whoami};
