//! Our own store: one standard age file with every profile's keys, beside it the recipients and an inbox.
//!
//! ```text
//! vault.age       age v1; inside: versioned JSON of all profiles ([`Contents`])
//! recipients.txt  public; `age -R` reads it
//! passphrase.age  only with a passphrase: an age identity, sealed with it
//! inbox/*.age     keys that were added without a private key; taken in at the next opening
//! ```
//!
//! Any `age` program opens each of them. Why it is built so: `docs/decisions/0004-vault-store.md`.
//! [`Place`] alone touches files; all else works on bytes. Nothing here asks for a passphrase or reads a clock.

mod age_file;
mod contents;
mod error;
mod identity;
mod inbox;
mod opened;
mod place;
mod recipients;
mod recovery;
mod text;

pub use contents::{Contents, Entry, StoreId};
pub use error::StoreError;
pub use identity::{Passphrase, RecoveryKey, Unlocked};
pub use inbox::{Addition, Merged, Replacing};
pub use opened::{Locked, Opened};
pub use place::{Found, Place};
pub use recipients::{Insist, Recipient, Recipients};
pub use recovery::{Way, instructions};
