//! SSH keys as far as sealing needs them: what a key file says about itself, public keys, and which keys are good
//! enough. Nothing is decrypted here, and no file is read.

mod armor;
mod fitness;
mod key_file;
mod public;
pub(crate) mod wire;

pub(crate) use fitness::of_kind;
pub use fitness::{Doubt, Unfit, for_sealing};
pub use key_file::{Header, KeyFile, LONGEST_KEY_FILE, NotOpenSsh};
pub use public::{KeyKind, PublicKey, PublicKeyError};
